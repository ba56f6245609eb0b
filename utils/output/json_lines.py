"""Files with one JSON object a line, that several runs append to and that may be damaged.

A process that is killed may leave half a line at the end, and a disk or a person may damage any
line. What cannot be understood is left out and counted, so that one line costs what it says only.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from cycleisp.utils.errors import UserError, reason
from cycleisp.utils.limits import check_bytes

Line = dict[str, Any]
LONGEST_LINE = 1 << 20  # bytes; ours have about 1 KB
LONGEST_NAME = 255  # bytes of a file's name


def read_lines(path: Path, option: str = "--output") -> tuple[list[Line], int]:
    """Reads the objects of a file, which need not exist.

    Names of files that are not UTF-8 come back as Python keeps them, with lone surrogates; JSON has
    an escape for these.

    Args:
        path: the file.
        option: the option of the script that names the file's folder.

    Returns:
        The objects in their order, and the number of lines that hold none.

    Raises:
        UserError: the path cannot be read, or is too large.
    """
    lines: list[Line] = []
    damaged = 0
    try:
        if not path.exists():
            return [], 0
        check_bytes(path, path.stat().st_size, UserError)
        with path.open("rb") as file:
            while text := file.readline(LONGEST_LINE):
                if (line := _parse(text)) is not None:
                    lines.append(line)
                elif text.strip():
                    damaged += 1
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({reason(error)}); remove it or give another {option}") from None
    return lines, damaged


def _parse(text: bytes) -> Line | None:
    try:
        line = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):  # among them text that is not UTF-8, and deep nesting
        return None
    return line if isinstance(line, dict) else None


def encode_lines(lines: Iterable[Mapping[str, Any]]) -> bytes:
    """Returns objects as lines of ASCII, with sorted keys: equal objects give equal bytes."""
    return "".join(json.dumps(dict(line), sort_keys=True) + "\n" for line in lines).encode("ascii")


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Appends an object in one write, so that lines of several threads and processes do not mix.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    with path.open("ab") as file:
        torn = path.stat().st_size > 0 and not _ends_with_newline(path)  # by a process that was killed
        file.write((b"\n" if torn else b"") + encode_lines([line]))


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def is_name_inside(name: object) -> bool:
    """Tells whether a value of a record is the name of a file below its folder."""
    if not isinstance(name, str) or not name or "\0" in name:
        return False
    if os.name == "nt" and ("\\" in name or ":" in name):
        return False
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or path.as_posix() != name or name == ".":
        return False
    try:
        return all(len(os.fsencode(part)) <= LONGEST_NAME for part in path.parts)
    except UnicodeEncodeError:  # half a pair of surrogates, which no name holds
        return False
