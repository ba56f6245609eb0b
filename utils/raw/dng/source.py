"""What a denoised DNG takes over from a camera file: the values of the whole sensor, levels, tags.

The denoised values go back into the sensor's own units, at their places among those that are not
visible. So levels, areas, opcodes and profiles of the source mean in the result what they meant,
and converters that know a camera by its name may trust what they know.
"""

import io
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rawpy
from numpy.typing import NDArray
from PIL import Image

from cycleisp.utils.color.colorimetry import RGB2XYZ
from cycleisp.utils.errors import reason
from cycleisp.utils.raw import camera_metadata as metadata
from cycleisp.utils.raw.camera_metadata import BlackLevels
from cycleisp.utils.raw.dng import kept as kept_tags
from cycleisp.utils.raw.dng.tags import DngTags, Tag, read_tiff_tags
from cycleisp.utils.raw.dng.tiff_writer import BYTE, LONG, RATIONAL, SHORT, SRATIONAL, number_tag, text_tag
from cycleisp.utils.raw.libraw_files import opened, pattern_of

log = logging.getLogger(__name__)

BLACK_LEVEL, BLACK_DELTAS, WHITE_LEVEL = 50714, (50715, 50716), 50717
_MAKE, _MODEL, _ORIENTATION = 271, 272, 274
_BACKWARD_VERSION, _BLACK_REPEAT, _SAMPLE_FORMAT = 50707, 50713, 339
_COLOR_MATRIX, _NEUTRAL, _ILLUMINANT = 50721, 50728, 50778
# ColorMatrix, CameraCalibration, ReductionMatrix and ForwardMatrix, 1 to 3, and their illuminants
_OF_COLOURS = frozenset((*range(50721, 50727), 50778, 50779, 50964, 50965, *range(52529, 52533), 52538))
_LARGEST = 65535
_CFA_CODES = {"R": 0, "G": 1, "B": 2}
_D65 = 21
_OLYMPUS_AND_PANASONIC = (b"IIRO", b"IIRS", b"IIU\0")  # TIFF under another name
_JPEG_EXIF = b"Exif\0\0"


@dataclass(frozen=True)
class DngSource:
    """The content of a camera file that its denoised DNG takes over.

    Attributes:
        sensor: (H, W) values of the whole sensor, in its units.
        window: the rows and columns of it that are visible.
        black: black levels of the visible mosaic.
        white: the white level that is 1 in the linear mosaic.
        ifd0, exif, gps: tags of the main IFD (without those about how the picture is stored), EXIF
            and GPS.
        byteorder: of the tags.
        preview: the camera's own rendering as JPEG; empty where the file has none.
    """

    sensor: NDArray[np.uint16]
    window: tuple[slice, slice]
    black: BlackLevels
    white: float
    ifd0: dict[int, Tag]
    exif: list[Tag]
    gps: list[Tag]
    byteorder: str
    preview: bytes = b""


def read_dng_source(path: Path) -> DngSource:
    """Reads from a camera file what its denoised DNG takes over.

    Raises:
        RawFileError: as `read_raw`.
    """
    with opened(path) as (raw, tags):
        black = metadata.black_levels(raw, tags, path)
        white = metadata.white_level(raw, tags, black.highest, path)
        top, left, (height, width) = raw.sizes.top_margin, raw.sizes.left_margin, raw.raw_image_visible.shape
        preview = _preview(path, raw)
        found = tags or _other_tags(path, preview)
        order = found.byteorder
        ifd0 = _of_dng(found, raw, black, white, path) if tags else _of_other_file(found, raw, black, path)
        ifd0[_ORIENTATION] = number_tag(order, _ORIENTATION, SHORT, metadata.orientation(raw))
        ifd0.setdefault(50827, text_tag(order, 50827, os.fsencode(path.name)))  # OriginalRawFileName
        return DngSource(
            sensor=np.array(raw.raw_image, dtype=np.uint16),
            window=(slice(top, top + height), slice(left, left + width)),
            black=black,
            white=white,
            ifd0=ifd0,
            exif=kept_tags.of_exif(found.exif),
            gps=list(found.gps.values()),
            byteorder=order,
            preview=preview,
        )


