"""Photos as users have them: read exactly, or refused with a reason."""

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from cycleisp.utils.errors import UserError
from cycleisp.utils.output.png import PhotoMetadata

# The tags of a TIFF that describe the picture. The others describe how the file lays it out.
ABOUT_THE_PICTURE = frozenset(
    (
        ExifTags.Base.ImageDescription,
        ExifTags.Base.Make,
        ExifTags.Base.Model,
        ExifTags.Base.XResolution,
        ExifTags.Base.YResolution,
        ExifTags.Base.ResolutionUnit,
        ExifTags.Base.Software,
        ExifTags.Base.DateTime,
        ExifTags.Base.Artist,
        ExifTags.Base.Copyright,
        ExifTags.Base.ExifOffset,
        ExifTags.Base.GPSInfo,
    )
)


class PhotoError(UserError):
    """A photo that cannot be used. The message names the file, the reason, and what to do."""


def width_x_height(shape: Sequence[int]) -> str:
    """Returns the size of an image in words, from its shape (H, W, ...): `640x480`."""
    return f"{shape[1]}x{shape[0]}"


def read_photo(path: Path | str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Reads an 8 or 16 bit sRGB photo.

    Returns:
        (H, W, 3), standing upright. A grey photo gets three equal channels.

    Raises:
        PhotoError: the file is unreadable, empty, truncated or a pixel high or wide; it has an
            alpha channel, is CMYK or of another colour space than RGB and grey; or it holds
            floating point values.
    """
    return decode_photo(read_content(Path(path)), Path(path))


def read_photo_and_metadata(path: Path) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], PhotoMetadata]:
    """Reads a photo as `read_photo` does, and what the file says besides the pixels."""
    content = read_content(path)
    return decode_photo(content, path), photo_metadata(content)


def read_content(path: Path) -> bytes:
    """Reads the bytes of a file. Raises PhotoError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise PhotoError(f"{path}: cannot be read ({error.strerror})") from None


def decode_photo(content: bytes, path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Decodes the bytes of a photo as `read_photo` does; messages name `path`."""
    if not content:
        raise PhotoError(f"{path}: the file is empty; get it again or remove it")
    try:
        with Image.open(io.BytesIO(content)) as image:
            _check_mode(image, path)
            image.load()  # truncated files fail here, OpenCV would fill them with grey
            deep = _is_deep(image, content)
            photo = None if deep else np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except UnidentifiedImageError:
        if _is_float_tiff(content):
            raise PhotoError(f"{path}: holds floating point values; save it as 8 or 16 bit sRGB") from None
        raise PhotoError(f"{path}: not a JPEG, PNG, WebP or TIFF, or damaged; get it again or remove it") from None
    except Image.DecompressionBombError:
        raise PhotoError(f"{path}: more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels; cut it into parts") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise PhotoError(f"{path}: damaged image ({error}); get it again or remove it") from None
    if photo is None:
        photo = _decode_deep(content, path)
    if min(photo.shape[:2]) < 2:
        raise PhotoError(f"{path}: {width_x_height(photo.shape)} pixels; a Bayer tile needs at least 2x2; remove it")
    return photo


def _check_mode(image: Image.Image, path: Path) -> None:
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        raise PhotoError(f"{path}: has an alpha channel; flatten it onto a background first")
    if image.mode == "CMYK":
        raise PhotoError(f"{path}: is CMYK; convert it to sRGB first")
    if image.mode == "F":
        raise PhotoError(f"{path}: holds floating point values; save it as 8 or 16 bit sRGB")
    if image.mode not in ("RGB", "L", "P", "1", "I", "I;16", "I;16B", "I;16L", "YCbCr"):
        raise PhotoError(f"{path}: colour mode {image.mode} is none of RGB and grey; convert it to sRGB first")


def _is_deep(image: Image.Image, content: bytes) -> bool:
    """Tells whether the file holds 16 bits a channel, which Pillow would reduce to 8."""
    if image.mode.startswith("I"):
        return True
    if image.format == "TIFF":
        return max(image.tag_v2.get(258, (8,))) == 16  # type: ignore[attr-defined]  # BitsPerSample
    if image.format == "PNG":
        return content[24] == 16  # after the signature and IHDR's length, type, width and height
    return False


def _is_float_tiff(content: bytes) -> bool:
    """Tells whether this is a TIFF of floating point colours, which Pillow does not know."""
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as tiff:
            return tiff.pages[0].dtype is not None and tiff.pages[0].dtype.kind == "f"
    except Exception:  # damaged bytes can make a parser stumble anywhere
        return False


def _decode_deep(content: bytes, path: Path) -> NDArray[np.uint16]:
    white_is_zero = False
    try:
        if content[:4] in (b"II*\0", b"MM\0*"):
            with tifffile.TiffFile(io.BytesIO(content)) as tiff:
                page = tiff.pages[0]
                planes = page.tags.get("PlanarConfiguration", None)  # type: ignore[union-attr]
                white_is_zero = page.photometric == 0  # type: ignore[union-attr]
                if planes is not None and planes.value == 2:  # stored apart: OpenCV mixes them up
                    turn = page.tags.get("Orientation", None)  # type: ignore[union-attr]
                    return _upright(np.moveaxis(page.asarray(), 0, -1).astype(np.uint16), turn.value if turn else 1)
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    except Exception as error:  # damaged bytes can make a parser stumble anywhere
        raise PhotoError(f"{path}: damaged image ({error}); get it again or remove it") from None
    if decoded is None or decoded.dtype != np.uint16:
        raise PhotoError(f"{path}: cannot be decoded as a 16 bit image; save it as 8 or 16 bit sRGB")
    photo = np.ascontiguousarray(decoded[..., ::-1]).astype(np.uint16)
    return 65535 - photo if white_is_zero else photo


def _upright(stored: NDArray[np.uint16], orientation: int) -> NDArray[np.uint16]:
    """Undoes an EXIF orientation, 1 to 8, of (H, W, 3), as OpenCV and Pillow do by themselves."""
    photo = stored.swapaxes(0, 1) if orientation >= 5 else stored
    rows, columns = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(orientation, (1, 1))
    return np.ascontiguousarray(photo[::rows, ::columns])


def photo_metadata(content: bytes) -> PhotoMetadata:
    """Returns the EXIF data and the colour profile in a photo's bytes.

    The orientation is left out, since `decode_photo` turns the pixels upright. Damaged metadata
    count as none: they are no reason to refuse the picture.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            profile = image.info.get("icc_profile")
            if profile is not None and profile[16:20] != b"RGB ":
                profile = None  # a profile of grey, for one, does not fit pixels that become RGB
            exif = image.getexif()
            for tag in list(exif):
                if tag == ExifTags.Base.Orientation or (image.format == "TIFF" and tag not in ABOUT_THE_PICTURE):
                    del exif[tag]
            return PhotoMetadata(exif.tobytes().removeprefix(b"Exif\0\0") if exif else None, profile)
    except Exception:  # damaged bytes can make a parser stumble anywhere
        return PhotoMetadata()
