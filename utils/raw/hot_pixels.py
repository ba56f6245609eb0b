"""Hot and dead photosites: found in a picture or listed in a camera's file, and repaired.

A photosite with a dark current of its own, or without any signal, is no noise as denoisers learn
it: they leave it, or smear it. It is replaced by the median of its eight neighbours of its colour.

What is found in a picture must be no star and no texture. Light passes a lens, so that the smallest
point of it reaches the photosites beside it, too, which are of other colours: 8 % of it or more, if
its spot is as wide at half its height as 0.8 photosites (a Gaussian in the middle of a photosite).
A hot photosite has none of that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.config.files import read_yaml
from cycleisp.utils.errors import UserError

Mosaic = NDArray[np.float32]
Mask = NDArray[np.bool_]
Places = tuple[NDArray[np.intp], NDArray[np.intp]]

AUTO, OFF = "auto", "off"
_SIGMAS = 14.0  # beyond all neighbours, below which a star's light beside it could not be seen
_RANGES = 3.0  # of the neighbours' own range: texture varies among them, too
_BESIDE = 0.07  # share of the light that reaches the photosites beside; a hot one's is surely less
_SURELY = 2.0  # standard errors
_DEAD = 0.5  # of the darkest neighbour; a dead photosite has less
_AROUND = tuple((row, column) for row in (-2, 0, 2) for column in (-2, 0, 2) if (row, column) != (0, 0))
_LISTS = ("hot_pixels", "dead_pixels")  # in the file of a camera
_BORDER = 3  # photosites at the borders of a picture have too few neighbours to be judged


@dataclass(frozen=True)
class ListedPixels:
    """The hot and dead photosites of one camera.

    Attributes:
        name: the file that lists them.
        shape: height and width of the camera's mosaic.
        places: rows and columns.
    """

    name: str
    shape: tuple[int, int]
    places: Places


def read_listed(path: Path) -> ListedPixels:
    """Reads the hot and dead photosites in the file that `calibrate_camera.py` writes.

    Those of all ISO settings are taken together.

    Raises:
        UserError: the file cannot be read, or lists none.
    """
    content = read_yaml(path, "expected a camera's file as calibrate_camera.py writes it")
    settings = content.get("calibration")
    each = [one for one in settings.values() if isinstance(one, Mapping)] if isinstance(settings, Mapping) else []
    advice = f"{path}: lists no hot pixels; calibrate the camera with dark frames, or give --hot-pixels auto"
    listed = [
        (one["mosaic"], one[key])
        for one in each
        for key in _LISTS
        if one.get(key) is not None and one.get("mosaic") is not None
    ]
    if not listed:
        raise UserError(advice)
    try:
        shapes = {(int(mosaic[0]), int(mosaic[1])) for mosaic, _ in listed}
        points = np.array(sorted({(int(row), int(column)) for _, places in listed for row, column in places}))
    except (TypeError, ValueError, IndexError):
        raise UserError(f"{path}: its list of hot pixels is damaged; expected [[row, column], ...]") from None
    if len(shapes) != 1:
        raise UserError(f"{path}: its ISO settings have mosaics of different sizes; calibrate one camera at a time")
    rows, columns = points.reshape(-1, 2).T
    return ListedPixels(str(path), next(iter(shapes)), (rows, columns))


def repair_listed(mosaic: Mosaic, listed: ListedPixels, path: Path) -> tuple[Mosaic, Mask]:
    """Repairs the listed photosites that lie beyond all of their neighbours that are not listed.

    Args:
        mosaic: (H, W) of any Bayer pattern.
        listed: in the same camera's mosaics.
        path: of the picture, for errors.

    Returns:
        The mosaic, and where it was changed.

    Raises:
        UserError: the picture is of another size than the camera's.
    """
    height, width = mosaic.shape
    if (height - height % 2, width - width % 2) != listed.shape:
        size, other = f"{width}x{height}", f"{listed.shape[1]}x{listed.shape[0]}"
        words = f"has {size} photosites, the hot pixels in {listed.name} are of {other}; give --hot-pixels auto"
        raise UserError(f"{path}: {words}")
    rows, columns = listed.places
    inside = (rows >= 0) & (rows < listed.shape[0]) & (columns >= 0) & (columns < listed.shape[1])
    rows, columns = rows[inside], columns[inside]
    sound = mosaic.copy()
    sound[rows, columns] = np.nan
    around = _neighbours(sound, (rows, columns))
    judged = ~np.isnan(around).all(axis=0)
    rows, columns, around = rows[judged], columns[judged], around[:, judged]
    value = mosaic[rows, columns]
    odd = (value > np.nanmax(around, axis=0)) | (value < np.nanmin(around, axis=0))
    return _replaced(mosaic, (rows[odd], columns[odd]), around[:, odd])


def repair_found(
    mosaic: Mosaic,
    pattern: str,
    shot_noise: NDArray[np.floating],
    read_noise: NDArray[np.floating],
    white_balance: NDArray[np.floating],
) -> tuple[Mosaic, Mask]:
    """Finds hot and dead photosites in a picture, and repairs them.

    A photosite is hot if it is above its eight neighbours of its colour by `_SIGMAS` deviations of
    the noise, and by a multiple of what these differ, while the four photosites beside it hold
    surely less than the `_BESIDE` part of its light. Dead ones are likewise below.

    Args:
        mosaic: (H, W), linear, not clipped.
        pattern: of the Bayer tile at its corner.
        shot_noise, read_noise: (4,) variances of the planes R, G_r, G_b, B.
        white_balance: (3,) gains of R, G and B, which tell how much light a colour stands for.

    Returns:
        The mosaic, and where it was changed.
    """
    if min(mosaic.shape) <= 4 * _BORDER:
        return mosaic, np.zeros(mosaic.shape, dtype=bool)
    planes = _planes_of(pattern)
    rows, columns = _candidates(mosaic, float(shot_noise.min()), float(read_noise.min()))
    around = _neighbours(mosaic, (rows, columns))
    value, middle = mosaic[rows, columns], np.median(around, axis=0)
    highest, lowest = around.max(axis=0), around.min(axis=0)
    plane = planes[rows % 2, columns % 2]
    sigma = np.sqrt(shot_noise[plane] * np.maximum(middle, 0) + read_noise[plane])
    beyond = np.maximum(value - highest, lowest - value)
    sticks_out = beyond > np.maximum(_SIGMAS * sigma, _RANGES * (highest - lowest))
    sticks_out &= (value > highest) | (value < _DEAD * lowest)
    alone = _has_no_light_beside(
        mosaic, (rows, columns), value - middle, planes, shot_noise, read_noise, white_balance[[0, 1, 1, 2]]
    )
    bad = sticks_out & alone
    return _replaced(mosaic, (rows[bad], columns[bad]), around[:, bad])


def _candidates(mosaic: Mosaic, shot_noise: float, read_noise: float) -> Places:
    """Returns the photosites above, or below, all of their neighbours by the least that counts."""
    inner = np.s_[_BORDER:-_BORDER, _BORDER:-_BORDER]
    height, width = mosaic.shape
    centre = mosaic[inner]
    highest = np.full(centre.shape, -np.inf, dtype=mosaic.dtype)
    lowest = np.full(centre.shape, np.inf, dtype=mosaic.dtype)
    for row, column in _AROUND:
        shifted = mosaic[_BORDER + row : height - _BORDER + row, _BORDER + column : width - _BORDER + column]
        np.maximum(highest, shifted, out=highest)
        np.minimum(lowest, shifted, out=lowest)
    least = _SIGMAS * np.sqrt(np.float32(shot_noise) * np.maximum(lowest, 0) + np.float32(read_noise))
    rows, columns = np.nonzero((centre > highest + least) | (centre < lowest - least))
    return rows + _BORDER, columns + _BORDER


def _has_no_light_beside(
    mosaic: Mosaic,
    places: Places,
    excess: NDArray[np.floating],
    planes: NDArray[np.intp],
    shot_noise: NDArray[np.floating],
    read_noise: NDArray[np.floating],
    gains: NDArray[np.floating],
) -> Mask:
    """Tells whether the four photosites beside a place show surely no part of its light.

    Each is compared with the median of the neighbours of its own colour, in white-balanced values.
    """
    rows, columns = places
    light, variance = np.zeros(len(rows)), np.zeros(len(rows))
    for row, column in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        beside = rows + row, columns + column
        around = _neighbours(mosaic, beside)
        middle = np.median(around, axis=0)
        plane = planes[beside[0] % 2, beside[1] % 2]
        light += gains[plane] * (mosaic[beside] - middle) / 4
        noise = shot_noise[plane] * np.maximum(middle, 0) + read_noise[plane]
        # of the photosite, and a sixth of it for the median of eight; texture varies more
        variance += gains[plane] ** 2 * np.maximum(noise, around.var(axis=0, ddof=1)) * 7 / 6 / 16
    own = gains[planes[rows % 2, columns % 2]] * excess
    beside_part = np.sign(own) * light + _SURELY * np.sqrt(variance)
    none: Mask = beside_part < _BESIDE * np.abs(own)
    return none


def _neighbours(mosaic: Mosaic, places: Places) -> NDArray[np.float32]:
    """Returns the eight nearest values of the same colour (8, N); at borders, nearer ones twice."""
    rows, columns = places
    height, width = mosaic.shape
    return np.stack(
        [mosaic[_mirrored(rows + row, height), _mirrored(columns + column, width)] for row, column in _AROUND]
    ).reshape(len(_AROUND), -1)


def _mirrored(index: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    """Reflects indices about the first and the last one, which keeps every colour on its sites."""
    index = np.abs(index)
    return np.where(index >= length, 2 * (length - 1) - index, index)


def _replaced(mosaic: Mosaic, places: Places, around: NDArray[np.float32]) -> tuple[Mosaic, Mask]:
    """Returns a copy with the medians of neighbours in some places, and where they are.

    Neighbours that are NaN do not count.
    """
    mask = np.zeros(mosaic.shape, dtype=bool)
    if not len(places[0]):
        return mosaic, mask
    repaired = mosaic.copy()
    repaired[places] = np.nanmedian(around, axis=0)
    mask[places] = True
    return repaired, mask


def _planes_of(pattern: str) -> NDArray[np.intp]:
    """Returns which of the planes R, G_r, G_b, B each site (2, 2) of a tile belongs to."""
    red = divmod(pattern.index("R"), 2)
    planes = np.empty((2, 2), dtype=np.intp)
    for row, column in np.ndindex(2, 2):
        planes[row, column] = 2 * ((row - red[0]) % 2) + (column - red[1]) % 2
    return planes


def hot_pixels_of(text: str) -> ListedPixels | str:
    """Reads the option `--hot-pixels`: auto, off, or the file of a camera.

    Raises:
        UserError: it is none of them, or the file cannot be used.
    """
    if text in (AUTO, OFF):
        return text
    if not text.lower().endswith((".yaml", ".yml")):
        raise UserError(f"--hot-pixels {text}: expected auto, off, or a camera's file as mycamera.yaml")
    return read_listed(Path(text))
