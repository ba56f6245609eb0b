"""Errors that are meant for the user, and the boundary at which a parser's errors become one."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

log = logging.getLogger(__name__)
LONGEST_REASON = 300  # characters of a library's message
_ADDRESS = re.compile(r"\s*<[^<>]* at 0x[0-9a-fA-F]+>")  # an object of Python's, which says nothing to a user


class UserError(Exception):
    """A problem that the user can solve.

    The message says which file, what was expected, what was found, and what to do.

    Attributes:
        is_list: whether the message has a line for each of several things. In other messages a line
            break is part of a file's name, and is printed as an escape.
    """

    is_list: ClassVar[bool] = False


@contextmanager
def reading(
    path: Path | str, kind: type[UserError] = UserError, advice: str = "get it again or remove it"
) -> Iterator[None]:
    """Turns whatever goes wrong while a file is read into one error that names the file.

    Parsers of other people's formats raise what their authors did not think of, so that no list of
    exceptions is complete. A UserError passes unchanged. The traceback of everything else goes to
    the log at debug level.

    Args:
        path: the file that the block reads.
        kind: the error to raise.
        advice: what the user can do.

    Raises:
        UserError: of this kind, for any `Exception` inside of the block.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        log.debug("%s: cannot be read", path, exc_info=True)
        raise kind(f"{path}: {_what_happened(error)}; {advice}") from None


def reason(error: BaseException) -> str:
    """Returns what an error of a library says, in one line of bounded length."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    words = _ADDRESS.sub("", " ".join(str(error).split())) or type(error).__name__
    return words if len(words) <= LONGEST_REASON else f"{words[:LONGEST_REASON]}..."


def _what_happened(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    if isinstance(error, OSError) and error.errno is not None:
        return f"cannot be read ({reason(error)})"
    return f"is damaged, or of another kind than expected ({reason(error)})"
