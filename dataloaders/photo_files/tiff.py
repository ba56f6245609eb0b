"""TIFF: which of its pictures is the photo, how deep it is, and who decodes it.

A TIFF may hold thumbnails, reduced copies and further pages. The photo is the full picture, which
the first directory need not be. Pillow decodes 8 bits, and grey of less. Of what Pillow reduces or
does not know, as 9 to 16 bits and colours of 4, `tiff_samples.py` takes the stored values.
"""

import io
import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import ExifTags, Image

from cycleisp.dataloaders.photo_files.exif import says_adobe_rgb, without_orientation
from cycleisp.dataloaders.photo_files.pillow import colors_without_alpha, opened
from cycleisp.dataloaders.photo_files.stored import PhotoError, StoredPhoto, check_size, warn
from cycleisp.dataloaders.photo_files.tiff_samples import stored_samples
from cycleisp.utils.limits import DEFLATE_RATIO, check_bytes, check_stored
from cycleisp.utils.orientation import upright
from cycleisp.utils.output.metadata import PhotoMetadata

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it says of damage names no file; our errors do

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
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
_BIG_ENDIAN_BIGTIFF = b"MM\0+"  # which Pillow does not open
_SAMPLE_FORMATS = {2: "signed integers", 3: "floating point values", 5: "complex integers", 6: "complex numbers"}
_SENSOR = (32803, 34892)  # photometric interpretations of camera RAW
# By how much a compression shrinks bytes at best: 1 none, 5 LZW, 32773 PackBits, the rest deflate.
_RATIOS = {1: 1.0, 5: 2600.0, 32773: 64.0, 8: DEFLATE_RATIO, 32946: DEFLATE_RATIO}
_ALIKE = 1.03  # ratio of the sides' ratios up to which a larger page shows the same as a smaller one
_MOST_PAGES = 1000


def read_tiff(content: bytes, path: Path) -> StoredPhoto:
    """Reads the photo in a TIFF or BigTIFF of 1 to 16 bits, grey, RGB or CMYK.

    Raises:
        PhotoError: it is too large, of another depth or kind of numbers, transparent, or holds no
            full picture.
        Exception: whatever parsers raise about damage.
    """
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        page = _photo_among(list(_pages(tiff)), path)
        bits = _check(page, len(content), path)
        moved = content if page.offset == tiff.pages.first.offset else _beginning_with(content, page.offset)
        pixels: NDArray
        if bits > 8 or (bits < 8 and page.samplesperpixel > 1) or content.startswith(_BIG_ENDIAN_BIGTIFF):
            pixels, turned = stored_samples(content, page, bits, path), False
        else:
            pixels, turned = _with_pillow(moved, path)
        orientation = 1 if turned else _value(page, 274, _value(tiff.pages.first, 274, 1))
        profile = _profile(page) or _profile(tiff.pages.first)
        chunks = () if profile else _primaries(page)
        exif = _about_the_picture(content, tiff.pages.first)
        if content.startswith(_BIG_ENDIAN_BIGTIFF):
            warn(path, "is a big-endian BigTIFF, of which no EXIF data are kept")
    adobe_rgb = says_adobe_rgb(exif)
    return StoredPhoto(
        upright(pixels, orientation),
        PhotoMetadata(without_orientation(exif), profile, chunks),
        adobe_rgb,
    )


def _pages(tiff: Any) -> Iterator[Any]:
    """Yields the directories of a TIFF and those below them, the first one first."""
    for number, page in enumerate(tiff.pages):
        if number >= _MOST_PAGES:
            return
        yield page.aspage()
        if page.aspage().subifds:
            yield from (below.aspage() for below in page.aspage().pages)


def _photo_among(pages: list[Any], path: Path) -> Any:
    """Returns the page that is the photo: the first full one, or a larger one like it."""
    full = [page for page in pages if not _is_reduced(page) and page.photometric not in _SENSOR]
    if not full:
        sensor = any(page.photometric in _SENSOR for page in pages)
        found = "camera RAW, with at most a small preview" if sensor else "reduced copies of a picture alone"
        raise PhotoError(f"{path}: holds {found}; export it as a photo of full size")
    first = full[0]
    larger = [page for page in full[1:] if _shows_more(page, first)]
    chosen = max(larger, key=lambda page: page.imagewidth) if larger else first
    others = [page for page in full if page is not chosen and not _shows_more(chosen, page)]
    if others:
        warn(path, f"holds {len(others) + 1} pictures; the first one is taken")
    return chosen


def _is_reduced(page: Any) -> bool:
    """Tells whether a page is a thumbnail, a reduced copy or a mask."""
    return bool(_value(page, 254, 0) & 0b101) or _value(page, 255, 1) == 2