def _of_dng(tags: DngTags, raw: rawpy.RawPy, black: BlackLevels, white: float, path: Path) -> dict[int, Tag]:
    """Returns what a DNG says; with LibRaw's levels where LibRaw has scaled the values."""
    kept, order = kept_tags.of_dng(tags), tags.byteorder
    floating = _SAMPLE_FORMAT in tags.raw and 3 in tags.raw[_SAMPLE_FORMAT].numbers
    stated = kept[WHITE_LEVEL].numbers if WHITE_LEVEL in kept else ()
    if floating or not stated or max(stated) > _LARGEST:
        kept[WHITE_LEVEL] = number_tag(order, WHITE_LEVEL, LONG, round(white))
    levels = len(kept[BLACK_LEVEL].numbers) if BLACK_LEVEL in kept else 0
    if floating or levels not in (0, _product(kept.get(_BLACK_REPEAT))):
        kept |= _by_code(_black_level(order, black))
    for code, deltas in zip(BLACK_DELTAS, (black.columns, black.rows), strict=True):
        if floating or deltas is None:
            kept.pop(code, None)
    if (version := kept.get(_BACKWARD_VERSION)) and version.data > bytes((1, 4, 0, 0)):
        # later ones are asked for by compressions that the result does not have
        kept[_BACKWARD_VERSION] = number_tag(order, _BACKWARD_VERSION, BYTE, 1, 4, 0, 0)
    return _with_usable_colours(kept, raw, tags, path)


def _with_usable_colours(kept: dict[int, Tag], raw: rawpy.RawPy, tags: DngTags, path: Path) -> dict[int, Tag]:
    """Replaces a white balance and matrices that are impossible by those that `read_raw` uses."""
    order, neutral = tags.byteorder, 1 / metadata.white_balance(raw, tags, path)
    stated = np.array(kept[_NEUTRAL].numbers) if _NEUTRAL in kept else np.zeros(0)
    if stated.size == 3 and not np.allclose(stated / (stated[1] or np.nan), neutral, rtol=0.01):
        kept[_NEUTRAL] = number_tag(order, _NEUTRAL, RATIONAL, *neutral)
    if _COLOR_MATRIX in kept and metadata.cam2rgb(raw, path) is None:
        kept = {code: tag for code, tag in kept.items() if code not in _OF_COLOURS}
        matrix = number_tag(order, _COLOR_MATRIX, SRATIONAL, *_xyz2cam(raw, neutral, path).flatten())
        kept |= _by_code([matrix, number_tag(order, _ILLUMINANT, SHORT, _D65)])
    return kept


def _product(repeat: Tag | None) -> int:
    """Returns how many black levels there are before they repeat."""
    return int(np.prod(repeat.numbers)) if repeat is not None else 1


def _black_level(order: str, black: BlackLevels) -> list[Tag]:
    """Returns the tags of the mean levels of the Bayer tile's sites, which may be one level."""
    sites = black.sites.flatten() if np.ptp(black.sites) else black.sites.flatten()[:1]
    side = 2 if len(sites) == 4 else 1
    return [number_tag(order, _BLACK_REPEAT, SHORT, side, side), number_tag(order, BLACK_LEVEL, RATIONAL, *sites)]


def _by_code(tags: list[Tag]) -> dict[int, Tag]:
    return {tag.code: tag for tag in tags}


def _of_other_file(tags: DngTags, raw: rawpy.RawPy, black: BlackLevels, path: Path) -> dict[int, Tag]:
    """Returns what a DNG must say, from LibRaw's knowledge of the camera."""
    order, kept = tags.byteorder, kept_tags.of_camera_file(tags)
    make, model = (kept[code].text.strip() if code in kept else "" for code in (_MAKE, _MODEL))
    if not model:
        log.warning("%s: does not say its camera in a way that is known; the DNG has no Make and Model", path)
    height, width = raw.raw_image_visible.shape
    top, left = raw.sizes.top_margin, raw.sizes.left_margin
    neutral = 1 / metadata.white_balance(raw, None, path)
    made = [
        *_black_level(order, black),
        *_default_crop(raw, order),
        number_tag(order, 33421, SHORT, 2, 2),  # CFARepeatPatternDim
        number_tag(order, 33422, BYTE, *(_CFA_CODES[letter] for letter in pattern_of(raw, path))),  # CFAPattern
        number_tag(order, 50706, BYTE, 1, 4, 0, 0),  # DNGVersion
        number_tag(order, _BACKWARD_VERSION, BYTE, 1, 1, 0, 0),
        text_tag(order, 50708, unique_camera_model(make, model)),
        number_tag(order, WHITE_LEVEL, LONG, raw.white_level),
        number_tag(order, 50721, SRATIONAL, *_xyz2cam(raw, neutral, path).flatten()),  # ColorMatrix1
        number_tag(order, 50778, SHORT, _D65),  # CalibrationIlluminant1
        number_tag(order, 50829, LONG, top, left, top + height, left + width),  # ActiveArea
    ]
    if min(raw.camera_whitebalance[:3]) > 0:  # else the file says nothing, and converters choose
        made.append(number_tag(order, 50728, RATIONAL, *neutral))  # AsShotNeutral
    exif = tags.exif
    for code, origin in ((50735, 42033), (50736, 42034)):  # CameraSerialNumber, LensInfo
        if origin in exif:
            made.append(replace(exif[origin], code=code))
    return kept | _by_code(made)


