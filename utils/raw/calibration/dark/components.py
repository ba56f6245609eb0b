"""Dark frames: the parts of which the variance of their values consists.

    value(frame, row, column) = black + fixed(row, column) + offset(frame) + row(frame, row)
                                + column(frame, column) + pixel(frame, row, column)

The parts are told apart by an analysis of variance with random effects (Searle, Casella and
McCulloch, "Variance Components", 1992): the mean over the frames takes the fixed pattern away, the
means over rows and columns take away their offsets, and what is left is the pixels' noise. Means
hold some of the noise below them, which is subtracted. Nothing is assumed about distributions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.raw.calibration.dark.defects import HotThreshold
from cycleisp.utils.raw.calibration.dark.distributions import Array, Grid
from cycleisp.utils.raw.calibration.estimate import Estimate
from cycleisp.utils.raw.calibration.frames import Frame, Site
from cycleisp.utils.raw.calibration.levels import Counts, add_counts
from cycleisp.utils.raw.calibration.strips import strips

BANDS = 64  # of rows, for each of which levels are counted


@dataclass(frozen=True)
class Components:
    """The parts of the variance of the values of one colour in a group of dark frames, in DN^2.

    Attributes:
        mean: of all values, in DN; its error holds all parts, and a drift between frames.
        pixel: what every photosite adds by itself in every frame, rounding included.
        row, column: of the offsets that a row or a column of this colour shares in one frame.
        fixed: of the offsets that are the same in all frames.
        frames, height, width: how much was averaged.
    """

    mean: Estimate
    pixel: Estimate
    row: Estimate
    column: Estimate
    fixed: Estimate
    frames: int
    height: int
    width: int


class DarkSite:
    """The photosites of one colour in a group of two or more dark frames, read in two passes.

    Hot photosites are left out of everything.

    Attributes:
        levels: (bands, levels) how often each digital number occurs, in bands of rows.
        sigma: a first guess of the pixels' noise, in DN.
    """

    def __init__(self, frames: Sequence[Frame], site: Site, hot: HotThreshold, advance: Callable[[], object]) -> None:
        self.frames, self.site, self.hot, self.advance = frames, site, hot, advance
        self.height, self.width = frames[0].site(site).shape
        self._first_pass()

    def _first_pass(self) -> None:
        count = len(self.frames)
        rows = np.zeros((count, self.height))
        columns = np.zeros((count, self.width))
        in_row, in_column = np.zeros(self.height), np.zeros(self.width)
        levels: list[Counts] = [np.zeros(1, np.int64) for _ in range(BANDS)]
        total, powers, squares, self._reference = np.zeros(count), np.zeros(4), 0.0, 0.0
        for start, values in strips(self.frames, self.site):
            if start == 0:
                self._reference = float(np.median(values))
            part = slice(start, start + values.shape[1])
            usual = ~self.hot.found(values)
            deviation, mean = _deviations(values, usual, self._reference)
            rows[:, part], in_row[part] = deviation.sum(axis=2), usual.sum(axis=1)
            columns += deviation.sum(axis=1)
            in_column += usual.sum(axis=0)
            total += deviation.sum(axis=(1, 2))
            powers += [(mean**power).sum() for power in (1, 2, 3, 4)]
            squares += np.square(deviation).sum()
            self._count_levels(levels, start, values, usual)
            self.advance()
        self.levels = _stacked(levels)
        self._in_row, self._in_column = np.maximum(in_row, 1), np.maximum(in_column, 1)
        self._number = max(float(in_row.sum()), 1.0)
        self.sigma = float(np.sqrt(squares / (count - 1) / self._number))
        self._offsets = total / self._number
        self._rows = rows / self._in_row - self._offsets[:, None]
        self._columns = columns / self._in_column - self._offsets[:, None]
        self._mean, self._mean_variance, self._mean_fourth = _central_moments(powers / self._number)

    def _count_levels(self, levels: list[Counts], start: int, values: NDArray[np.integer], usual: NDArray) -> None:
        bands = (np.arange(start, start + values.shape[1]) * BANDS) // self.height
        for band in np.unique(bands):
            inside = bands == band
            chosen = values[:, inside][:, usual[inside]]
            if chosen.size:
                levels[band] = add_counts(levels[band], np.bincount(chosen.ravel().astype(np.int64)))

    def second_pass(self, grid: Grid) -> tuple[Components, NDArray[np.int64]]:
        """Returns the parts of the variance, and differences of frames without rows and columns.

        Args:
            grid: the cells in which to count the differences of frames 0 and 1, 2 and 3, ...
        """
        count = len(self.frames)
        squares, fourth = 0.0, 0.0
        differences = np.zeros(grid.count, np.int64)
        for start, values in strips(self.frames, self.site):
            part = slice(start, start + values.shape[1])
            usual = ~self.hot.found(values)
            deviation, _ = _deviations(values, usual, self._reference)
            deviation -= self._rows[:, part, None] + self._columns[:, None] + self._offsets[:, None, None]
            each = np.square(deviation).sum(axis=0)[usual]
            squares += each.sum()
            fourth += np.square(each).sum()
            for first in range(0, count - 1, 2):
                differences += _in_cells((deviation[first + 1] - deviation[first])[usual], grid)
            self.advance()
        return self._components(squares / self._number, fourth / self._number), differences

    def _components(self, square: float, fourth: float) -> Components:
        count, height, width, number = len(self.frames), self.height, self.width, self._number
        free = (count - 1) * (1 - 1 / height) * (1 - 1 / width)
        scatter = np.sqrt(max(fourth - square**2, 0.0) / number)
        pixel = Estimate(float(square / free), float(scatter / free))
        row = _between(self._rows, pixel, float(self._in_row.mean()))
        column = _between(self._columns, pixel, float(self._in_column.mean()))
        frame_noise = (pixel.value + row.value + column.value) / count
        fixed_error = np.hypot(
            np.sqrt(max(self._mean_fourth - self._mean_variance**2, 0.0) / number),
            (max(row.value, 0) * np.sqrt(2 / height) + max(column.value, 0) * np.sqrt(2 / width)) / count,
        )
        fixed = Estimate(self._mean_variance - frame_noise, float(fixed_error))
        return Components(
            Estimate(self._mean + self._reference, self._mean_error(pixel, row, column, fixed)),
            pixel,
            row,
            column,
            fixed,
            count,
            height,
            width,
        )

    def _mean_error(self, pixel: Estimate, row: Estimate, column: Estimate, fixed: Estimate) -> float:
        """Returns the error of the mean of all values, from all parts and a drift of the frames."""
        count, number = len(self.frames), self._number
        inside = max(row.value, 0) / self.height + max(column.value, 0) / self.width + pixel.value / number
        drift = max(float(np.square(self._offsets).sum()) / (count - 1) - inside, 0.0)
        return float(np.sqrt((inside + drift) / count + max(fixed.value, 0) / number))


def _deviations(values: NDArray[np.integer], usual: NDArray, reference: float) -> tuple[Array, Array]:
    """Returns values minus their mean over the frames, and that mean minus a reference.

    Both are 0 at hot photosites.
    """
    shifted = (values - reference) * usual
    mean = shifted.mean(axis=0)
    return shifted - mean, mean


def _central_moments(raw: Array) -> tuple[float, float, float]:
    """Returns mean, variance and fourth central moment from the means of powers 1 to 4."""
    first, second, third, fourth = (float(value) for value in raw)
    variance = second - first**2
    return first, variance, fourth - 4 * third * first + 6 * second * first**2 - 3 * first**4


def _between(offsets: Array, pixel: Estimate, averaged: float) -> Estimate:
    """Returns the variance of the offsets of rows, or of columns.

    Args:
        offsets: (frames, rows) the means of rows without those of frames and of the fixed pattern.
        pixel: the variance within a row.
        averaged: the number of photosites in a row.
    """
    frames, count = offsets.shape
    each = np.square(offsets).sum(axis=0) / (frames - 1)
    freedom = 1 - 1 / count
    error = float(each.std(ddof=1)) / np.sqrt(count) / freedom
    return Estimate(
        float(each.mean()) / freedom - pixel.value / averaged, float(np.hypot(error, pixel.error / averaged))
    )


def _in_cells(values: Array, grid: Grid) -> NDArray[np.int64]:
    """Counts values in the cells of a grid; those beyond the ends count in the outermost cells."""
    cells = np.rint(values / grid.width).astype(np.int64) + grid.count // 2
    return np.bincount(np.clip(cells, 0, grid.count - 1), minlength=grid.count)


def _stacked(levels: Sequence[Counts]) -> NDArray[np.int64]:
    longest = max(len(one) for one in levels)
    return np.stack([np.pad(one, (0, longest - len(one))) for one in levels])
