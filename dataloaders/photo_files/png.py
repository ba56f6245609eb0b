"""PNG: its chunks are read here, and decoders get only those that make up the picture.

So a text or profile that inflates without end is never inflated, and what a decoder would do about
colours and orientation by itself does not matter.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.photo_files.exif import exif_of_bytes, orientation_of, says_adobe_rgb, without_orientation
from cycleisp.dataloaders.photo_files.pillow import colors_without_alpha, opened
from cycleisp.dataloaders.photo_files.stored import PhotoError, StoredPhoto, check_size, warn
from cycleisp.utils.color.png_colors import COLOR_CHUNKS
from cycleisp.utils.limits import check_stored
from cycleisp.utils.orientation import upright
from cycleisp.utils.output.metadata import PhotoMetadata

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PICTURE = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_LONGEST_PROFILE = 16 << 20  # bytes; profiles of printers take one or two million
_LONGEST_TEXT = 1 << 20


def read_png(content: bytes, path: Path) -> StoredPhoto:
    """Reads a PNG of 1 to 16 bits.

    Raises:
        PhotoError: it is too large, or it is transparent.
        Exception: whatever decoders raise about damage.
    """
    chunks = list(_chunks(content))
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise ValueError("a PNG begins with its header")
    width, height, bits, color_type = struct.unpack(">IIBB", chunks[0][1][:10])
    if color_type not in _CHANNELS or bits not in (1, 2, 4, 8, 16):
        raise ValueError(f"a PNG of colour type {color_type} and {bits} bits")
    check_size(path, height, width, 1 + (bits == 16))
    pixels_stored = sum(len(data) for kind, data in chunks if kind == b"IDAT")
    check_stored(path, height * (width * bits * _CHANNELS[color_type] // 8), pixels_stored, kind=PhotoError)
    if any(kind == b"acTL" for kind, _ in chunks):
        warn(path, "is an animation; its first picture is taken")
    picture = SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks if kind in _PICTURE)
    with opened(picture, "PNG") as image:
        image.load()  # truncated files fail here, OpenCV would fill them with grey
        pixels = _deep(picture, path) if bits == 16 else colors_without_alpha(image, path)
    key = _first(chunks, b"tRNS") if bits == 16 and color_type == 0 else None  # OpenCV passes over it in grey
    if key is not None and (pixels == int.from_bytes(key[:2], "big")).any():
        raise PhotoError(f"{path}: has an alpha channel; flatten it onto a background first")
    exif = exif_of_bytes(_first(chunks, b"eXIf") or _exif_in_text(chunks), _xmp(chunks))
    adobe_rgb, turned = says_adobe_rgb(exif), upright(pixels, orientation_of(exif))
    metadata = PhotoMetadata(without_orientation(exif), _profile(chunks, path), _color_chunks(chunks))
    return StoredPhoto(turned, metadata, adobe_rgb)


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yields kinds and contents, as far as the file goes. Checksums are left to decoders."""
    position, whole = len(SIGNATURE), memoryview(content)
    while position + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        data = whole[position + 8 : position + 8 + length]
        position += 12 + length
        stored = bytes(whole[position - 4 : position])
        if kind in _PICTURE[:-1] and (
            len(data) < length or stored != struct.pack(">I", zlib.crc32(kind + bytes(data)))
        ):
            raise ValueError(f"truncated, or damaged in its {kind.decode('ascii')}")
        if len(data) == length:
            yield kind, data
        if kind == b"IEND":
            return


def _chunk(kind: bytes, data: memoryview) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + bytes(data)))


def _deep(picture: bytes, path: Path) -> NDArray[np.uint16]:
    """Decodes 16 bits a channel, which Pillow reduces to 8. Opaque alpha is dropped."""
    try:
        import cv2
    except ModuleNotFoundError:  # where only the packages of ONNX Runtime are
        advice = "pip install opencv-python-headless, or save it as TIFF or with 8 bits"
        raise PhotoError(f"{path}: a PNG of 16 bits can be read with OpenCV alone; {advice}") from None
    decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16:
        raise PhotoError(f"{path}: cannot be decoded as a 16 bit image; save it as 8 or 16 bit sRGB")
    pixels: NDArray = decoded.squeeze(2) if decoded.shape[2:] == (1,) else decoded
    alpha = pixels[..., 3] if pixels.ndim == 3 and pixels.shape[2] == 4 else None
    if alpha is not None and alpha.min() < 65535:
        raise PhotoError(f"{path}: has an alpha channel; flatten it onto a background first")
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., 2::-1])


def _first(chunks: list[tuple[bytes, memoryview]], kind: bytes, begins: bytes = b"") -> bytes | None:
    """Returns what follows `begins` in the first chunk of a kind that begins so."""
    found = (data for other, data in chunks if other == kind and bytes(data[: len(begins)]) == begins)
    return next((bytes(data[len(begins) :]) for data in found), None)


def _inflated(compressed: bytes, most: int) -> bytes:
    """Decompresses a text or profile. Raises ValueError if it is longer than `most` bytes."""
    inflater = zlib.decompressobj()
    content = inflater.decompress(compressed, most)
    if not inflater.eof:
        raise ValueError("truncated, or too long")
    return content


def _profile(chunks: list[tuple[bytes, memoryview]], path: Path) -> bytes | None:
    """Returns the ICC profile; None if there is none, or if it cannot be decompressed."""
    content = _first(chunks, b"iCCP")
    if content is None:
        return None
    try:
        return _inflated(content.split(b"\0", 1)[1][1:], _LONGEST_PROFILE)
    except (IndexError, ValueError, zlib.error):
        warn(path, "its colour profile is damaged; its colours count as sRGB")
        return None


def _exif_in_text(chunks: list[tuple[bytes, memoryview]]) -> bytes | None:
    """Returns EXIF data that an old ImageMagick has written as a text of hexadecimal numbers."""
    content = _first(chunks, b"zTXt", b"Raw profile type exif\0\0")
    if content is None:
        return None
    try:
        return bytes.fromhex("".join(_inflated(content, _LONGEST_TEXT).decode("latin-1").split()[2:]))
    except (ValueError, zlib.error):
        return None


def _xmp(chunks: list[tuple[bytes, memoryview]]) -> bytes:
    """Returns XMP data, of which the orientation counts, where they are not compressed."""
    return _first(chunks, b"iTXt", b"XML:com.adobe.xmp\0\0") or b""


def _color_chunks(chunks: list[tuple[bytes, memoryview]]) -> tuple[tuple[bytes, bytes], ...]:
    found: dict[bytes, bytes] = {}
    for kind, data in chunks:
        if kind in COLOR_CHUNKS and len(data) <= 64:
            found.setdefault(kind, bytes(data))
    return tuple(found.items())
