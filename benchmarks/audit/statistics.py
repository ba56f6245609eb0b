"""The statistics of the audit: curves computed from sums over squares, and the distance of two.

Each is a `Statistic`. Curves have the shape (..., lines, points): the leading axes are those of the
totals, so that all draws of a bootstrap are computed at once. A point that nothing can be said of
is NaN, and no distance counts it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.audit.sums import BAND_EDGES, COARSE_EDGES, LAGS, PER_UNIT, Grid

Values = NDArray[np.float64]
FEWEST = 200  # values that a bin of intensity needs
DARK = 64.0  # levels: the mean error is compared where the clean picture is darker
QUANTILES = np.array([0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.995, 0.999])
COMPARED_LAGS = 8
LUMA = ("luma", "blue difference", "red difference")
FACTOR = "mean |ln(synthetic / real)|"


@dataclass(frozen=True)
class Statistic(ABC):
    """One comparison of the audit.

    Attributes:
        lines: names of the lines of the curve.
        points: (P,) where the points lie on the x axis.
        key: of its values in files.
        needs: the key of the sums that it is computed from.
        title: what it compares.
        unit: what the distance is, in words.
        x_label, y_label: of its curve.
        axes: the names of those axes that are logarithmic.
    """

    lines: tuple[str, ...]
    points: Values
    key: ClassVar[str]
    needs: ClassVar[str]
    title: ClassVar[str]
    unit: ClassVar[str]
    x_label: ClassVar[str]
    y_label: ClassVar[str]
    axes: ClassVar[str] = ""

    @abstractmethod
    def curve(self, totals: Values) -> Values:
        """Returns the curve (..., lines, points) of totals, which are sums over squares."""

    @abstractmethod
    def distance(self, real: Values, synthetic: Values) -> Values:
        """Returns how far two curves are apart, or each two of two stacks; NaN if none compare."""


class Variance(Statistic):
    """Variance of the noise about its mean, against the clean value."""

    key, needs, title, unit = "variance", "moments", "variance against intensity", FACTOR
    x_label, y_label, axes = "clean value, levels", "variance, levels squared", "y"

    def curve(self, totals: Values) -> Values:
        count, total, squares = np.moveaxis(totals, -1, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = squares / count - np.square(total / count)
        return np.where(count >= FEWEST, np.maximum(variance, 1e-6), np.nan)

    def distance(self, real: Values, synthetic: Values) -> Values:
        return mean_of(np.abs(np.log(synthetic / real)))


class RelativeVariance(Variance):
    """Variance likewise, of the noise divided by the deviation of its picture's noise."""

    key, needs, title = "relative", "relative", "variance over the picture's own"
    y_label = "variance over that of the picture"


