"""The check of a training set's photos and pairs, before hours of work depend on them.

Every file is decoded once, as training will decode it, several at a time and each in a process
apart. That takes as long as it takes training to load as many patches. A record remembers the
result, so that a run that goes on checks only what has changed. The record is also the list of the
run's photos: a run that goes on uses the photos that it has begun with, whatever has been added to
their folders since.
"""

import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cycleisp.dataloaders.photos import PhotoError, read_photo
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.json_lines import encode_lines, read_lines
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.processes.apart import apart, end_readers

if TYPE_CHECKING:  # the processes that read photos import this module, and have no use for PyTorch
    from cycleisp.dataloaders.sources import Source

Line = dict[str, Any]
# Raises a UserError of a file that training could not use. What it returns, the record remembers.
Check = Callable[["Source"], Line | None]
CHUNK = 32  # photos for each reader between two writes of the record
QUIET = 50  # photos that are checked without a progress bar
log = logging.getLogger(__name__)


def decode_apart(source: "Source") -> None:
    """Decodes a photo in a process apart, and forgets it. Raises UserError as `read_photo`."""
    apart(decode, source.path)


def check_photos(
    sources: Sequence["Source"],
    record: Path,
    goes_on: bool = False,
    share: tuple[int, int] = (0, 1),
    check: Check = decode_apart,
) -> dict[str, Line]:
    """Decodes the photos that are new or changed since the record was written.

    Args:
        sources: the photos.
        record: the file that remembers them; it need not exist.
        goes_on: whether a run has begun with the photos of the record, which is then left as it is.
            Otherwise every result is written at once, so that a check that was stopped goes on.
        share: the number of this process, from 0, and the number of processes that share the work.
            The first one writes the record.
        check: how to check one of them, if they are no photos. Several threads call it.

    Returns:
        What is known of the photos that this process has to check, by their names: `name`, `bytes`,
        `modified_ns`, and `problem`, a line that names the file, or None.

    Raises:
        PhotoError: a photo has vanished meanwhile, as with a disk that was taken away.
    """
    rank, processes = share
    known, _ = _read(record)
    mine = sources[rank::processes]
    result = {source.name: line for source in mine if (line := _still_true(source, known)) is not None}
    rest = [source for source in mine if source.name not in result]
    readers = max(1, min((os.cpu_count() or 1) // processes, -(-len(rest) // 4)))
    notes = rank == 0 and not goes_on
    if rest and notes:
        _write(record, [*result.values()])  # without half a line, so that lines can be appended
    bar = progress_bar(total=len(rest), desc="checking photos", unit="photo", disable=rank > 0 or len(rest) <= QUIET)
    pool = ThreadPoolExecutor(readers, thread_name_prefix="check_photo")
    try:
        with bar:
            for first in range(0, len(rest), CHUNK * readers):
                chunk = rest[first : first + CHUNK * readers]
                lines = []
                for line in pool.map(partial(_check, check), chunk):
                    lines.append(line)
                    bar.update()
                result |= {line["name"]: line for line in lines}
                if notes:
                    with record.open("ab") as file:
                        file.write(encode_lines(lines))
    finally:
        end_readers()
        pool.shutdown(cancel_futures=True)
    return result


def choose_photos(sources: Sequence["Source"], checked: dict[str, Line], record: Path, goes_on: bool) -> list["Source"]:
    """Returns the photos of a run: those without a problem, or those that the run has begun with.

    A warning names each photo that is left out, and counts those that were added later.

    Args:
        sources: the photos that were found.
        checked: what `check_photos` says of them.
        record: the file that was written when the run began.
        goes_on: whether the run has trained already, with the photos of the record.

    Raises:
        PhotoError: no photo can be used; or one that the run has begun with is gone or damaged.
    """
    begun, damaged = _read_begun(record, goes_on)
    if damaged:
        log.warning("%s: damaged; the run goes on with all files that are there now", record)
    usable = []
    for source in sources:
        problem = checked[source.name]["problem"]
        first = begun.get(source.name)
        if begun and first is None:
            continue
        if first is not None and first["problem"] is not None:
            problem = first["problem"]
        elif problem is not None and begun:
            raise PhotoError(f"{problem} (this run has begun with it: bring it back, or give another --run-dir)")
        if problem is not None:
            log.warning("left out %s", problem)
            continue
        usable.append(source.checked(first or checked[source.name]))
    present = {source.name for source in sources}
    gone = [name for name, line in begun.items() if line["problem"] is None and name not in present]
    if gone:
        raise PhotoError(
            f"{gone[0]}: {len(gone)} of the files that this run has begun with are gone, this one first; bring them "
            "back, or give another --run-dir"
        )
    if begun and (added := len(present - begun.keys())):
        log.warning("%d files were added since this run began; it goes on without them", added)
    if not usable:
        raise PhotoError(f"{checked[sources[0].name]['problem']} (none of {len(sources)} files can be used)")
    return usable


def write_record(record: Path, sources: Sequence["Source"], checked: dict[str, Line], goes_on: bool) -> None:
    """Writes the record of a run's photos.

    The record of a run that goes on keeps what it has begun with.
    """
    begun, _ = _read_begun(record, goes_on)
    names = [source.name for source in sources]
    lines = []
    for name in list(begun) or names:
        first, now = begun.get(name), checked.get(name)
        if first is not None and now is not None and first["problem"] is None and first["bytes"] != now["bytes"]:
            log.warning("%s: has changed since this run began; the result will be another one", name)
        lines.append(first if now is None or (first is not None and first["problem"]) else now)
    _write(record, [line for line in lines if line is not None])


def decode(path: Path) -> None:
    """Decodes a photo, and forgets it. Raises PhotoError as `read_photo`."""
    read_photo(path)


def _check(check: Check, source: "Source") -> Line:
    line: Line = {"name": source.name, **source.stamp()}
    try:
        facts = check(source) or {}
    except UserError as error:
        if not source.is_there():
            raise PhotoError(f"{source.path}: has vanished while it was checked; bring it back") from None
        return {**line, "problem": str(error)}
    return {**line, "problem": None, **facts}


def _still_true(source: "Source", known: dict[str, Line]) -> Line | None:
    line = known.get(source.name)
    if line is None or line["problem"] or source.stamp() != {key: line.get(key) for key in ("bytes", "modified_ns")}:
        return None
    return line


def _read_begun(record: Path, goes_on: bool) -> tuple[dict[str, Line], bool]:
    """Returns the photos that a run has begun with, and whether their record is damaged.

    A part of the record would pass for all of it. So a damaged one counts as none.
    """
    known, damaged = _read(record) if goes_on else ({}, 0)
    return ({}, True) if damaged else (known, False)


def _read(record: Path) -> tuple[dict[str, Line], int]:
    """Returns the lines of a record by the names of photos, and how many cannot be understood."""
    lines, damaged = read_lines(record, "--run-dir")
    whole = [line for line in lines if _is_whole(line)]
    return {line["name"]: line for line in whole}, damaged + len(lines) - len(whole)


def _is_whole(line: Line) -> bool:
    counts = isinstance(line.get("bytes"), int) and isinstance(line.get("modified_ns"), int)
    return counts and isinstance(line.get("name"), str) and isinstance(line.get("problem", 0), str | None)


def _write(record: Path, lines: Sequence[Line]) -> None:
    write_bytes(record, encode_lines(lines))
