"""A bounded folder of parts of remote files, which all processes of a machine share.

A training draws its pairs at random from all shards. So what is kept is what was asked for, a pair
at a time, and never a whole shard for the sake of one pair. When the folder is full, the copies
that were not used for the longest time give way.

A copy is written aside and renamed, with a checksum at its end: a copy that is damaged, as after a
power cut, is fetched again. Writers hold a lock of the operating system, which dies with them, and
note the size of a copy before they write it. So the folder never takes more than its limit,
whichever process is killed at whatever time. Readers need no lock.
"""

import contextlib
import hashlib
import logging
import os
import zlib
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from cycleisp.utils.errors import reason
from cycleisp.utils.output.files import remove_temporary_files, write_bytes

LOCK, TOTAL = ".cycleisp.lock", ".cycleisp.total"
_CHECKSUM = 4  # bytes at the end of a copy
_FULL_TO = 0.9  # of the limit, when room is made: each time it is, the whole folder is listed
log = logging.getLogger(__name__)


def default_folder() -> Path:
    """Returns the user's folder for copies, which need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "cycleisp", "shards")


class LocalCopies:
    """Copies of parts of remote files.

    Args:
        folder: the folder, on a disk of this machine. It is made when it is first needed.
        limit: how many bytes all copies may take together. 0 keeps none.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._works = limit > 0

    def get(self, key: str, fetch: Callable[[], bytes]) -> bytes:
        """Returns the bytes of a key: those of its copy, or else what `fetch` returns.

        A folder that cannot be written costs a warning, and speed.

        Args:
            key: names the content, which must never change, so that it holds a hash of the file.
            fetch: reads the content where it comes from. Its errors pass unchanged.
        """
        path = self._place(key)
        content = _read(path) if self._works else None
        if content is None:
            content = fetch()
            if self._works:
                try:
                    self._keep(path, content)
                except OSError as error:
                    self._works = False
                    log.warning(
                        "%s: copies of remote pairs cannot be written (%s); this process goes on without",
                        self.folder,
                        reason(error),
                    )
        return content

    def forget(self, key: str) -> None:
        """Removes the copy of a key, if there is one."""
        with contextlib.suppress(OSError):
            self._place(key).unlink()  # what the folder is noted to take stays too large, which does no harm

    def _place(self, key: str) -> Path:
        digest = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
        return self.folder / digest[:2] / digest[2:]

    def _keep(self, path: Path, content: bytes) -> None:
        """Writes a copy, if it fits into the folder at all. Raises OSError."""
        size = len(content) + _CHECKSUM
        if size > self.limit:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / LOCK):
            if path.exists() and _read(path) is not None:  # by another process meanwhile
                return
            total = self._noted_total()
            if total is None or total + size > self.limit:
                total = self._make_room(size)
            (self.folder / TOTAL).write_text(f"{total + size}\n", encoding="ascii")
            write_bytes(path, content + _checksum(content))

    def _noted_total(self) -> int | None:
        """Returns how many bytes the copies take at most; None if that is unknown."""
        try:
            text = (self.folder / TOTAL).read_text(encoding="ascii")
            return int(text) if text.endswith("\n") else None
        except (OSError, ValueError):
            return None

    def _make_room(self, size: int) -> int:
        """Removes the oldest copies until some bytes more fit, and returns what the others take."""
        remove_temporary_files(self.folder, older_than=0)  # of killed processes: the lock keeps all others out
        copies = []
        for place in self.folder.glob("[0-9a-f][0-9a-f]"):
            with os.scandir(place) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    copies.append((status.st_mtime_ns, status.st_size, entry.path))
        total = sum(taken for _, taken, _ in copies)
        if total + size <= self.limit:
            return total
        most = max(0, int(_FULL_TO * self.limit) - size)
        for _, taken, oldest in sorted(copies):
            if total <= most:
                break
            with contextlib.suppress(FileNotFoundError):
                Path(oldest).unlink()
            total -= taken
        return total


def _read(path: Path) -> bytes | None:
    """Returns the content of a copy, which counts as used now; None if there is no whole copy."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    content, checksum = stored[:-_CHECKSUM], stored[-_CHECKSUM:]
    if checksum != _checksum(content):
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return content


def _checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(_CHECKSUM, "big")
