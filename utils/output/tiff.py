"""TIFF with everything that belongs to a photo: 8 or 16 bits, EXIF and colour profile.

Pillow writes no TIFF of 16 bits in colour, and tifffile no EXIF. So Pillow's directory, which holds
EXIF's directories below it, is written before strips that are compressed here.
"""

import io
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from PIL.TiffTags import LONG, SHORT, UNDEFINED

_STRIP = 1 << 18  # values in a strip, about
_DEFLATE, _RGB, _DIFFERENCES = 8, 2, 2  # values of Compression, PhotometricInterpretation and Predictor
_LEVEL = 6  # of zlib
_LARGEST = 2**32 - 1  # bytes of a TIFF


def encode_tiff(photo: NDArray, exif: bytes | None = None, profile: bytes | None = None) -> bytes:
    """Encodes an RGB photo (H, W, 3), uint8 or uint16, as TIFF with deflate.

    Args:
        photo: the pixels.
        exif: a TIFF structure, as in `PhotoMetadata`.
        profile: an ICC profile.

    Raises:
        ValueError: it would be larger than a TIFF can be.
    """
    height, width = photo.shape[:2]
    rows = max(1, _STRIP // (3 * width))
    strips = [_compressed(photo[start : start + rows]) for start in range(0, height, rows)]
    sizes = [len(strip) for strip in strips]
    if sum(sizes) > _LARGEST - (1 << 24):
        raise ValueError(f"a TIFF holds at most 4 GiB, {width}x{height} pixels take more; use png")
    directory = ImageFileDirectory_v2(b"II*\0\0\0\0\0")
    for tag, value in _about_the_picture(exif).items():
        directory[tag] = value
    layout = {
        256: (LONG, width),
        257: (LONG, height),
        258: (SHORT, (8 * photo.dtype.itemsize,) * 3),
        259: (SHORT, _DEFLATE),
        262: (SHORT, _RGB),
        273: (LONG, tuple(int(place) for place in np.cumsum([0, *sizes[:-1]]))),
        277: (SHORT, 3),
        278: (LONG, rows),
        279: (LONG, tuple(sizes)),
        317: (SHORT, _DIFFERENCES),
    }
    for tag, (kind, number) in layout.items():
        directory.tagtype[tag], directory[tag] = kind, number
    if profile:
        directory.tagtype[34675], directory[34675] = UNDEFINED, profile
    content = io.BytesIO()
    directory.save(content)
    return b"".join((content.getvalue(), *strips))


def _compressed(strip: NDArray) -> bytes:
    differences = np.diff(strip, axis=1, prepend=np.zeros_like(strip[:, :1]))  # along each row, modulo its type
    little = differences.astype(differences.dtype.newbyteorder("<"))
    return zlib.compress(little.tobytes(), _LEVEL)


def _about_the_picture(exif: bytes | None) -> dict[int, object]:
    """Returns EXIF's tags, with those of the directories below as dictionaries."""
    tags = Image.Exif()
    if not exif:
        return {}
    tags.load(exif)
    found: dict[int, object] = dict(tags)
    for place in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if place in found:
            below = dict(tags.get_ifd(place))
            if ExifTags.IFD.Interop in below:
                below[ExifTags.IFD.Interop] = dict(tags.get_ifd(ExifTags.IFD.Interop))
            found[place] = below
    return found
