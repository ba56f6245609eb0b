"""The values of TIFFs of 1 to 16 bits a channel, exactly as stored.

Pillow brings libtiff along, which decompresses what is common, but Pillow has no pictures of such
depths in colour. So the same strips or tiles are described to it once more, as a grey picture of
bytes, and the bytes are taken apart here.
"""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.photo_files.pillow import opened
from cycleisp.dataloaders.photo_files.stored import PhotoError

# Compressions whose result is the rows as they are: none, LZW, deflate, PackBits, LZMA, Zstandard.
_LOSSLESS = (1, 5, 8, 32946, 32773, 34925, 50000)
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_SHORT, _LONG, _LONG8 = 3, 4, 16  # types of TIFF's values


def stored_samples(content: bytes, page: Any, bits: int, path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Returns the grey or RGB of a page: up to 8 bits over the whole range of 8, others of 16.

    White stays white: a value of b bits becomes value * 65535 / (2**b - 1), rounded. (That differs
    from 16 * value by at most 15 of 65535 for 12 bits.) Alpha that is opaque everywhere is dropped.

    Args:
        content: the file.
        page: tifffile's description of the page.
        bits: its depth.
        path: the file's name, for messages.

    Returns:
        (H, W) or (H, W, 3), not turned by its orientation.

    Raises:
        PhotoError: it is transparent, or of a kind that is not read in this depth.
    """
    channels = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3}.get(int(page.photometric), 0)
    predictor, compression = int(page.predictor), int(page.compression)
    if not 0 < channels <= page.samplesperpixel or compression not in _LOSSLESS or predictor not in (1, 2):
        kind = (
            f"{getattr(page.photometric, 'name', page.photometric)}, {getattr(page.compression, 'name', compression)}"
        )
        raise PhotoError(
            f"{path}: holds {bits} bits a channel as {kind}, which is not read; save it as 8 or 16 bit sRGB"
        )
    if predictor == 2 and bits not in (8, 16):
        raise PhotoError(
            f"{path}: holds differences of {bits} bits (predictor), which are not read; save it as 16 bit sRGB"
        )
    apart = int(page.planarconfig) == 2 and page.samplesperpixel > 1
    planes = page.samplesperpixel if apart else 1
    parts = [_plane(content, page, bits, plane, planes) for plane in range(planes)]
    samples = np.concatenate(parts, axis=2) if apart else parts[0]
    top = 2**bits - 1
    if (samples[..., channels:] < top).any():
        raise PhotoError(f"{path}: has an alpha channel; flatten it onto a background first")
    colors = samples[..., 0] if channels == 1 else samples[..., :3]
    if int(page.photometric) == _WHITE_IS_ZERO:
        colors = top - colors
    if bits in (8, 16):
        return np.ascontiguousarray(colors)
    whole: type = np.uint8 if bits < 8 else np.uint16
    return np.rint(np.arange(top + 1) * (np.iinfo(whole).max / top)).astype(whole)[colors]


def _plane(content: bytes, page: Any, bits: int, plane: int, planes: int) -> NDArray[Any]:
    """Returns one of the planes in which a page is stored, (H, W, samples)."""
    samples = page.samplesperpixel // planes
    width, height = page.imagewidth, page.imagelength
    piece = page.tilewidth if page.is_tiled else width
    across = -(-width // piece)
    row_bytes = -(-piece * samples * bits // 8)
    count = len(page.dataoffsets) // planes
    pieces = slice(plane * count, (plane + 1) * count)
    _check_pieces(page, pieces, len(content), row_bytes * across * height)
    described = _as_bytes(content, page, row_bytes, across, pieces)
    with opened(described, "TIFF") as image:
        image.load()
        rows = np.asarray(image).reshape(height * across, row_bytes)
    values = _unpacked(rows, bits, piece * samples, ">" if content[:2] == b"MM" else "<")
    values = values.reshape(height * across, piece, samples)
    if int(page.predictor) == 2:
        values = np.cumsum(values, axis=1, dtype=values.dtype)
    return values.reshape(height, across * piece, samples)[:, :width]


def _check_pieces(page: Any, pieces: slice, stored: int, needed: int) -> None:
    """Checks that the strips or tiles lie inside of the file."""
    ends = [place + count for place, count in zip(page.dataoffsets[pieces], page.databytecounts[pieces], strict=True)]
    whole = int(page.compression) != 1 or sum(page.databytecounts[pieces]) >= needed
    if not ends or max(ends) > stored or not whole:
        raise ValueError("truncated")


def _as_bytes(content: bytes, page: Any, row_bytes: int, across: int, pieces: slice) -> bytes:
    """Returns the file with a description of the page in which a pixel is a byte of grey.

    The description is little-endian, whatever the file is: Pillow opens no other BigTIFF.
    """
    order, big = "<", content[2:4] in (b"+\0", b"\0+")
    layout: dict[int, tuple[int, ...]] = {
        256: (row_bytes * across,),  # width
        257: (page.imagelength,),
        258: (8,),  # bits
        259: (int(page.compression),),
        262: (_BLACK_IS_ZERO,),
        266: (int(page.fillorder),),
        277: (1,),  # samples of a pixel
    }
    places, counts = tuple(page.dataoffsets[pieces]), tuple(page.databytecounts[pieces])
    if page.is_tiled:
        layout |= {322: (row_bytes,), 323: (page.tilelength,), 324: places, 325: counts}
    else:
        layout |= {273: places, 278: (page.rowsperstrip,), 279: counts}
    offset = len(content)
    room, number, code = (8, "Q", _LONG8) if big else (4, "I", _LONG)
    entries, beyond = b"", b""
    start = offset + (16 if big else 6) + len(layout) * (20 if big else 12)
    for tag, values in sorted(layout.items()):
        stored = struct.pack(f"{order}{len(values)}{number}", *values)
        if len(stored) > room:
            stored, beyond = struct.pack(f"{order}{number}", start + len(beyond)), beyond + stored
        entries += struct.pack(f"{order}HH{number}", tag, code, len(values)) + stored
    head = struct.pack(f"{order}{'Q' if big else 'H'}", len(layout)) + entries + bytes(room)
    where = struct.pack(f"{order}{number}", offset)
    return (b"II+\0\x08\0\0\0" if big else b"II*\0") + where + content[16 if big else 8 :] + head + beyond


def _unpacked(rows: NDArray[np.uint8], bits: int, count: int, order: str) -> NDArray[Any]:
    """Returns the first `count` values of every row of packed bytes (N, bytes)."""
    if bits == 8:
        return rows[:, :count]
    if bits == 16:
        return np.ascontiguousarray(rows).view(f"{order}u2")[:, :count].astype(np.uint16)
    group = 8 // np.gcd(bits, 8)  # values after which the pattern of bytes repeats
    group_bytes, groups = group * bits // 8, -(-count // group)
    padded = np.zeros((len(rows), groups * group_bytes + 2), np.uint8)
    padded[:, : rows.shape[1]] = rows[:, : padded.shape[1]]
    values = np.empty((len(rows), groups, group), np.uint16)
    for number in range(group):
        first, used = divmod(number * bits, 8)
        window = [padded[:, first + byte :: group_bytes][:, :groups].astype(np.uint32) for byte in range(3)]
        joined = window[0] << 16 | window[1] << 8 | window[2]
        values[..., number] = joined >> (24 - used - bits) & (2**bits - 1)
    return values.reshape(len(rows), -1)[:, :count]
