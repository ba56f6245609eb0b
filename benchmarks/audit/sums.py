"""What is added up of each square of noise.

Every statistic of the audit is a function of sums over squares. So the statistic of any choice of
squares, as a bootstrap draws them, costs a weighted sum instead of another look at the pictures.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from benchmarks.audit.crops import LEVELS, Crops
from cycleisp.utils.color.colorimetry import RGB2YCC

AT_A_TIME = 64  # squares
INTENSITIES = 16  # bins of the clean value
LAGS = 12  # pixels
REACH, PER_DEVIATION = 12, 10  # the histogram: deviations to each side, and bins in one of them
TAILS, PER_UNIT = 8, 10  # likewise of noise divided by the deviation of its square
# Cycles a pixel between which power is averaged: about two bands an octave.
BAND_EDGES = np.array([0.75, 1.5, 2.5, 3.5, 5, 7, 10, 14, 20, 28, 40, 64]) / 64
# Bands of the correlation between channels: coarser than 16 pixels, 16 to 4, finer than 4.
COARSE_EDGES = np.array([0.5 / 64, 1 / 16, 1 / 4, 1.0])


@dataclass(frozen=True)
class Grid:
    """The bins of a comparison, which both sets share.

    Attributes:
        intensity_edges: (INTENSITIES + 1,) of the clean value in levels.
        width: of a bin of the noise's histogram, in levels.
        reach: bins to each side of the middle one.
    """

    intensity_edges: NDArray[np.float64]
    width: float
    reach: int

    @classmethod
    def of(cls, real: Crops) -> "Grid":
        """Chooses bins by the real set.

        Pictures of 8 bits have whole levels, so a bin covers an odd number of them. RAW is mostly
        dark, so its bins of intensity are equal in the square root.
        """
        steps = np.linspace(0, 1, INTENSITIES + 1)
        deviation = max(float(real.noise.std()), 1e-6)
        if len(real.channels) == 3:
            width = 2 * int(deviation / (2 * PER_DEVIATION)) + 1.0
            return cls(LEVELS * steps, width, min(round(REACH * deviation / width), int(LEVELS)) + 1)
        return cls(LEVELS * steps**2, deviation / PER_DEVIATION, REACH * PER_DEVIATION)

    @property
    def middles(self) -> NDArray[np.float64]:
        """Returns the middles of the histogram's bins in levels."""
        return self.width * np.arange(-self.reach, self.reach + 1, dtype=np.float64)


Sums = dict[str, NDArray[np.float64]]  # each (N, ...)


def sums_of(crops: Crops, grid: Grid) -> Sums:
    """Returns the sums of each square, each an array whose first axis counts the squares.

    `relative` and the structure of the noise (`lags`, `power`, `rows`, `columns`, `cross`) are
    taken of the noise divided by the deviation of its picture's noise, so that every picture counts
    alike.
    """
    deviation = picture_deviations(crops)[crops.picture]
    parts = [_sums(*part, grid) for part in _chunks(crops, deviation)]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def picture_deviations(crops: Crops) -> NDArray[np.float64]:
    """Returns the root mean square of each picture's noise in levels, (pictures,)."""
    square = np.square(crops.noise).mean(axis=(1, 2, 3), dtype=np.float64)
    counts = np.bincount(crops.picture, minlength=len(crops.names))
    mean = np.bincount(crops.picture, square, len(crops.names)) / np.maximum(counts, 1)
    return np.sqrt(np.maximum(mean, 1e-12))


def _chunks(crops: Crops, deviation: NDArray) -> Iterator[tuple[NDArray, NDArray, NDArray]]:
    for first in range(0, len(crops), AT_A_TIME):
        part = slice(first, first + AT_A_TIME)
        clean = crops.clean[part]
        yield crops.noisy[part] - clean, clean, deviation[part]


def _sums(noise: NDArray[np.float32], clean: NDArray[np.float32], deviation: NDArray, grid: Grid) -> Sums:
    """Returns the sums of some squares (n, C, S, S)."""
    flat, size = noise.reshape(*noise.shape[:2], -1), noise.shape[-1]
    bins = np.searchsorted(grid.intensity_edges[1:-1], clean.reshape(flat.shape), side="right")
    moments = np.stack([_counted(bins, INTENSITIES, values) for values in (None, flat, np.square(flat))], axis=-1)
    own = flat.std(axis=2, keepdims=True, dtype=np.float64)
    tails = (flat - flat.mean(axis=2, keepdims=True)) / np.maximum(own, 1e-6)
    structure = (noise - noise.mean(axis=(2, 3), keepdims=True)) / deviation[:, None, None, None]
    return {
        "moments": moments,  # (n, C, INTENSITIES, 3): count, sum, sum of squares
        "relative": moments / deviation[:, None, None, None] ** np.arange(3),
        "histogram": _counted(_binned(flat, grid.width, grid.reach), 2 * grid.reach + 1),
        "tails": _counted(_binned(tails, 1 / PER_UNIT, TAILS * PER_UNIT), 2 * TAILS * PER_UNIT + 1),
        "lags": _lags(structure),
        **_spectra(structure, size),
    }


