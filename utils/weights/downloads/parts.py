"""A file while it is downloaded: `.NAME.part` beside its final place, which can grow later."""

import contextlib
import os
import shutil
import socket
import stat
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.weights.errors import DownloadError

LARGEST = 1 << 30  # bytes of a file whose size is unknown; these networks have some 13 MB


class SourceFailedError(Exception):
    """One source did not give the file; the part that came is kept."""


class WrongContentError(SourceFailedError):
    """One source gave something else; nothing of it is kept."""


class Part:
    """A file while it grows.

    It accepts no more bytes than the file can have, and none for which the disk has no room. Links
    are never followed: whoever may write to the folder could lead the bytes elsewhere.

    Args:
        path: where to write.
        name: what the progress bar calls the file.
        expected: bytes of the whole file, or None where that is unknown.
        keep: append to what `path` holds already.
    """

    def __init__(self, path: Path, name: str, expected: int | None, keep: bool) -> None:
        self.path, self.name, self.expected = path, name, expected
        self.announced: int | None = None
        self.received = 0  # bytes that have come through this object
        self.sockets: list[socket.socket] = []  # over which they come
        self.file = _open(path, keep)
        self._anew = False
        self._bar: tqdm | None = None

    @property
    def size(self) -> int:
        """Returns the number of bytes so far."""
        return 0 if self._anew else self.file.tell()

    def restart(self) -> None:
        """Discards what came before as soon as something new comes."""
        self._anew = True

    def announce(self, total: int | None) -> None:
        """Takes the size of the whole file in bytes; None where that is unknown."""
        if total is None:
            return
        if total > LARGEST or total != (self.expected or total):
            # Drive says so after the first block, which is then of another file.
            error = SourceFailedError if self._bar is None else WrongContentError
            raise error(f"announces {total} bytes, expected {self.expected or f'at most {LARGEST}'}")
        self.announced = total
        if self._bar is not None:
            self._bar.total = total
        needed, free = total - self.size, shutil.disk_usage(self.path.parent).free
        if needed > free:
            raise DownloadError(f"{self.path.parent}: {needed} bytes are needed, {free} are free; make room")

    def write(self, block: bytes) -> int:
        """Appends a block; returns its length, as files do."""
        limit = LARGEST if self.announced is None else self.announced
        if self.size + len(block) > limit:
            raise WrongContentError(f"gives more than the {limit} bytes expected")
        try:
            if self._anew:
                self.file.seek(0)
                self.file.truncate()
                self._anew = False
            if self._bar is None:
                options = {"desc": self.name, "unit": "B", "unit_scale": True}
                self._bar = progress_bar(total=self.announced, initial=self.size, **options)
            self.file.write(block)
        except OSError as error:
            raise DownloadError(f"{self.path}: cannot be written ({error.strerror})") from None
        self.received += len(block)
        self._bar.update(len(block))
        return len(block)

    def flush(self) -> None:
        """Passes what was written on to the operating system."""
        self.file.flush()

    def check_whole(self) -> None:
        """Raises a SourceFailedError if nothing came, or less than was announced."""
        if self.size == 0:
            raise SourceFailedError("gives nothing")
        if self.announced is not None and self.size < self.announced:
            raise SourceFailedError(f"ended after {self.size} of {self.announced} bytes")

    def give_up(self) -> None:
        """Ends the connections over which the file comes; who waits for them gets an error."""
        for connection in self.sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes the file, and removes it if it is empty."""
        if self._bar is not None:
            self._bar.close()
        self.file.close()
        if self.path.lstat().st_size == 0:
            self.path.unlink()


def begun(path: Path) -> int:
    """Returns how many bytes of a file an earlier try has left; 0 where nothing can be built upon.

    A link, or another user's file, does not count.
    """
    try:
        return path.lstat().st_size if _is_ours(path.lstat()) else 0
    except FileNotFoundError:
        return 0


def _open(path: Path, keep: bool) -> BinaryIO:
    """Opens a file of ours to append to, or a new one."""
    no_links = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # nor pipes that nobody reads
    if keep:
        with contextlib.suppress(OSError):
            file = os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | no_links), "ab")
            if _is_ours(os.fstat(file.fileno())):
                return file
            file.close()
    path.unlink(missing_ok=True)  # the link, not what it leads to
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | no_links, 0o666), "ab")


def _is_ours(found: os.stat_result) -> bool:
    """Returns whether a file is an ordinary one of this user, known under one name only."""
    own = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and own
