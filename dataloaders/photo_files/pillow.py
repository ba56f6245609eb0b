"""JPEG and WebP, and what all formats that Pillow decodes have in common."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

from cycleisp.dataloaders.photo_files.exif import exif_of_image, orientation_of, says_adobe_rgb, without_orientation
from cycleisp.dataloaders.photo_files.stored import PhotoError, StoredPhoto, check_size, warn
from cycleisp.utils.limits import check_stored
from cycleisp.utils.orientation import upright
from cycleisp.utils.output.metadata import PhotoMetadata

# Pixels that a byte of JPEG can hold: a bit for the mean of a block of 8x8, with some room.
_JPEG_PIXELS_A_BYTE = 2048
_ANIMATED = 0b10  # a flag of WebP
_lock = threading.Lock()
_users = 0
_limit_before: int | None = None


@contextmanager
def opened(content: bytes, kind: str) -> Iterator[Image.Image]:
    """Yields a picture of one format of Pillow's, which is opened but not decoded.

    Pillow tries no other format, so that none that starts other programs (EPS) gets a chance.
    Pillow's limit of pixels is lifted inside of the block: the project has its own, which
    `check_size` applies before anything is decoded.
    """
    with _own_limit():
        if kind == "JPEG":  # not through Pillow's opener, which looks for further pictures (MPO) in the file
            image: Image.Image = JpegImagePlugin.JpegImageFile(io.BytesIO(content))
        else:
            image = Image.open(io.BytesIO(content), formats=(kind,))
        with image:
            yield image


@contextmanager
def _own_limit() -> Iterator[None]:
    """Lifts Pillow's limit, which is one for all threads, until the last of them leaves."""
    global _users, _limit_before
    with _lock:
        if _users == 0:
            _limit_before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                Image.MAX_IMAGE_PIXELS = _limit_before


def read_jpeg(content: bytes, path: Path) -> StoredPhoto:
    """Reads a JPEG, or the first picture of an MPO, as phones write it."""
    with opened(content, "JPEG") as image:
        check_size(path, image.height, image.width)
        check_stored(path, image.height * image.width, len(content), _JPEG_PIXELS_A_BYTE, PhotoError)
        return decoded(image, path)


def read_webp(content: bytes, path: Path) -> StoredPhoto:
    """Reads a WebP.

    Raises:
        PhotoError: it is an animation, too large, or transparent.
    """
    chunks = list(_webp_chunks(content))
    if any(kind == b"ANIM" or (kind == b"VP8X" and head[0] & _ANIMATED) for kind, head in chunks):
        raise PhotoError(f"{path}: is an animation; save one of its pictures as a photo")
    sizes = {size for size in (_webp_size(kind, head) for kind, head in chunks) if size is not None}
    if len(sizes) != 1:  # a canvas of any size costs nothing in the file
        raise ValueError("its parts differ in size")
    check_size(path, *sizes.pop())
    with opened(content, "WEBP") as image:
        return decoded(image, path)


def _webp_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields the kinds of a WebP's chunks and the first ten bytes of their contents."""
    place = 12
    while place + 8 <= len(content):
        yield content[place : place + 4], content[place + 8 : place + 18].ljust(10, b"\0")
        size = int.from_bytes(content[place + 4 : place + 8], "little")
        place += 8 + size + size % 2


def _webp_size(kind: bytes, head: bytes) -> tuple[int, int] | None:
    """Returns height and width, which Pillow tells after it has reserved memory."""
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(head[start : start + 3], "little") for start in (4, 7))
    elif kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (int.from_bytes(head[start : start + 2], "little") & 0x3FFF for start in (6, 8))
    else:
        return None
    return height, width


def decoded(image: Image.Image, path: Path) -> StoredPhoto:
    """Decodes an opened picture, with its EXIF and profile."""
    if getattr(image, "n_frames", 1) > 1:
        warn(path, f"is an animation of {image.n_frames} pictures; the first one is taken")  # type: ignore[attr-defined]
    image.load()  # truncated files fail here
    exif = exif_of_image(image)
    adobe_rgb, pixels = says_adobe_rgb(exif), upright(colors_without_alpha(image, path), orientation_of(exif))
    return StoredPhoto(pixels, PhotoMetadata(without_orientation(exif), image.info.get("icc_profile")), adobe_rgb)


def colors_without_alpha(image: Image.Image, path: Path) -> NDArray[np.uint8]:
    """Returns a picture's grey, RGB or CMYK of 8 bits. Alpha that is opaque everywhere is dropped.

    Raises:
        PhotoError: it is transparent somewhere, or its colours are of another kind.
    """
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        alpha = image if image.mode in ("RGBA", "LA") else image.convert("RGBA" if image.mode != "La" else "LA")
        if alpha.getextrema()[-1][0] < 255:  # type: ignore[index]
            raise PhotoError(f"{path}: has an alpha channel; flatten it onto a background first")
        return np.asarray(alpha.convert("L" if alpha.mode == "LA" else "RGB"))
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    if image.mode in ("RGB", "CMYK"):
        return np.asarray(image)
    if image.mode in ("P", "YCbCr", "RGBX"):
        return np.asarray(image.convert("RGB"))
    raise PhotoError(f"{path}: colour mode {image.mode} is none of RGB and grey; convert it to sRGB first")