class MeanError(Statistic):
    """Mean of the noise, against the clean value. It is compared in the dark."""

    key, needs, title, unit = "mean", "moments", f"mean error in the dark (below {DARK:g})", "rms difference, levels"
    x_label, y_label = "clean value, levels", "mean of the noise, levels"

    def curve(self, totals: Values) -> Values:
        count, total, _ = np.moveaxis(totals, -1, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(count >= FEWEST, total / count, np.nan)

    def distance(self, real: Values, synthetic: Values) -> Values:
        return np.sqrt(mean_of(np.square(synthetic - real)[..., self.points < DARK]))


class Histogram(Statistic):
    """Histogram of the noise, whose distance is the Kullback-Leibler divergence."""

    key, needs, title, unit = "histogram", "histogram", "histogram distance", "KL(real || synthetic), nats"
    x_label, y_label, axes = "noise, levels", "share of the values", "y"

    def curve(self, totals: Values) -> Values:
        filled = totals + 0.5  # an empty bin of the synthetic set would make the divergence infinite
        return filled / filled.sum(axis=-1, keepdims=True)

    def distance(self, real: Values, synthetic: Values) -> Values:
        return (real * np.log(real / synthetic)).sum(axis=-1).mean(axis=-1)


@dataclass(frozen=True)
class Quantiles(Statistic):
    """Quantiles of the noise in levels, one set's beside the other's.

    Attributes:
        width: of a bin of the sums.
    """

    width: float
    key, needs, title = "quantiles", "histogram", "quantiles beside quantiles"
    unit = "mean difference over the real deviation"
    x_label, y_label = "share of the values below", "noise, levels"

    def curve(self, totals: Values) -> Values:
        bins = totals.shape[-1]
        rising = totals + 1e-9  # interpolation needs a share that rises in every bin
        share = rising.cumsum(axis=-1) / rising.sum(axis=-1, keepdims=True)
        edges = self.width * (np.arange(bins + 1) - bins / 2)
        found = [np.interp(QUANTILES, np.concatenate([[0.0], row]), edges) for row in share.reshape(-1, bins)]
        return np.array(found).reshape(*totals.shape[:-1], len(QUANTILES))

    def distance(self, real: Values, synthetic: Values) -> Values:
        quarters = real[..., QUANTILES == 0.75] - real[..., QUANTILES == 0.25]
        deviation = np.maximum(quarters / 1.349, self.width / 2)  # as of a Gaussian
        return mean_of(np.abs(synthetic - real) / deviation)


class Tails(Quantiles):
    """Quantiles of the noise divided by the deviation of its own square."""

    key, needs, title = "tails", "tails", "shape of the tails"
    y_label = "noise over its square's deviation"


class Autocorrelation(Statistic):
    """Correlation of the noise with itself some pixels away."""

    key, needs, title = "autocorrelation", "lags", "autocorrelation"
    unit = f"rms difference, 1 to {COMPARED_LAGS} pixels apart"
    x_label, y_label = "pixels apart", "correlation"

    def curve(self, totals: Values) -> Values:
        correlation = totals[..., 1:] / np.maximum(totals[..., :1], 1e-12)
        return correlation.reshape(*totals.shape[:-3], -1, LAGS)

    def distance(self, real: Values, synthetic: Values) -> Values:
        return np.sqrt(mean_of(np.square(synthetic - real)[..., :COMPARED_LAGS]))


class Power(Statistic):
    """Power of the noise by frequency, as a share of the whole."""

    key, needs, title, unit = "power", "power", "power by frequency", FACTOR
    x_label, y_label, axes = "cycles a pixel", "share of the power", "xy"

    def curve(self, totals: Values) -> Values:
        return totals / np.nansum(totals, axis=-1, keepdims=True)

    def distance(self, real: Values, synthetic: Values) -> Values:
        return mean_of(np.abs(np.log(synthetic / real)))


class Stripes(Statistic):
    """Power of what is constant along rows or columns, over the power in all directions."""

    key, needs, title, unit = "stripes", "stripes", "power along rows and columns", FACTOR
    x_label, y_label, axes = "cycles a pixel", "power over that of all directions", "xy"

    def curve(self, totals: Values) -> Values:
        stripes, power = np.moveaxis(totals, -1, 0)
        return stripes / power

    def distance(self, real: Values, synthetic: Values) -> Values:
        return mean_of(np.abs(np.log(synthetic / real)))


class ChannelCorrelation(Statistic):
    """Correlation of two channels, apart for coarse, middle and fine noise."""

    key, needs, title, unit = "channels", "cross", "correlation between channels", "rms difference"
    x_label, y_label, axes = "cycles a pixel", "correlation", "x"

    def curve(self, totals: Values) -> Values:
        own = np.einsum("...iik->...ik", totals)
        pairs = combinations(range(totals.shape[-2]), 2)
        return np.stack([totals[..., i, j, :] / np.sqrt(own[..., i, :] * own[..., j, :]) for i, j in pairs], axis=-2)

    def distance(self, real: Values, synthetic: Values) -> Values:
        return np.sqrt(mean_of(np.square(synthetic - real)))


def all_statistics(channels: tuple[str, ...], grid: Grid) -> list[Statistic]:
    """Returns the statistics of a comparison, in the order of the report."""
    intensities = (grid.intensity_edges[:-1] + grid.intensity_edges[1:]) / 2
    bands = np.sqrt(BAND_EDGES[:-1] * BAND_EDGES[1:])
    along = tuple(f"{channel}, along {way}" for channel in channels for way in ("rows", "columns"))
    pairs = tuple(f"{first}-{second}" for first, second in combinations(channels, 2))
    return [
        Variance(channels, intensities),
        RelativeVariance(channels, intensities),
        MeanError(channels, intensities),
        Histogram(channels, grid.middles),
        Quantiles(channels, QUANTILES, grid.width),
        Tails(channels, QUANTILES, 1 / PER_UNIT),
        Autocorrelation(along, np.arange(1.0, LAGS + 1)),
        Power(channels + (LUMA if len(channels) == 3 else ()), bands),
        Stripes(along, bands[:-1]),
        ChannelCorrelation(pairs, np.sqrt(COARSE_EDGES[:-1] * COARSE_EDGES[1:])),
    ]


def with_stripes(sums: dict[str, Values]) -> dict[str, Values]:
    """Adds what `Stripes` needs: of each channel rows and columns, beside the power of all."""
    rows, columns = sums["rows"], sums["columns"]
    power = sums["power"][:, : rows.shape[1], : rows.shape[2]]
    both = np.stack([rows, columns], axis=2).reshape(len(rows), -1, rows.shape[2])
    return {**sums, "stripes": np.stack([both, np.repeat(power, 2, axis=1)], axis=-1)}


def mean_of(values: Values) -> Values:
    """Returns the mean over the last two axes, without NaN; NaN where there is nothing else."""
    known = np.isfinite(values)
    count = known.sum(axis=(-2, -1))
    total = np.where(known, values, 0).sum(axis=(-2, -1))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
