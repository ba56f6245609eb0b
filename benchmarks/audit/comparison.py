"""Distances of a real and a synthetic set, and how large sampling alone would make them.

Sampling alone: two sets are drawn from the squares of the real set, with replacement, one as large
as the real set and one as large as the synthetic. Their distance is that of two samples of the same
noise. The band is the value that 95 % of such distances lie below.

Where both sets show the same clean pictures, squares are drawn within each picture, as if the same
camera had taken the same scenes again. Otherwise whole pictures are drawn, since what differs from
picture to picture is then a part of sampling.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.audit.statistics import Statistic, Values
from benchmarks.audit.sums import Sums

BAND = 95.0  # percent
MUCH = 5.0  # times the band


@dataclass(frozen=True)
class Compared:
    """What one statistic says.

    Attributes:
        statistic: which one.
        real, synthetic: (lines, points) the curves.
        low, high: (lines, points) between which 95 % of the real set's resampled curves lie.
        distance: of the two curves.
        band: of the distances that sampling alone makes.
    """

    statistic: Statistic
    real: Values
    synthetic: Values
    low: Values
    high: Values
    distance: float
    band: float

    @property
    def times(self) -> float:
        """Returns the distance in units of the band; NaN where nothing compares."""
        return self.distance / self.band if self.band > 0 else float("nan")

    @property
    def verdict(self) -> str:
        """Returns what the distance means, in words."""
        if not np.isfinite(self.times):
            return "cannot be compared"
        if self.times <= 1:
            return "like real noise"
        return "differs" if self.times <= MUCH else "differs much"


@dataclass(frozen=True)
class Resampling:
    """How often each square of the real set is drawn, in each draw of the bootstrap.

    Attributes:
        first, second: (draws, N) as large as the real set, and as the synthetic one.
    """

    first: NDArray[np.float64]
    second: NDArray[np.float64]


def resample(
    picture: NDArray[np.intp], within_pictures: bool, ratio: float, draws: int, rng: np.random.Generator
) -> Resampling:
    """Draws from the squares of a real set, twice.

    Args:
        picture: (N,) of each square.
        within_pictures: whether to draw squares within each picture, or else whole pictures.
        ratio: the size of the second draw over that of the real set.
        draws: of the bootstrap.
        rng: all draws come from it.
    """
    sizes = (1.0, ratio)
    return Resampling(*(_drawn(picture, within_pictures, size, draws, rng) for size in sizes))


def _drawn(
    picture: NDArray[np.intp], within: bool, ratio: float, draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    numbers, order = np.unique(picture, return_inverse=True)
    if not within:
        return _weights(len(numbers), ratio, draws, rng)[:, order]
    result = np.zeros((draws, len(picture)))
    for number in range(len(numbers)):
        own = np.flatnonzero(order == number)
        result[:, own] = _weights(len(own), ratio, draws, rng)
    return result


def _weights(count: int, ratio: float, draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Returns how often each of `count` units is drawn, (draws, count), `ratio` times on average.

    One unit less is drawn and counts more, so that means vary as those of new samples would, and
    not by the factor 1 - 1 / count less (Rao and Wu, 1988).
    """
    drawn = max(1, round((count - 1) * ratio))
    times = rng.multinomial(drawn, np.full(count, 1 / count), size=draws).astype(np.float64)
    return times * (count * ratio / drawn)


def compare(statistic: Statistic, real: Sums, synthetic: Sums, resampling: Resampling) -> Compared:
    """Compares two sets by one statistic."""
    own, other = real[statistic.needs], synthetic[statistic.needs]
    real_curve, synthetic_curve = (statistic.curve(sums.sum(axis=0)) for sums in (own, other))
    flat = own.reshape(len(own), -1)
    first, second = (
        statistic.curve((weights @ flat).reshape(-1, *own.shape[1:]))
        for weights in (resampling.first, resampling.second)
    )
    by_chance = statistic.distance(first, second)
    by_chance = by_chance[np.isfinite(by_chance)]
    low, high = _span(first, real_curve)
    return Compared(
        statistic,
        real=real_curve,
        synthetic=synthetic_curve,
        low=low,
        high=high,
        distance=float(statistic.distance(real_curve, synthetic_curve)),
        band=float(np.percentile(by_chance, BAND)) if len(by_chance) else float("nan"),
    )


def _span(drawn: Values, curve: Values) -> tuple[Values, Values]:
    """Returns the 2.5 and 97.5 percentiles over draws; the curve itself where a draw has none."""
    ends = np.percentile(drawn, [50 - BAND / 2, 50 + BAND / 2], axis=0)
    low, high = np.where(np.isfinite(ends), ends, curve)
    return low, high
