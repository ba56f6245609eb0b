"""Photos as PNG, TIFF or JPEG, with EXIF and colour profile."""

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cycleisp.utils.color.icc import ProfileError, profile_of_space
from cycleisp.utils.color.png_colors import space_of_cicp, space_of_gamma
from cycleisp.utils.output.formats import QUALITY
from cycleisp.utils.output.metadata import PhotoMetadata
from cycleisp.utils.output.png import encode_png
from cycleisp.utils.output.tiff import encode_tiff
from cycleisp.utils.words import printable

log = logging.getLogger(__name__)

_ROUNDED = ((np.arange(65536) * 255 + 32767) // 65535).astype(np.uint8)  # 16 bits to the nearest of 8
_LONGEST_SIDE = 65500  # pixels of a JPEG, as libjpeg limits it
_LONGEST_EXIF = 65533 - 6  # bytes of a JPEG's segment, without its prefix


def encode_photo(
    photo: NDArray,
    metadata: PhotoMetadata | None = None,
    format: str = "png",
    quality: int = QUALITY,
    source: Path | None = None,
) -> bytes:
    """Encodes an RGB photo.

    PNG and TIFF keep every value; TIFF is compressed with deflate. JPEG keeps all colours at full
    resolution (4:4:4) and rounds 16 bits to 8. What a PNG says about its colours in chunks becomes
    a colour profile in TIFF and JPEG; of HDR, which has none, a warning says that it is lost.

    Args:
        photo: (H, W, 3) uint8 or uint16.
        metadata: EXIF, profile and chunks; None for none.
        format: `png`, `tiff` or `jpeg`.
        quality: of a JPEG, 1 to 100.
        source: the file that the photo stems from, which warnings name.

    Raises:
        ValueError: the photo does not fit into the format, or the format or quality is unknown.
        OSError: it could not be encoded.
    """
    metadata = metadata or PhotoMetadata()
    if format == "png":
        return encode_png(photo, metadata)
    about = "" if source is None else f"{source}: "
    profile = _profile(metadata, about)
    if format == "tiff":
        return encode_tiff(photo, metadata.exif, profile)
    if format == "jpeg":
        return _encode_jpeg(photo, metadata.exif, profile, quality, about)
    raise ValueError(f"expected the format png, tiff or jpeg, got {format!r}")


def _encode_jpeg(photo: NDArray, exif: bytes | None, profile: bytes | None, quality: int, about: str) -> bytes:
    height, width = photo.shape[:2]
    if max(height, width) > _LONGEST_SIDE:
        raise ValueError(f"a JPEG has at most {_LONGEST_SIDE} pixels a side, got {width}x{height}; use png or tiff")
    if not 1 <= quality <= 100:
        raise ValueError(f"expected a quality from 1 to 100, got {quality}")
    if photo.dtype == np.uint16:
        log.info("%s", printable(f"{about}16 bits are rounded to the 8 bits of a JPEG"))
        photo = _ROUNDED[photo]
    options: dict[str, Any] = {"icc_profile": profile} if profile else {}
    if exif and len(exif) <= _LONGEST_EXIF:
        options["exif"] = b"Exif\0\0" + exif
    elif exif:
        log.warning("%s", printable(f"{about}EXIF data of {len(exif)} bytes do not fit into a JPEG, and are left out"))
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(photo)).save(content, "JPEG", quality=quality, subsampling=0, **options)
    return content.getvalue()


def _profile(metadata: PhotoMetadata, about: str) -> bytes | None:
    """Returns the ICC profile of a photo, or one that says what a PNG's chunks say; None for sRGB.

    A chunk cICP counts more than a profile beside it, as in the PNG.
    """
    chunks = dict(metadata.color_chunks)
    if metadata.icc_profile and b"cICP" not in chunks:
        return metadata.icc_profile
    try:
        if b"cICP" in chunks:
            return profile_of_space(space_of_cicp(chunks[b"cICP"]))
        colors = None if b"sRGB" in chunks else space_of_gamma(metadata.color_chunks)
        return None if colors is None else profile_of_space(colors)
    except ProfileError as error:
        words = f"{about or 'a photo '}{error}, which only PNG keeps; its result will look different"
        log.warning("%s", printable(words))
        return metadata.icc_profile
