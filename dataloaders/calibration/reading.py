"""One camera file in digital numbers: its mosaic as it is stored, and what it says about itself."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import rawpy
from numpy.typing import NDArray

from cycleisp.utils.raw import camera_metadata as metadata
from cycleisp.utils.raw.calibration.frames import SITES, tile_of
from cycleisp.utils.raw.calibration.looks import Header, Look, look_at
from cycleisp.utils.raw.camera_metadata import RawFileError
from cycleisp.utils.raw.dng.tags import DngTags, read_tiff_tags
from cycleisp.utils.raw.libraw_files import opened, pattern_of

_MAKE, _MODEL, _COMPRESSION, _SAMPLE_FORMAT = 271, 272, 259, 339
_EXPOSURE_TIME, _ISO = 33434, 34855
_LOSSY = {
    34892: "lossy JPEG in a DNG",
    52546: "JPEG XL in a DNG, which may be lossy",
    9: "VC-5, which is lossy",
    32767: "Sony's compressed RAW, which is lossy: choose uncompressed or lossless in the camera's menu",
}
_FLOATING_POINT = 3
_SMALLEST = 64  # photosites along a side, from which something can be measured


def read_levels(path: Path) -> tuple[Header, NDArray[np.uint16]]:
    """Reads a camera file without changing its values.

    Returns:
        What the file says, and its mosaic (H, W) in digital numbers: the visible area, cut to whole
        Bayer tiles, not clipped, black not subtracted.

    Raises:
        RawFileError: missing or damaged file, no Bayer sensor, impossible levels, no ISO setting,
            or values that are not those of a sensor.
    """
    with path.open("rb") as file:
        about = read_tiff_tags(file)
    with opened(path) as (raw, tags):
        if _number(tags, _SAMPLE_FORMAT) == _FLOATING_POINT:
            raise RawFileError(f"{path}: holds floating-point values; noise is measured in a sensor's own numbers")
        pattern = pattern_of(raw, path)
        black = metadata.black_levels(raw, tags, path)
        sites = tile_of(pattern)
        by_name = {name: float(black.sites[place]) for place, name in np.ndenumerate(np.array(sites))}
        levels = raw.raw_image_visible
        height, width = (length - length % 2 for length in levels.shape)
        if min(height, width) < _SMALLEST:
            raise RawFileError(f"{path}: has {width}x{height} photosites, expected at least {_SMALLEST} a side")
        first, second, third, fourth = (by_name[name] for name in SITES)
        header = Header(
            path,
            camera_of(about),
            (height, width),
            sites,
            (first, second, third, fourth),
            metadata.white_level(raw, tags, black.highest, path),
            _iso(raw, about, path),
            _exposure(raw, about),
            _LOSSY.get(int(_number(about, _COMPRESSION)), ""),
        )
        return header, np.array(levels[:height, :width])


def read_look(path: Path) -> Look:
    """Reads a camera file and returns what is kept of it. Raises RawFileError as `read_levels`."""
    return look_at(*read_levels(path))


def camera_of(tags: DngTags | None) -> str:
    """Returns maker and model from a file's tags; empty where it has none of TIFF's structure."""
    if tags is None:
        return ""
    maker, model = (tags.ifd0[code].text.strip() if code in tags.ifd0 else "" for code in (_MAKE, _MODEL))
    named_already = maker and model.lower().startswith(maker.split()[0].lower())
    return model if named_already else f"{maker} {model}".strip()


def _iso(raw: rawpy.RawPy, tags: DngTags | None, path: Path) -> float:
    stated = metadata.iso(raw) or _first(_exif(tags, _ISO))
    if not 0 < stated < np.inf:
        raise RawFileError(f"{path}: does not say its ISO setting; use files as the camera has written them")
    return float(stated)


def _exposure(raw: rawpy.RawPy, tags: DngTags | None) -> float:
    """Returns the exposure time in seconds, rounded so that equal settings are equal; 0 if none."""
    stated = float(raw.other.shutter_speed or 0)
    stated = stated or _first(_exif(tags, _EXPOSURE_TIME))
    return float(f"{stated:.4g}") if 0 < stated < np.inf else 0.0


def _exif(tags: DngTags | None, code: int) -> Iterable[float]:
    if tags is None:
        return ()
    tag = tags.exif.get(code, tags.ifd0.get(code))
    return () if tag is None else tag.numbers


def _number(tags: DngTags | None, code: int) -> float:
    """Returns the first number of a tag of the raw picture, or 0 where there is none."""
    return _first(() if tags is None or code not in tags.raw else tags.raw[code].numbers)


def _first(numbers: Iterable[float]) -> float:
    return next(iter(numbers), 0.0)