def _default_crop(raw: rawpy.RawPy, order: str) -> list[Tag]:
    """Returns DefaultCropOrigin and DefaultCropSize, the part that the camera shows, if known."""
    sizes, (height, width) = raw.sizes, raw.raw_image_visible.shape
    left, top = sizes.crop_left_margin - sizes.left_margin, sizes.crop_top_margin - sizes.top_margin
    inside = left >= 0 and top >= 0 and left + sizes.crop_width <= width and top + sizes.crop_height <= height
    if not (inside and sizes.crop_width and sizes.crop_height):
        return []
    return [
        number_tag(order, 50719, LONG, left, top),
        number_tag(order, 50720, LONG, sizes.crop_width, sizes.crop_height),
    ]


def _xyz2cam(raw: rawpy.RawPy, neutral: NDArray[np.float64], path: Path) -> NDArray[np.float64]:
    """Returns the matrix (3, 3) from XYZ to camera colours under D65."""
    cam2rgb = metadata.cam2rgb(raw, path)
    xyz2cam = np.asarray(raw.rgb_xyz_matrix[:3], dtype=np.float64)
    if cam2rgb is not None and xyz2cam.any():
        return xyz2cam
    # of white-balanced colours; the as-shot white stands for that of D65
    rgb2cam = np.eye(3) if cam2rgb is None else np.linalg.inv(cam2rgb)
    return np.diag(neutral) @ rgb2cam @ np.linalg.inv(RGB2XYZ)


def unique_camera_model(make: str, model: str) -> str:
    """Returns a camera's name as DNG files have it, "Sony ILCE-7RM3" or "Nikon D5000".

    Converters find their profiles by it. Makers add "CORPORATION" and the like, write themselves in
    capitals, and some repeat their name in the model.
    """
    words, maker = model.split(), make.split()[:1]
    if [word.lower() for word in words[:1]] != [word.lower() for word in maker]:
        words = maker + words
    if words and words[0].isupper() and len(words[0]) > 3 and maker:
        words[0] = words[0].capitalize()
    return " ".join(words) or "Unknown"


def _other_tags(path: Path, preview: bytes) -> DngTags:
    """Returns the tags of a camera file that is no DNG: its own, or its preview's."""
    with path.open("rb") as file:
        content: io.BufferedReader | io.BytesIO = file
        if file.read(4) in _OLYMPUS_AND_PANASONIC:
            content = io.BytesIO(b"II*\0" + file.read())
        content.seek(0)
        tags = read_tiff_tags(content)
    start = preview.find(_JPEG_EXIF, 0, 4096)
    if tags is None and start >= 0:
        tags = read_tiff_tags(io.BytesIO(preview[start + len(_JPEG_EXIF) :]))
    return tags or DngTags("<", {}, {}, {}, {})


def _preview(path: Path, raw: rawpy.RawPy) -> bytes:
    """Returns the largest JPEG preview of a camera file; nothing where there is none in colour.

    Where the preview has no EXIF, LibRaw composes one: camera, date, exposure, GPS.
    """
    try:
        preview = raw.extract_thumb()
        content = bytes(preview.data) if preview.format == rawpy.ThumbFormat.JPEG else b""
        return content if content and _is_colour_jpeg(content) else b""
    except Exception as error:  # damaged bytes can make a parser stumble anywhere
        log.debug("%s: has no preview that can be used (%s)", path, reason(error))
        return b""


def _is_colour_jpeg(content: bytes) -> bool:
    with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
        return image.mode == "RGB"