def _shows_more(page: Any, than: Any) -> bool:
    """Tells whether a page is a larger version of another one."""
    ratio = page.imagewidth * than.imagelength / max(1, page.imagelength * than.imagewidth)
    return page.imagewidth > 1.5 * than.imagewidth and 1 / _ALIKE < ratio < _ALIKE


def _check(page: Any, stored: int, path: Path) -> int:
    """Checks size, depth and kind of numbers. Returns the bits of a channel."""
    depths = {page.bitspersample} if isinstance(page.bitspersample, int) else set(page.bitspersample)
    numbers = _SAMPLE_FORMATS.get(_value(page, 339, 1))
    deepest = max(depths)
    if numbers is not None:
        raise PhotoError(f"{path}: holds {numbers} of {deepest} bits; save it as 8 or 16 bit sRGB")
    if len(depths) > 1 or not 1 <= deepest <= 16 or (deepest < 8 and deepest not in (1, 2, 4)):
        words = ", ".join(map(str, sorted(depths)))
        raise PhotoError(f"{path}: holds {words} bits a channel; save it as 8 or 16 bit sRGB")
    check_size(path, page.imagelength, page.imagewidth, 1 + (deepest > 8))
    claimed = _padded_pixels(page) * page.samplesperpixel * deepest // 8
    check_bytes(path, claimed, PhotoError)
    ratio = _RATIOS.get(int(page.compression))
    if ratio is not None:
        check_stored(path, claimed, stored, ratio, PhotoError)
    return deepest


def _padded_pixels(page: Any) -> int:
    """Returns how many pixels are stored: tiles are whole, and reach beyond the edge."""
    height, width = page.imagelength, page.imagewidth
    if page.is_tiled:
        height, width = (-(-side // tile) * tile for side, tile in ((height, page.tilelength), (width, page.tilewidth)))
    return int(height * width)


def _beginning_with(content: bytes, offset: int) -> bytes:
    """Returns a TIFF whose first directory is the one at `offset`."""
    order = "<" if content[:2] == b"II" else ">"
    if content[2:4] in (b"+\0", b"\0+"):
        return content[:8] + struct.pack(f"{order}Q", offset) + content[16:]
    return content[:4] + struct.pack(f"{order}I", offset) + content[8:]


def _with_pillow(content: bytes, path: Path) -> tuple[NDArray[np.uint8], bool]:
    """Decodes 8 bits, or grey of less. Returns the pixels, and whether they are turned upright."""
    with opened(content, "TIFF") as image:
        said = ExifTags.Base.Orientation in image.tag_v2  # type: ignore[attr-defined]
        image.load()
        turned = said and ExifTags.Base.Orientation not in image.tag_v2  # type: ignore[attr-defined]
        return colors_without_alpha(image, path), turned


def _about_the_picture(content: bytes, page: Any) -> Image.Exif:
    """Returns a page's tags about the picture; none if they are damaged."""
    kept, stored = Image.Exif(), Image.Exif()
    try:
        stored.endian = "<" if content[:2] == b"II" else ">"
        stored.bigtiff = content[2:4] in (b"+\0", b"\0+")
        stored.load_from_fp(io.BytesIO(content), page.offset)
        for tag in ABOUT_THE_PICTURE & set(stored):
            if tag in (ExifTags.Base.ExifOffset, ExifTags.Base.GPSInfo):
                below = dict(stored.get_ifd(tag))
                if ExifTags.IFD.Interop in below:
                    below[ExifTags.IFD.Interop] = stored.get_ifd(ExifTags.IFD.Interop)
                kept.get_ifd(tag).update(below)
            else:
                kept[tag] = stored[tag]
        return kept
    except Exception:  # damaged bytes can make a parser stumble anywhere
        return Image.Exif()


def _profile(page: Any) -> bytes | None:
    found = page.tags.get(ExifTags.Base.InterColorProfile)
    return bytes(found.value) if found is not None and isinstance(found.value, bytes) else None


def _primaries(page: Any) -> tuple[tuple[bytes, bytes], ...]:
    """Returns the chunk cHRM that says what the tags WhitePoint and PrimaryChromaticities say."""
    numbers: list[int] = []
    for tag, count in ((318, 2), (319, 6)):
        found = page.tags.get(tag)
        if found is None or not isinstance(found.value, tuple) or len(found.value) != 2 * count:
            return ()
        tops, bottoms = found.value[::2], found.value[1::2]
        numbers += [
            round(100000 * top / bottom) if bottom > 0 else -1 for top, bottom in zip(tops, bottoms, strict=True)
        ]
    return ((b"cHRM", struct.pack(">8I", *numbers)),) if all(0 <= number < 2**31 for number in numbers) else ()


def _value(page: Any, tag: int, default: int) -> int:
    """Returns the first number of a tag."""
    found = page.tags.get(tag)
    value = found.value if found is not None else default
    while isinstance(value, (tuple, list, np.ndarray)) and len(value):
        value = value[0]
    return int(value) if isinstance(value, (int, np.integer)) else default
