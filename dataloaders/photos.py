"""Photos as users have them: read exactly, or refused with a reason.

The networks expect sRGB, and pairs are sRGB: `read_photo` converts whatever a file says about its
colours. `read_photo_and_metadata` leaves the pixels in the file's own colours, for results that
keep them. The formats are read in `dataloaders/photo_files/`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.photo_files import heif, png, tiff
from cycleisp.dataloaders.photo_files.colors import in_own_colors, in_srgb
from cycleisp.dataloaders.photo_files.pillow import read_jpeg, read_webp
from cycleisp.dataloaders.photo_files.stored import PhotoError, StoredPhoto
from cycleisp.utils.errors import reading
from cycleisp.utils.limits import check_bytes
from cycleisp.utils.output.metadata import PhotoMetadata

__all__ = [
    "PhotoError",
    "decode_photo",
    "decode_photo_and_metadata",
    "read_content",
    "read_photo",
    "read_photo_and_metadata",
    "width_x_height",
]

# What other files begin with, so that they can be refused by name.
_OTHERS = {
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript",
    b"%PDF": "a PDF",
    b"8BPS": "a Photoshop file",
    b"\xff\x4f\xff\x51": "a JPEG 2000",
    b"\0\0\0\x0cjP  ": "a JPEG 2000",
    b"\xff\x0a": "a JPEG XL",
    b"\0\0\0\x0cJXL ": "a JPEG XL",
    b"#?RADIANCE": "a Radiance HDR picture",
    b"v/1\x01": "an OpenEXR picture",
    b"<svg": "an SVG drawing",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
}


def width_x_height(shape: Sequence[int]) -> str:
    """Returns the size of an image in words, from its shape (H, W, ...): `640x480`."""
    return f"{shape[1]}x{shape[0]}"


def read_photo(path: Path | str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Reads a photo in sRGB: 8 bits, or 16 bits for files that hold more than 8.

    Colours of another space are converted by the file's profile, PNG chunks or EXIF; sRGB comes
    back exactly as stored. JPEG, PNG, WebP and TIFF are read, HEIC and AVIF where their decoders
    are installed.

    Returns:
        (H, W, 3), standing upright. A grey photo gets three equal channels. Opaque alpha is
        dropped.

    Raises:
        PhotoError: the file is unreadable, empty, damaged, of another format, larger than the
            limits (utils/limits.py) or a pixel high or wide; it is transparent; its numbers are no
            unsigned integers of up to 16 bits; or its colours are none that become sRGB (HDR, CMYK
            without profile, Lab).
    """
    return decode_photo(read_content(Path(path)), Path(path))


def read_photo_and_metadata(path: Path) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], PhotoMetadata]:
    """Reads a photo in the colours of its file, and what the file says besides the pixels.

    Returns:
        pixels as of `read_photo`, but not converted, and metadata that describe their colours.
        Only CMYK, and grey with a profile of grey, become sRGB.

    Raises:
        PhotoError: as `read_photo`, but not for HDR. Damaged metadata count as none.
    """
    return decode_photo_and_metadata(read_content(path), path)


def read_content(path: Path) -> bytes:
    """Reads the bytes of a file. Raises PhotoError if it cannot be read, or is too large."""
    try:
        check_bytes(path, path.stat().st_size, PhotoError)
        return path.read_bytes()
    except OSError as error:
        raise PhotoError(f"{path}: cannot be read ({error.strerror})") from None


def decode_photo(content: bytes, path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Decodes the bytes of a photo as `read_photo` does; messages name `path`."""
    with reading(path, PhotoError):
        return in_srgb(_stored(content, path), path)


def decode_photo_and_metadata(
    content: bytes, path: Path
) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], PhotoMetadata]:
    """Decodes the bytes of a photo as `read_photo_and_metadata` does; messages name `path`."""
    with reading(path, PhotoError):
        return in_own_colors(_stored(content, path), path)


def _stored(content: bytes, path: Path) -> StoredPhoto:
    """Reads a photo of the format that its first bytes say."""
    if not content:
        raise PhotoError(f"{path}: the file is empty; get it again or remove it")
    if content.startswith(b"\xff\xd8\xff"):
        return read_jpeg(content, path)
    if content.startswith(png.SIGNATURE):
        return png.read_png(content, path)
    if content.startswith(tiff.SIGNATURES):
        return tiff.read_tiff(content, path)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return read_webp(content, path)
    if heif.brands_of(content) & (heif.AVIF_BRANDS | heif.HEIC_BRANDS):
        return heif.read_heif(content, path)
    other = next((name for mark, name in _OTHERS.items() if content[:32].lstrip().startswith(mark)), None)
    if other is not None:
        raise PhotoError(f"{path}: is {other}, not a JPEG, PNG, WebP or TIFF; save it as one of these")
    raise PhotoError(f"{path}: not a JPEG, PNG, WebP or TIFF, or damaged; get it again or remove it")
