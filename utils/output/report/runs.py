"""What reports of all runs have in common: the top of the page, lists of files, the writing.

A report is written at the end of a run, and also when the run is stopped or fails: it then shows
what is done so far, and says why it ended.
"""

import datetime
import logging
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cycleisp.utils.errors import UserError, reason
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.report.page import MADE_BY, code, heading, page, paragraph, table
from cycleisp.utils.version import code_version

PICTURED = 8  # files or pairs of which a report shows pictures
_ROWS = 1000  # of a table
_SUFFIXES = (".html", ".htm")
_TOP = 2000  # bytes of a page in which MADE_BY is looked for
log = logging.getLogger(__name__)


def report_path(given: Path | str | None) -> Path | None:
    """Returns where a report goes, and None where none is wanted.

    A report of an earlier run is replaced, so that the same command resumes a run. Any other file
    is not.

    Raises:
        UserError: the name does not end in .html, its folder does not exist, or a file is there
            that is no report of this program.
    """
    if given is None:
        return None
    path = Path(given)
    if path.suffix.lower() not in _SUFFIXES:
        raise UserError(f"--report {path}: expected a file that ends in .html")
    if not path.parent.is_dir():
        raise UserError(f"--report {path}: there is no folder {path.parent}; make it, or give another --report")
    if path.exists() and not is_report(path):
        raise UserError(f"--report {path}: exists, and is no report of this program; give another --report")
    return path


def is_report(path: Path) -> bool:
    """Tells whether a file is a report that this program has written."""
    try:
        with path.open("rb") as file:
            return MADE_BY.encode() in file.read(_TOP)
    except OSError:
        return False


@contextmanager
def report_at_end(path: Path | None, title: str, parts: Callable[[], Iterable[str]]) -> Iterator[None]:
    """Writes the report of what is done inside of the block when the block ends, however it ends.

    Args:
        path: the file, as `report_path` has checked it; None writes nothing.
        title: of the page.
        parts: returns the page's parts, at the end. Where there are none, nothing is written.

    Raises:
        UserError: the run has ended well, but its report cannot be written.
    """
    if path is None:
        yield
        return
    began, ended = time.monotonic(), "The run has ended by itself."
    try:
        yield
    except BaseException as error:
        words = f"The run was ended early: {str(error) or type(error).__name__}"
        try:
            _write(path, title, began, words, parts)
        except Exception as further:  # the first error counts
            log.warning("%s: the report cannot be written (%s)", path, reason(further))
        raise
    try:
        _write(path, title, began, ended, parts)
    except OSError as error:
        raise UserError(f"--report {path}: cannot be written ({reason(error)}); the results are whole") from None
    log.info("report: %s", path)


def _write(path: Path, title: str, began: float, ended: str, parts: Callable[[], Iterable[str]]) -> None:
    contents = [part for part in parts() if part]
    if not contents:  # a run that could not begin leaves nothing behind
        return
    seconds = time.monotonic() - began
    when = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    top = [
        paragraph(f"Written {when} by CycleISP {code_version()}, after {in_words(seconds)}. {ended}"),
        code(this_command()),
    ]
    write_bytes(path, page(title, [*top, *contents]).encode())


def this_command() -> str:
    """Returns the command line of this process, without the folder of the program."""
    program, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    words = ["python", program] if program.endswith(".py") else program.split()  # as of `cycleisp denoise`
    return shlex.join([*words, *arguments])


def in_words(seconds: float) -> str:
    """Returns a time as people say it: 0.35 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def facts(rows: Mapping[str, object]) -> str:
    """Returns a table of names and values; what is None is left out."""
    return table(("", ""), [(name, value) for name, value in rows.items() if value is not None])


def file_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Returns a table of the first _ROWS files, and says how many more there are."""
    more = len(rows) - _ROWS
    shown = table(heads, rows[:_ROWS])
    return shown if more <= 0 else shown + paragraph(f"And {more} more.")


def skipped_files(skipped: Sequence[tuple[Path, str]]) -> list[str]:
    """Returns the section of the files that were left out, each with the reason."""
    if not skipped:
        return [heading("Skipped"), paragraph("No file was skipped.")]
    rows = [(path, words.removeprefix(f"{path}: ")) for path, words in skipped]
    return [heading("Skipped"), file_table(("file", "reason"), rows)]
