"""Hot photosites: which ones are far brighter than black in every dark frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.raw.calibration.estimate import Estimate
from cycleisp.utils.raw.calibration.frames import SITES, Frame, Site
from cycleisp.utils.raw.calibration.levels import Counts, level_below
from cycleisp.utils.raw.calibration.strips import strips

DEVIATIONS = 8.0  # of all dark noise: a hot photosite is brighter by more
FAINTEST_SHARE = 0.5  # of hot photosites that may hide below the threshold and still be counted


@dataclass(frozen=True)
class HotThreshold:
    """What counts as defective at the photosites of one colour, in DN.

    Attributes:
        black: the level of most photosites.
        distance: from black. The mean over the frames is farther away, and every frame at least
            half as far.
    """

    black: float
    distance: float

    def found(self, values: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Tells which photosites are hot, or as far below black.

        Args:
            values: (frames, h, w) of two or more dark frames.
        """
        mean = values.mean(axis=0)
        hot = (mean > self.black + self.distance) & (values.min(axis=0) > self.black + self.distance / 2)
        cold = (mean < self.black - self.distance) & (values.max(axis=0) < self.black - self.distance / 2)
        return hot | cold


@dataclass(frozen=True)
class HotPixels:
    """The hot photosites of a camera, and how many there are.

    Attributes:
        density: share of the photosites whose dark current adds to the noise as
            `sensor_noise.sampling` draws it. Those that hide in the noise are counted by the
            exponential distribution of the others.
        amplitude: mean of their dark current, in DN.
        rows, columns: in the mosaic, the brightest first.
        amplitudes: mean value above black of each of them, in DN.
        threshold: the smallest amplitude that was looked for, of the four colours' largest, in DN.
    """

    density: Estimate
    amplitude: Estimate
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    amplitudes: NDArray[np.float64]
    threshold: float


def hot_threshold(counts: Counts, step: float) -> HotThreshold:
    """Returns what counts as hot, from the levels of dark frames.

    The upper half of the values gives the deviation: it is there even where black is clipped, and
    quantiles hardly notice hot photosites.
    """
    black = level_below(counts, 0.5)
    sigma = max(level_below(counts, 0.8413) - black, level_below(counts, 0.9772) / 2 - black / 2, step / 2)
    return HotThreshold(black, DEVIATIONS * sigma)


def find_hot_pixels(frames: Sequence[Frame], thresholds: dict[Site, HotThreshold]) -> HotPixels:
    """Finds hot photosites in a group of two or more dark frames.

    Their dark current is taken for exponentially distributed, so that what exceeds a threshold is
    distributed in the same way again, which gives both the mean and how many lie below.
    """
    height, width = frames[0].mosaic.shape
    found = [_hot_of_site(frames, site, thresholds[site]) for site in SITES]
    rows, columns, amplitudes = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.argsort(-amplitudes)
    threshold = max(one.distance for one in thresholds.values())
    excess = np.concatenate([hot[2] - thresholds[site].distance for site, hot in zip(SITES, found, strict=True)])
    density, amplitude = _exponential(excess, threshold, height * width)
    return HotPixels(density, amplitude, rows[order], columns[order], amplitudes[order], threshold)


def _hot_of_site(
    frames: Sequence[Frame], site: Site, threshold: HotThreshold
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    row, column = frames[0].place(site)
    rows, columns, amplitudes = [], [], []
    for start, values in strips(frames, site):
        amplitude = values.mean(axis=0) - threshold.black
        y, x = np.nonzero(threshold.found(values) & (amplitude > 0))
        rows.append(2 * (y + start) + row)
        columns.append(2 * x + column)
        amplitudes.append(amplitude[y, x])
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(amplitudes)


def _exponential(excess: NDArray[np.float64], threshold: float, photosites: int) -> tuple[Estimate, Estimate]:
    """Returns the share of hot photosites and the mean of their dark current.

    Args:
        excess: by how much each one that was found exceeds the threshold, in DN.
        threshold: in DN.
        photosites: how many were looked at.
    """
    number = len(excess)
    if number == 0:
        return Estimate(0.0, 1 / photosites), Estimate(0.0, 0.0)
    mean = float(excess.mean())
    error = mean / np.sqrt(number)
    hidden = threshold / mean  # logarithm of all to those that are brighter than the threshold
    if np.exp(-hidden) < FAINTEST_SHARE:
        # Most would lie below the threshold, where nobody has seen them: what is found is told.
        density, relative = number / photosites, 1 / np.sqrt(number)
        mean = mean + threshold
        return Estimate(density, density * float(relative)), Estimate(mean, float(error))
    density = number * float(np.exp(hidden)) / photosites
    relative = np.hypot(1, hidden) / np.sqrt(number)
    return Estimate(density, density * float(relative)), Estimate(mean, float(error))
