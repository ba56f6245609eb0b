"""HEIC and AVIF, which Pillow reads by itself (AVIF, from 11.3 on) or with pillow-heif (HEIC)."""

import importlib
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import features

from cycleisp.dataloaders.photo_files.exif import exif_of_bytes, says_adobe_rgb, without_orientation
from cycleisp.dataloaders.photo_files.pillow import decoded, opened
from cycleisp.dataloaders.photo_files.stored import PhotoError, StoredPhoto, check_size
from cycleisp.utils.output.metadata import PhotoMetadata

AVIF_BRANDS = frozenset((b"avif", b"avis"))
HEIC_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))
_LONGEST_HEAD = 1 << 20  # bytes in which a file describes its pictures


def brands_of(content: bytes) -> frozenset[bytes]:
    """Returns the brands that a file of ISO's media format names; none for other files."""
    if content[4:8] != b"ftyp":
        return frozenset()
    size = min(int.from_bytes(content[:4], "big"), 256)
    return frozenset((content[8:12], *(content[at : at + 4] for at in range(16, size, 4))))


def read_heif(content: bytes, path: Path) -> StoredPhoto:
    """Reads the main picture of a HEIC or AVIF file.

    Raises:
        PhotoError: what decodes it is not installed; it is too large, or transparent.
        Exception: whatever decoders raise about damage.
    """
    return _read_avif(content, path) if brands_of(content) & AVIF_BRANDS else _read_heic(content, path)


def _read_avif(content: bytes, path: Path) -> StoredPhoto:
    if not features.check("avif"):
        raise PhotoError(f"{path}: is an AVIF, which needs Pillow 11.3 or newer; use pip install -U pillow")
    with opened(content, "AVIF") as image:
        check_size(path, image.height, image.width)
        photo = decoded(image, path)
    place = content.find(b"colrnclx", 0, _LONGEST_HEAD) + 8
    codes = struct.unpack_from(">HH", content, place) if 8 <= place <= len(content) - 4 else (2, 2)
    return replace(photo, metadata=_with_codes(photo.metadata, *codes))


def _read_heic(content: bytes, path: Path) -> StoredPhoto:
    try:
        pillow_heif: Any = importlib.import_module("pillow_heif")
    except ImportError:
        raise PhotoError(f"{path}: is a HEIC, which needs an extra; use pip install 'cycleisp[heif]'") from None
    picture = pillow_heif.open_heif(content, convert_hdr_to_8bit=False)
    check_size(path, picture.size[1], picture.size[0], 2)
    pixels = np.array(picture)  # a copy, since an array without one reads memory that goes with the picture
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        if pixels[..., -1].min() < _white(picture, pixels):
            raise PhotoError(f"{path}: has an alpha channel; flatten it onto a background first")
        pixels = pixels[..., :-1]
    if pixels.dtype == np.uint16:  # their lowest bits are empty; white becomes white
        pixels = np.rint(np.arange(65536).clip(0, _white(picture, pixels)) * (65535 / _white(picture, pixels)))[pixels]
        pixels = pixels.astype(np.uint16)
    exif = exif_of_bytes(picture.info.get("exif"))  # its orientation is undone by the decoder
    adobe_rgb, codes = says_adobe_rgb(exif), picture.info.get("nclx_profile") or {}
    metadata = PhotoMetadata(without_orientation(exif), picture.info.get("icc_profile"))
    metadata = _with_codes(metadata, codes.get("color_primaries", 2), codes.get("transfer_characteristics", 2))
    colors = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    return StoredPhoto(np.ascontiguousarray(colors), metadata, adobe_rgb)


def _white(picture: Any, pixels: NDArray) -> int:
    """Returns the stored value of white: 65472 for 10 bits, which are moved up to 16."""
    if pixels.dtype == np.uint8:
        return 255
    return 65536 - (1 << (16 - picture.info.get("bit_depth", 16)))


def _with_codes(metadata: PhotoMetadata, primaries: int, transfer: int) -> PhotoMetadata:
    """Adds colour codes (H.273) to metadata, where there is no profile and they are not sRGB's.

    BT.709's curve counts as sRGB's, as viewers take it in pictures.
    """
    srgb = primaries in (1, 2) and transfer in (1, 2, 6, 13)
    if metadata.icc_profile or srgb or max(primaries, transfer) > 255:
        return metadata
    return replace(metadata, color_chunks=((b"cICP", bytes((primaries, transfer, 0, 1))),))
