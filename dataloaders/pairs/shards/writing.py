"""Writes one shard: a tar whose bytes depend on its members alone, and the index beside it."""

import hashlib
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from cycleisp.dataloaders.pairs.shards.layout import ABOUT, MEMBERS, ShardEntry, index_of

_BLOCK = tarfile.BLOCKSIZE
_MODE = 0o644


class ShardWriter:
    """Writes a tar, pair after pair, and its index at the end.

    Headers state no time, user or machine. An error inside of the `with` block removes what was
    written.

    >>> with ShardWriter(work / "pairs-000000.tar") as writer:
    ...     writer.add("000000000", {"clean.png": clean, "noisy.png": noisy, "json": b"{}"}, about)
    ...     entry = writer.finish()

    Args:
        path: the tar. The index comes beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._index: dict[str, Any] = {}
        self._file = _HashedFile(path)
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)  # type: ignore[call-overload]  # noqa: SIM115

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard()

    def discard(self) -> None:
        """Closes and removes what was written."""
        self._file.close()
        for path in (self.path, Path(index_of(str(self.path)))):
            path.unlink(missing_ok=True)

    def add(self, key: str, members: Mapping[str, bytes], about: Mapping[str, Any]) -> None:
        """Appends a pair.

        Args:
            key: its key, without a dot.
            members: their bytes by their names, such as `clean.png`.
            about: what the index shall say of the pair, the keys of `layout.ABOUT`.

        Raises:
            ValueError: the key is there already or has a dot, or a member or key is unknown.
            OSError: the disk is full or cannot be written.
        """
        if key in self._index or "." in key or "/" in key:
            raise ValueError(f"expected a new key without dot and slash, got {key!r}")
        if not members or not set(members) <= set(MEMBERS) or set(about) != set(ABOUT):
            raise ValueError(f"expected members of {MEMBERS} and about of {ABOUT}, got {[*members]} and {[*about]}")
        places = {}
        for member, content in members.items():
            header = tarfile.TarInfo(f"{key}.{member}")  # its time, user and group are 0, and names empty
            header.size, header.mode = len(content), _MODE
            self._tar.addfile(header, _Content(content))
            filled = -len(content) % _BLOCK
            places[member] = [self._file.tell() - filled - len(content), len(content)]
        self._index[key] = {"members": places, **about}

    def finish(self) -> ShardEntry:
        """Ends the tar, writes the index, and returns the line of the list.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        self._tar.close()
        self._file.close()
        name = self.path.name
        entry = ShardEntry(name, self._file.written, self._file.sha256, len(self._index))
        content = {"shard": name, "bytes": entry.bytes, "sha256": entry.sha256, "pairs": self._index}
        Path(index_of(str(self.path))).write_bytes(json.dumps(content).encode("ascii"))
        return entry


class _HashedFile:
    """A new file that counts and hashes what is written to it."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("xb")
        self._digest = hashlib.sha256()
        self.written = 0

    def write(self, content: bytes) -> int:
        self._file.write(content)
        self._digest.update(content)
        self.written += len(content)
        return len(content)

    def tell(self) -> int:
        return self.written

    def close(self) -> None:
        self._file.close()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class _Content:
    """Bytes that tarfile reads in pieces, without a copy of the whole."""

    def __init__(self, content: bytes) -> None:
        self._rest = memoryview(content)

    def read(self, size: int = -1) -> memoryview:
        size = len(self._rest) if size < 0 else size
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece
