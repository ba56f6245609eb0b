"""What a camera file says about its mosaic: levels, white balance, matrix, noise, orientation.

Files hold what their writers put there, so that every number is checked before it is used. What is
impossible and has a substitute is left out with a warning; what has none is an error. LibRaw knows
the numbers of all cameras; those of a DNG are read from its tags where LibRaw simplifies them.
"""

import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import rawpy
from numpy.typing import NDArray

from cycleisp.utils.color.colorimetry import cam2rgb_from_xyz2cam
from cycleisp.utils.errors import UserError
from cycleisp.utils.orientation import UPRIGHT
from cycleisp.utils.raw.dng.tags import DngTags

log = logging.getLogger(__name__)

DNG_NOISE_PROFILE = 51041  # one or N pairs (shot, read), variances on the [0, 1] scale
_REPEAT_DIM, _BLACK_LEVEL, _DELTA_H, _DELTA_V, _WHITE_LEVEL, _ACTIVE_AREA = 50713, 50714, 50715, 50716, 50717, 50829
_SAMPLE_FORMAT, _FLOATING_POINT, _AS_SHOT_NEUTRAL = 339, 3, 50728
# LibRaw's flip: 1 mirrors left to right, 2 top to bottom, 4 exchanges rows and columns
_ORIENTATIONS = {0: 1, 1: 2, 2: 4, 3: 3, 4: 5, 5: 8, 6: 6, 7: 7}
_LARGEST_GAIN = 100  # of a colour against green; of real cameras in real light it is below 10
_LARGEST_CONDITION = 1000  # of a colour matrix; that of real cameras is below 50
_LARGEST_FACTOR = 100  # in a colour matrix or its inverse; of real cameras below 5
_LARGEST_LEVEL = 65536  # values of LibRaw have 16 bits
_LEAST_NOISE = 1e-12  # variance; rounding to 16 bits alone has 2e-11


class RawFileError(UserError):
    """A camera file that cannot be used. The message says which and why."""


@cache
def _warn(message: str) -> None:
    """Logs a warning once, since a file is read and rendered by several calls."""
    log.warning("%s", message)


@dataclass(frozen=True)
class BlackLevels:
    """The black level of every photosite of the visible mosaic, in sensor units.

    Attributes:
        tile: (n, m) levels, n and m even, which repeat from the top-left pixel.
        rows, columns: (H,) and (W,), what is added to the levels of each row and column; None where
            nothing is.
    """

    tile: NDArray[np.float64]
    rows: NDArray[np.float64] | None = None
    columns: NDArray[np.float64] | None = None

    @property
    def sites(self) -> NDArray[np.float64]:
        """Returns the mean level (2, 2) of each site of the Bayer tile."""
        means = np.array([[self.tile[row::2, column::2].mean() for column in (0, 1)] for row in (0, 1)])
        added = (np.mean(part) for part in (self.rows, self.columns) if part is not None)
        return means + sum(added)

    @property
    def highest(self) -> float:
        """Returns the highest level of a photosite."""
        return float(self.tile.max() + sum(part.max() for part in (self.rows, self.columns) if part is not None))


def black_levels(raw: rawpy.RawPy, tags: DngTags | None, path: Path) -> BlackLevels:
    """Returns the black levels: a DNG's own, or LibRaw's, one for each site of the Bayer tile.

    Raises:
        RawFileError: a DNG states a level that is no number, or less than nothing.
    """
    per_colour = np.asarray(raw.black_level_per_channel, dtype=np.float64)
    of_libraw = BlackLevels(per_colour[np.asarray(raw.raw_pattern)])
    if tags is None or _BLACK_LEVEL not in tags.raw or _is_floating_point(tags):
        return of_libraw
    (rows, columns), levels = _repeat(tags), np.array(tags.raw[_BLACK_LEVEL].numbers, dtype=np.float64)
    if levels.size != rows * columns:  # of samples that LibRaw does not give, or damaged
        return of_libraw
    if not (np.isfinite(levels).all() and levels.min() >= 0):
        raise RawFileError(f"{path}: its black level {levels.min():g} is impossible; get the file again or remove it")
    # The levels repeat from the corner of the active area. LibRaw may leave out another line.
    area = np.array(tags.raw[_ACTIVE_AREA].numbers if _ACTIVE_AREA in tags.raw else (0, 0))
    area = area[:2] if len(area) >= 2 and np.isfinite(area[:2]).all() else np.zeros(2)
    top, left = raw.sizes.top_margin - int(area[0]), raw.sizes.left_margin - int(area[1])
    tile = np.roll(levels.reshape(rows, columns), (-top, -left), axis=(0, 1))
    height, width = raw.raw_image_visible.shape
    return BlackLevels(
        np.tile(tile, (1 + rows % 2, 1 + columns % 2)),
        _deltas(tags, _DELTA_V, top, height, path),
        _deltas(tags, _DELTA_H, left, width, path),
    )


def _is_floating_point(tags: DngTags) -> bool:
    """Tells whether a DNG holds floating point values, which LibRaw scales to integers."""
    return _SAMPLE_FORMAT in tags.raw and _FLOATING_POINT in tags.raw[_SAMPLE_FORMAT].numbers


def _repeat(tags: DngTags) -> tuple[int, int]:
    """Returns after how many rows and columns the black levels of a DNG repeat."""
    numbers = tags.raw[_REPEAT_DIM].numbers if _REPEAT_DIM in tags.raw else ()
    return (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 and min(numbers) >= 1 else (1, 1)


def _deltas(tags: DngTags, code: int, start: int, length: int, path: Path) -> NDArray[np.float64] | None:
    """Returns what a DNG adds to the black level of each row or column that is visible."""
    if code not in tags.raw:
        return None
    deltas = np.array(tags.raw[code].numbers, dtype=np.float64)[max(start, 0) :][:length]
    if len(deltas) != length or not np.isfinite(deltas).all():
        _warn(f"{path}: its black levels of rows or columns are damaged, and are not used")
        return None
    return deltas


def white_level(raw: rawpy.RawPy, tags: DngTags | None, black: float, path: Path) -> float:
    """Returns the level at which the sensor saturates.

    A DNG says it. Some cameras saturate below LibRaw's general white level, so the channels' levels
    take precedence, of which the lowest counts: above it, colours are unknown.

    Args:
        black: the highest black level, which white must exceed.

    Raises:
        RawFileError: it does not, or the level is more than 16 bits hold.
    """
    of_tags = tags is not None and _WHITE_LEVEL in tags.raw and not _is_floating_point(tags)
    stated = tags.raw[_WHITE_LEVEL].numbers if tags is not None and of_tags else ()
    channels = [level for level in raw.camera_white_level_per_channel or () if level > 0]
    white = float(raw.white_level)
    if stated or channels:
        white = float(min(stated or channels))
    if white > _LARGEST_LEVEL:
        raise RawFileError(f"{path}: its white level {white:g} is impossible; get the file again or remove it")
    if not black < white:  # which NaN is not, either
        raise RawFileError(
            f"{path}: black level {black:g} is not below white level {white:g}; get the file again or remove it"
        )
    return white


def white_balance(raw: rawpy.RawPy, tags: DngTags | None, path: Path) -> NDArray[np.float64]:
    """Returns the as-shot gains (3,) for R, G, B; green = 1.

    Where the file says nothing, or something impossible, the gains are those of daylight, as LibRaw
    takes them, or 1.
    """
    stated = np.asarray(raw.camera_whitebalance[:3], dtype=np.float64)
    if _is_balance(stated):
        return stated / stated[1]
    daylight = np.asarray(raw.daylight_whitebalance[:3], dtype=np.float64)
    gains, substitute = (daylight / daylight[1], "daylight's") if _is_balance(daylight) else (np.ones(3), "none")
    if stated[[0, 2]].any() or (tags is not None and tags.find(_AS_SHOT_NEUTRAL)):  # else the file says nothing
        words = ", ".join(f"{gain:g}" for gain in stated)
        _warn(f"{path}: its white balance ({words}) is impossible; {substitute} is used")
    return gains


def _is_balance(gains: NDArray[np.float64]) -> bool:
    if not (np.isfinite(gains).all() and (gains > 0).all()):
        return False
    return bool((gains / gains[1]).max() <= _LARGEST_GAIN and (gains / gains[1]).min() >= 1 / _LARGEST_GAIN)


def cam2rgb(raw: rawpy.RawPy, path: Path) -> NDArray[np.float64] | None:
    """Returns the colour matrix (3, 3) from white-balanced camera colours to linear sRGB.

    LibRaw has it in one of two places, with zeros in the other. It is None where LibRaw knows none,
    or one that cannot be inverted.
    """
    xyz2cam = np.asarray(raw.rgb_xyz_matrix[:3], dtype=np.float64)
    matrix = np.asarray(raw.color_matrix[:, :3], dtype=np.float64)
    if not (xyz2cam.any() or matrix.any()):
        return None
    if xyz2cam.any():
        matrix = cam2rgb_from_xyz2cam(xyz2cam) if _is_invertible(xyz2cam) else np.zeros((3, 3))
    if not _is_invertible(matrix):
        _warn(f"{path}: its colour matrix cannot be inverted; the sensor's colours are left as they are")
        return None
    return matrix


def _is_invertible(matrix: NDArray[np.float64]) -> bool:
    if not (np.isfinite(matrix).all() and np.linalg.cond(matrix) <= _LARGEST_CONDITION):
        return False
    return bool(max(np.abs(matrix).max(), np.abs(np.linalg.inv(matrix)).max()) <= _LARGEST_FACTOR)


def noise_profile(tags: DngTags | None, path: Path) -> NDArray[np.float64] | None:
    """Returns the NoiseProfile (N, 2) of a DNG, pairs of shot and read noise; None where absent.

    The specification puts it into the IFD of the raw picture; that of IFD 0 counts where there is
    none. One that is impossible, or that says there is no noise at all, is left out with a warning.
    """
    tag = tags.find(DNG_NOISE_PROFILE) if tags is not None else None
    if tag is None:
        return None
    numbers = np.array(tag.numbers, dtype=np.float64)
    words = " ".join(f"{number:g}" for number in numbers[:8])
    if len(numbers) not in (2, 6, 8):
        problem = f"holds {tag.count} values, expected a pair, or a pair a colour"
    elif not ((numbers >= 0) & (numbers <= 1)).all():  # which NaN is not, either
        problem = f"({words}) is impossible, expected variances from 0 to 1"
    elif numbers.reshape(-1, 2).sum(axis=1).min() < _LEAST_NOISE:
        problem = f"({words}) says that there is no noise"
    else:
        return numbers.reshape(-1, 2)
    _warn(f"{path}: its NoiseProfile {problem}; it is not used")
    return None


def orientation(raw: rawpy.RawPy) -> int:
    """Returns the orientation of the mosaic, 1 to 8, in which LibRaw shows it by default."""
    return _ORIENTATIONS.get(raw.sizes.flip, UPRIGHT)


def iso(raw: rawpy.RawPy) -> float | None:
    """Returns the sensitivity, or None where the file does not say."""
    speed = float(raw.other.iso_speed or 0)
    return speed if np.isfinite(speed) and speed > 0 else None
