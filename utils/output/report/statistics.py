"""Statistics of a report: histograms, and variance against intensity."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cycleisp.utils.output.report.chart import Axis, Series, chart

_MOST_BARS = 30
_BINS = 24  # of intensity
_LEAST = 200  # values in a bin, for a variance within 10 % of the true one or so
_MOST_VALUES = 1 << 21  # that are looked at; of larger images every n-th row
_SHARE = 1e-3  # of all values; a bin with fewer is left out
_AT_AN_END = 0.002  # of the range: what lies nearer to an end is clipped, and its variance says nothing


def histogram(label: str, values: ArrayLike, caption: str, log: bool = False) -> str:
    """Returns a chart of how often values occur; empty for fewer than two of them.

    Args:
        label: the quantity and its unit.
        values: any number of them. What is not finite, or not above 0 where `log` is given, is left
            out.
        caption: what the reader sees.
        log: whether bars are equally wide in logarithms.
    """
    numbers = np.asarray(values, dtype=np.float64).reshape(-1)
    numbers = numbers[np.isfinite(numbers) & ((numbers > 0) | (not log))]
    if len(numbers) < 2:
        return ""
    places = np.log(numbers) if log else numbers
    bars = int(np.clip(np.ceil(2 * len(numbers) ** (1 / 3)), 3, _MOST_BARS))  # by the rule of Rice
    width = max(float(np.ptp(places)), 1e-9 * max(1.0, float(np.abs(places).max())))
    edges = np.linspace(places.min() - 0.01 * width, places.min() + 1.01 * width, bars + 1)
    counts = np.histogram(places, edges)[0]
    middles = (edges[1:] + edges[:-1]) / 2
    series = Series("", np.exp(middles) if log else middles, counts, style="steps")
    return chart([series], Axis(label, log=log), Axis("how many", low=0), caption)


@dataclass(frozen=True)
class VarianceCurve:
    """The variance of a difference of two images, by intensity.

    Attributes:
        intensity, variance, error: of each level of intensity; `error` is the standard error of
            the variance for Gaussian noise.
    """

    intensity: NDArray[np.float64]
    variance: NDArray[np.float64]
    error: NDArray[np.float64]

    def series(self, label: str, colour: str | None = None, line: bool = False) -> Series:
        """Returns the curve as points with error bars, or as a line."""
        low, high = self.variance - self.error, self.variance + self.error
        style = "line" if line else "points"
        return Series(label, self.intensity, self.variance, low, high, style, colour)  # type: ignore[arg-type]


def variance_by_intensity(smooth: NDArray, noisy: NDArray) -> VarianceCurve:
    """Measures the variance of `noisy - smooth` at each level of `smooth`.

    Values of either image at the ends of the range are left out, since clipping has taken a part of
    their noise.

    Args:
        smooth: floats in [0, 1], of any shape: the clean or denoised image.
        noisy: of the same shape.
    """
    step = max(1, smooth.size // _MOST_VALUES)
    clean, other = (np.asarray(image, dtype=np.float32).reshape(-1)[::step] for image in (smooth, noisy))
    inside = (np.minimum(clean, other) > _AT_AN_END) & (np.maximum(clean, other) < 1 - _AT_AN_END)
    clean, difference = clean[inside].astype(np.float64), (other[inside] - clean[inside]).astype(np.float64)
    if not len(clean):
        nothing = np.zeros(0)
        return VarianceCurve(nothing, nothing, nothing)
    low, high = float(clean.min()), float(clean.max())
    number = np.minimum(((clean - low) / max(high - low, 1e-12) * _BINS).astype(int), _BINS - 1)
    count, level, first, second = (
        np.bincount(number, weights, _BINS) for weights in (None, clean, difference, difference**2)
    )
    full = count >= max(_LEAST, _SHARE * len(clean))
    count, level, first, second = count[full], level[full], first[full], second[full]
    variance = np.maximum(second / count - (first / count) ** 2, 0)
    return VarianceCurve(level / count, variance, variance * np.sqrt(2 / count))


def variance_chart(series: Sequence[Series], x: str, y: str, caption: str) -> str:
    """Returns a chart of variance against intensity; empty where no series has a value."""
    if not any(np.size(each.x) for each in series):
        return ""
    return chart(series, Axis(x, low=0.0), Axis(y, low=0.0), caption)
