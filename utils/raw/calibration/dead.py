"""Dead photosites: which ones stay dark in every bright flat frame."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from cycleisp.utils.raw.calibration.estimate import Estimate
from cycleisp.utils.raw.calibration.frames import SITES, Frame, Site
from cycleisp.utils.raw.calibration.strips import strips

LEFT = 0.5  # of the light of its neighbours: a dead photosite shows less in every frame
DEVIATIONS = 8.0  # of the noise lie between that and all light: only such bright places are judged
AROUND = 5  # side of the square of one colour whose mean chooses candidates
CANDIDATE = 0.75  # of that mean: a candidate shows less, and is compared with its neighbours
_NEIGHBOURS = tuple((row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if (row, column) != (0, 0))

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class DeadPixels:
    """The dead photosites of a camera, and how many there are.

    Attributes:
        density: share of the photosites.
        rows, columns: in the mosaic, row by row.
    """

    density: Estimate
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]


def find_dead_pixels(
    groups: Sequence[Sequence[Frame]], blacks: dict[Site, float], advance: Callable[[], object] = lambda: None
) -> DeadPixels | None:
    """Finds dead photosites in groups of flat frames.

    A photosite is dead if in every frame of every group it shows less than LEFT of the light of
    its neighbours of its colour, wherever these are bright enough to tell. The second darkest of
    the eight neighbours counts, so that two dead photosites side by side are found, while grains
    of dust, which shade all of them, are not.

    Args:
        groups: of two or more frames of one evenly lit surface each, of equal size.
        blacks: the level of each colour, in DN.
        advance: called after each strip.

    Returns:
        None if no frame is bright enough anywhere.
    """
    shape = groups[0][0].mosaic.shape
    dark, lit = np.zeros(shape, bool), np.zeros(shape, bool)
    for group in groups:
        for site in SITES:
            row, column = group[0].place(site)
            seen = dark[row::2, column::2], lit[row::2, column::2]  # views
            for start, values in strips(group, site):
                part = slice(start, start + values.shape[1])
                is_dark, is_lit = _judged(values - blacks[site])
                seen[0][part] |= is_dark
                seen[1][part] |= is_lit
                advance()
    judged = int((dark | lit).sum())
    if not judged:
        return None
    rows, columns = np.nonzero(dark & ~lit)
    number = len(rows)
    return DeadPixels(Estimate(number / judged, max(number, 1) ** 0.5 / judged), rows, columns)


def _judged(signal: NDArray[np.floating]) -> tuple[Mask, Mask]:
    """Tells which photosites of a strip (frames, h, w) are dark, and which are lit.

    Those in places that are not bright enough are neither.
    """
    mean, brightest = signal.mean(axis=0), signal.max(axis=0)
    around = uniform_filter(mean, AROUND, mode="mirror")
    sigma = float(np.sqrt(signal.var(axis=0, ddof=1).mean()))
    bright = (1 - LEFT) * around > DEVIATIONS * sigma
    rows, columns = np.nonzero(bright & (brightest < CANDIDATE * around))
    height, width = mean.shape
    beside = np.stack(
        [mean[_mirrored(rows + row, height), _mirrored(columns + column, width)] for row, column in _NEIGHBOURS]
    )
    is_dark = brightest[rows, columns] < LEFT * np.sort(beside, axis=0)[1]
    dark = np.zeros(mean.shape, bool)
    dark[rows[is_dark], columns[is_dark]] = True
    return dark, bright & ~dark


def _mirrored(index: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    """Reflects indices about the first and the last one."""
    index = np.abs(index)
    return np.clip(np.where(index >= length, 2 * (length - 1) - index, index), 0, length - 1)
