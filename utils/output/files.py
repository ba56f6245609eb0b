"""Writing of files that are either whole or absent, even if the process is killed."""

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STALE = 24 * 3600  # seconds after which a temporary file that nobody has touched counts as left behind
_BLOCK = 1 << 20  # bytes
_TEMPORARY = re.compile(r"\.cycleisp-[0-9a-f]{16}\.part")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path to write to, and renames it to `path` when the block succeeds.

    The temporary file lies beside `path`, in a folder that is made as needed. It is a new and empty
    file with an unpredictable name, so that no link can lead its bytes elsewhere, and two processes
    never meet in it. An error removes it. A process that is killed inside of the block leaves it
    behind; `remove_temporary_files` takes it away.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _new_file(path.parent)
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a whole file or none."""
    with atomic_path(path) as part:
        part.write_bytes(content)


def allocate(path: Path) -> None:
    """Gives every byte of a file its place on the disk, without changing any.

    A file that is mapped into memory may have holes. Where the disk is full when a hole is filled,
    the system ends the process. Here it is an error.

    Raises:
        OSError: the disk is full.
    """
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
            return
        for start in range(0, size, _BLOCK):  # where the system has no such call, as on macOS
            file.seek(start)
            content = file.read(_BLOCK)
            file.seek(start)
            file.write(content)


def remove_temporary_files(folder: Path, older_than: float = STALE) -> None:
    """Removes what killed processes left behind in a folder and the folders below it.

    Args:
        folder: the folder; it need not exist.
        older_than: seconds since a temporary file was last written. 0 is safe where this process
            alone writes to the folder (`utils.output.claim`).
    """
    before = time.time() - older_than
    for place, _, names in os.walk(folder):
        for name in filter(_TEMPORARY.fullmatch, names):
            part = Path(place, name)
            try:
                if part.lstat().st_mtime <= before:
                    part.unlink()
            except OSError:
                continue  # another process has finished or removed it meanwhile


def _new_file(folder: Path) -> Path:
    """Makes an empty file that did not exist before, and returns its path."""
    while True:
        part = folder / f".cycleisp-{secrets.token_hex(8)}.part"
        try:
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        except FileExistsError:
            continue
        return part
