"""What the project reads of EXIF data, and what it keeps of them."""

import re

from PIL import ExifTags, Image

_PREFIX = b"Exif\0\0"
_ADOBE_RGB, _ADOBE_RGB_FILE = 2, "R03"  # values of ColorSpace, and of InteropIndex as DCF has it
_ORIENTATION_IN_XMP = re.compile(rb"tiff:Orientation(?:=\"|>)([1-8])")


def exif_of_bytes(content: bytes | None, xmp: bytes = b"") -> Image.Exif:
    """Returns EXIF data; empty ones if there are none, or if they are damaged.

    Args:
        content: as in the file, with or without the prefix of JPEG.
        xmp: XMP data, whose orientation counts where EXIF has none.
    """
    tags = Image.Exif()
    try:
        if content:
            tags.load(content)
            dict(tags)  # which reads the values
    except Exception:  # damaged bytes can make a parser stumble anywhere
        tags = Image.Exif()
    found = _ORIENTATION_IN_XMP.search(xmp)
    if found is not None and ExifTags.Base.Orientation not in tags:
        tags[ExifTags.Base.Orientation] = int(found[1])
    return tags


def exif_of_image(image: Image.Image) -> Image.Exif:
    """Returns the EXIF data of a picture that Pillow has opened; empty ones if they are damaged."""
    try:
        tags = image.getexif()
        dict(tags)
        return tags
    except Exception:  # damaged bytes can make a parser stumble anywhere
        return Image.Exif()


def orientation_of(tags: Image.Exif) -> int:
    """Returns the orientation, 1 to 8; 1 if nothing sensible is said."""
    value = tags.get(ExifTags.Base.Orientation, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def without_orientation(tags: Image.Exif) -> bytes | None:
    """Returns EXIF data for pixels that stand upright, without the prefix of JPEG.

    None stands for no data, and for damaged ones.
    """
    try:
        if ExifTags.Base.Orientation in tags:
            del tags[ExifTags.Base.Orientation]
        return tags.tobytes().removeprefix(_PREFIX) if tags else None
    except Exception:  # damaged values can be impossible to write
        return None


def says_adobe_rgb(tags: Image.Exif) -> bool:
    """Tells whether EXIF says that the colours are Adobe RGB, as cameras do without a profile."""
    try:
        inner = tags.get_ifd(ExifTags.IFD.Exif)
        if inner.get(ExifTags.Base.ColorSpace) == _ADOBE_RGB:
            return True
        if ExifTags.IFD.Interop not in inner:
            return False
        index = inner[ExifTags.IFD.Interop]
        interop = index if isinstance(index, dict) else tags.get_ifd(ExifTags.IFD.Interop)
        named = str(interop.get(ExifTags.Interop.InteropIndex, "")).rstrip("\0 ")
        return named == _ADOBE_RGB_FILE
    except Exception:  # damaged bytes can make a parser stumble anywhere
        return False
