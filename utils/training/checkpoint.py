"""Checkpoints that are whole or refused: a checksum inside of the file, and no code from it.

A checkpoint is what `torch.save` writes, a zip archive. The comment at the end of the archive holds
the SHA-256 of all bytes before it, which other readers of the format skip. Checkpoints of earlier
versions have no comment. Of those, the checksums of the archive's members are compared.
"""

import hashlib
import io
import logging
import os
import pickle
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO

from cycleisp.utils.limits import check_bytes

_END = b"PK\5\6"  # the record at the end of a zip archive, APPNOTE.TXT 4.3.16
_END_BYTES = 22  # its length; the last two bytes are the length of the comment that follows
_WORD = b"cycleisp sha256 "
_COMMENT_BYTES = len(_WORD) + 64

log = logging.getLogger(__name__)


class CheckedCheckpoints(CheckpointIO):
    """Writes and reads the checkpoints of Fabric."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Writes a checkpoint with its checksum. The disk has it when the call returns.

        Raises:
            OSError: the disk is full, or cannot be written.
        """
        memory = io.BytesIO()
        torch.save(checkpoint, memory)
        content = memory.getbuffer()
        comment = _WORD + hashlib.sha256(content).hexdigest().encode()
        with Path(path).open("wb") as file:
            file.write(content[:-2])
            file.write(struct.pack("<H", len(comment)) + comment)
            file.flush()
            os.fsync(file.fileno())

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: Any = None, **_: Any) -> Any:
        """Reads a checkpoint, after comparing its checksum.

        Raises:
            ValueError: the file is empty, truncated, changed, or none of this format.
            Exception: whatever `torch.load` raises for content of another kind.
        """
        check_whole(Path(path))
        with _only_plain_objects():
            return torch.load(path, map_location="cpu", weights_only=True)

    def remove_checkpoint(self, path: Any) -> None:
        """Removes a checkpoint."""
        Path(path).unlink(missing_ok=True)


def read_state(path: Path) -> dict[str, Any]:
    """Reads what a checkpoint holds. Its tensors are mapped from the file, and take no memory.

    Raises:
        ValueError, Exception: as `CheckedCheckpoints.load_checkpoint`; or it holds no names.
    """
    check_whole(path)
    with _only_plain_objects():
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if not isinstance(state, dict):
        raise ValueError(f"it holds a {type(state).__name__}, not the state of a run")
    return state


@contextmanager
def _only_plain_objects() -> Iterator[None]:
    """Turns PyTorch's refusal of a pickle into words."""
    try:
        yield
    except pickle.UnpicklingError as error:
        log.debug("%s", error)
        raise ValueError("it holds other objects than tensors, numbers and text") from None


def check_whole(path: Path) -> None:
    """Compares the bytes of a checkpoint with the checksum that it holds.

    Raises:
        ValueError: they differ, or it is no checkpoint.
        UserError: it is larger than the limit of `utils.limits`.
    """
    size = path.stat().st_size
    check_bytes(path, size)
    if size == 0:
        raise ValueError("the file is empty")
    with path.open("rb") as file:
        file.seek(max(0, size - _END_BYTES - _COMMENT_BYTES))
        tail = file.read()
        comment = tail[-_COMMENT_BYTES:]
        if tail[:4] == _END and comment.startswith(_WORD):
            if tail[_END_BYTES - 2 : _END_BYTES] != struct.pack("<H", _COMMENT_BYTES):
                raise ValueError("its checksum differs: the file has changed since it was written")
            file.seek(0)
            if _sha256(file, size - _COMMENT_BYTES - 2) != comment[len(_WORD) :].decode("ascii", "replace"):
                raise ValueError("its checksum differs: the file has changed since it was written")
        elif tail[-_END_BYTES:].startswith(_END) and tail[-2:] == b"\0\0":
            _check_members(path, size)
        else:
            raise ValueError("it does not end as a checkpoint does: truncated, or no checkpoint")


def _sha256(file: io.BufferedReader, count: int) -> str:
    """Returns the SHA-256 of the next bytes of a file, and of the empty comment's length."""
    digest = hashlib.sha256()
    while count and (block := file.read(min(count, 1 << 20))):
        digest.update(block)
        count -= len(block)
    digest.update(b"\0\0")
    return digest.hexdigest()


def _check_members(path: Path, size: int) -> None:
    """Compares the checksums of a zip archive's members, which `torch.save` stores as they are."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if any(member.compress_type for member in members) or sum(member.file_size for member in members) > size:
            raise ValueError("its members are larger than the file")
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"the checksum of its member {damaged} differs")
