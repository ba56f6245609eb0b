"""The identity of a file's content: its hash, and a stamp that saves hashing it again."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

Stamp = tuple[int, int, int, int]


@dataclass(frozen=True)
class Fingerprint:
    """What is known of the content of a file.

    Attributes:
        sha256: the hash of its bytes, 64 hex digits.
        stamp: its size, its times of modification and of change in nanoseconds, and its inode. As
            long as all four are the same, so is the content: a program can restore the time of
            modification, but not the time of change. None where it is unknown.
    """

    sha256: str
    stamp: Stamp | None = None

    @classmethod
    def of(cls, path: Path, known: "Fingerprint | None" = None) -> "Fingerprint":
        """Returns the fingerprint of a file.

        Args:
            path: the file.
            known: an earlier fingerprint. The file is not read if it has the same stamp.

        Raises:
            OSError: the file cannot be read.
        """
        stamp = stamp_of(path)  # before the bytes are read, so that a change meanwhile is seen next time
        if known is not None and known.stamp == stamp:
            return known
        return cls(file_sha256(path), stamp)

    def has_content_of(self, path: Path) -> bool:
        """Tells whether a file has the content of this fingerprint. A file that is gone has not."""
        try:
            return Fingerprint.of(path, self).sha256 == self.sha256
        except OSError:
            return False

    def to_json(self, prefix: str = "") -> dict[str, object]:
        """Returns the keys `sha256` and `stamp` for a record, each with a prefix."""
        return {f"{prefix}sha256": self.sha256, f"{prefix}stamp": self.stamp and list(self.stamp)}

    @classmethod
    def from_json(cls, record: object, prefix: str = "") -> "Fingerprint | None":
        """Returns what `to_json` has written, or None where a record does not hold it."""
        if not isinstance(record, dict):
            return None
        sha256, stamp = record.get(f"{prefix}sha256"), record.get(f"{prefix}stamp")
        if not isinstance(sha256, str) or len(sha256) != 64:
            return None
        if isinstance(stamp, list) and len(stamp) == 4 and all(type(number) is int for number in stamp):
            return cls(sha256, (stamp[0], stamp[1], stamp[2], stamp[3]))
        return cls(sha256)


def stamp_of(path: Path) -> Stamp:
    """Returns the stamp of a file, as `Fingerprint` describes it."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes as 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
