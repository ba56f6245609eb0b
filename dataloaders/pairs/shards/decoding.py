"""The pictures and RAW planes of a pair, from the bytes of a shard.

The check before a training calls these functions in processes apart, which import no PyTorch, and
so does everything that this module imports.
"""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.photos import PhotoError, decode_photo
from cycleisp.utils.errors import UserError, reading
from cycleisp.utils.limits import check_bytes, check_pixels, check_stored

ADVICE = "get the shard again, or make it again"
_PLANES = {"clean": np.uint16, "noisy": np.uint16, "variance": np.float32}  # of a RAW pair


@dataclass(frozen=True)
class Members:
    """Where the members of one pair lie in a shard, which a training reads in one piece.

    Attributes:
        name: of the shard and the pair, for messages.
        start, size: of the piece in bytes.
        places: where its members lie in the piece, each as (offset, size): noisy and clean, or the
            one member that holds both RAW mosaics.
        side: the shorter side in pixels of the photo, by the index.
    """

    name: str
    start: int
    size: int
    places: tuple[tuple[int, int], ...]
    side: int


def decode_members(piece: bytes, members: Members) -> tuple[NDArray, NDArray]:
    """Decodes noisy and clean of a pair.

    Returns:
        Photos (H, W, 3) uint8 or uint16, or packed RGGB (4, H/2, W/2) uint16.

    Raises:
        UserError: the piece is truncated or damaged, or holds pictures of other sizes than the
            index says.
    """
    name = members.name
    if len(piece) != members.size:
        raise UserError(f"{name}: the shard ends after {len(piece)} of its {members.size} bytes; {ADVICE}")
    parts = [piece[offset : offset + size] for offset, size in members.places]
    noisy: NDArray
    clean: NDArray
    if len(parts) == 1:
        noisy, clean = decode_planes(parts[0], name, ("noisy", "clean")).values()
        side, shorter = members.side // 2, min(noisy.shape[1:])
    else:
        place = cast(Path, name)  # for messages alone; a Path would not keep the // of a URL
        with reading(name, PhotoError, ADVICE):
            noisy, clean = (decode_photo(part, place) for part in parts)
        side, shorter = members.side, min(noisy.shape[:2])
    if noisy.shape != clean.shape or noisy.dtype != clean.dtype or shorter < side:
        raise UserError(
            f"{name}: noisy is {noisy.dtype} {noisy.shape} and clean {clean.dtype} {clean.shape}, expected equal ones "
            f"of a photo whose shorter side is {members.side}; {ADVICE}"
        )
    return noisy, clean


def check_members(path: Path, members: Members) -> None:
    """Decodes a pair of a shard on this machine, and forgets it. Raises UserError, as above."""
    with reading(path, advice=ADVICE), path.open("rb") as file:
        file.seek(members.start)
        piece = file.read(members.size)
    decode_members(piece, members)


def decode_planes(content: bytes, name: str, keys: Sequence[str] | None = None) -> dict[str, NDArray]:
    """Reads the planes of a RAW pair from the .npz of a shard.

    Args:
        content: the bytes of the .npz.
        name: of the shard and the pair, for messages.
        keys: which planes; None reads `clean`, `noisy`, and `variance` if it is there.

    Returns:
        The planes by their keys, each (4, H/2, W/2), uint16 or, of the variance, float32.

    Raises:
        UserError: the file is damaged, lacks a plane, holds other arrays, or claims more than a
            file may.
    """
    with reading(name, advice=ADVICE), zipfile.ZipFile(io.BytesIO(content)) as archive:
        if keys is None:
            keys = [key for key in _PLANES if key != "variance" or f"{key}.npy" in archive.namelist()]
        return {key: _read_plane(archive, key, name) for key in keys}


def _read_plane(archive: zipfile.ZipFile, key: str, name: str) -> NDArray:
    """Reads one array, whose claims are compared with what is stored first."""
    info = archive.getinfo(f"{key}.npy")
    check_bytes(name, info.file_size)
    check_stored(name, info.file_size, info.compress_size)
    with archive.open(info) as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    expected = np.dtype(_PLANES[key])
    if dtype != expected or len(shape) != 3 or shape[0] != 4:
        raise UserError(f"{name}: {key} is {dtype} {shape}, expected {expected} (4, H/2, W/2); {ADVICE}")
    check_pixels(name, 2 * shape[1], 2 * shape[2])
    check_stored(name, expected.itemsize * shape[0] * shape[1] * shape[2], info.file_size, ratio=1)
    with archive.open(info) as file:
        return np.lib.format.read_array(file, allow_pickle=False)