def _binned(values: NDArray, width: float, reach: int) -> NDArray[np.intp]:
    """Returns the bins of values, 0 to 2 reach; those beyond the ends count in the last bins."""
    return np.clip(np.floor(values / width + 0.5), -reach, reach).astype(np.intp) + reach


def _counted(bins: NDArray[np.intp], count: int, weights: NDArray | None = None) -> NDArray[np.float64]:
    """Counts (n, C, values) in bins 0 to count - 1: (n, C, count)."""
    rows = np.arange(bins.shape[0] * bins.shape[1]).reshape(*bins.shape[:2], 1)
    flat = None if weights is None else weights.ravel()
    total = np.bincount((rows * count + bins).ravel(), flat, bins.shape[0] * bins.shape[1] * count)
    return total.reshape(*bins.shape[:2], count).astype(np.float64)


def _lags(structure: NDArray) -> NDArray[np.float64]:
    """Returns mean products of values k apart, along rows and columns: (n, C, 2, LAGS + 1)."""
    result = np.empty((*structure.shape[:2], 2, LAGS + 1))
    for direction, along in enumerate((structure, structure.swapaxes(2, 3))):
        size = along.shape[-1]
        for lag in range(LAGS + 1):
            result[:, :, direction, lag] = np.einsum(
                "ncij,ncij->nc", along[..., : size - lag], along[..., lag:], optimize=True
            ) / (size * (size - lag))
    return result


def _spectra(structure: NDArray, size: int) -> Sums:
    """Returns sums of the power of squares seen through a Hann window.

    Power is normalised such that white noise of variance 1 has power 1 at every frequency.
    `power` (n, C or 6, bands) has luma and colour differences after R, G, B; `rows` and `columns`
    (n, C, bands) have the power of what is constant along a row, and along a column; `cross`
    (n, C, C, 3 bands) the products of two channels.
    """
    window = np.hanning(size + 1)[:-1]
    taper = window[:, None] * window[None, :]
    transform = np.fft.rfft2(structure * taper, axes=(2, 3)) / np.sqrt(np.square(taper).sum())
    down, right = np.abs(np.fft.fftfreq(size)), np.fft.rfftfreq(size)
    radius = np.hypot(down[:, None], right[None, :])
    twice = np.where((right == 0) | (right == 0.5), 1.0, 2.0)  # the half that a real transform leaves out
    planes = transform
    if transform.shape[1] == 3:
        planes = np.concatenate([transform, np.einsum("ij,njhw->nihw", RGB2YCC, transform)], axis=1)
    power = np.square(np.abs(planes))
    own = power[:, : transform.shape[1]]
    cross = [
        np.einsum("nihw,njhw,hw->nij", transform, transform.conj(), inside * twice, optimize=True).real
        for inside in _inside(radius, COARSE_EDGES)
    ]
    return {
        "power": np.stack([_mean(power, inside * twice) for inside in _inside(radius, BAND_EDGES)], axis=-1),
        "rows": np.stack([_mean(own[..., :1], inside[:, None]) for inside in _inside(down, BAND_EDGES[:-1])], axis=-1),
        "columns": np.stack([_mean(own[:, :, :1], inside) for inside in _inside(right, BAND_EDGES[:-1])], axis=-1),
        "cross": np.stack(cross, axis=-1),
    }


def _inside(frequency: NDArray, edges: NDArray) -> list[NDArray[np.bool_]]:
    """Returns where frequencies lie in each band."""
    return [(frequency >= low) & (frequency < high) for low, high in pairwise(edges)]


def _mean(power: NDArray, weights: NDArray) -> NDArray[np.float64]:
    """Returns the weighted mean of (n, C, H, W) over frequencies, (n, C); NaN if there are none."""
    weights = np.broadcast_to(weights, power.shape[2:])
    total = float(weights.sum())
    if total == 0:
        return np.full(power.shape[:2], np.nan)
    return np.einsum("nchw,hw->nc", power, weights.astype(np.float64), optimize=True) / total
