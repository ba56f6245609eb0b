"""All comparisons of a real and a synthetic set, as lines for a terminal and values for a file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.audit.comparison import BAND, MUCH, Compared, compare, resample
from benchmarks.audit.crops import Crops, same_pictures
from benchmarks.audit.pictures import INNER, Spread, spreads
from benchmarks.audit.statistics import all_statistics, with_stripes
from benchmarks.audit.sums import Grid, sums_of

DEFINITIONS = (
    "Noise is noisy minus clean, in levels: 255 is white. The distance of each statistic is that of the two curves in "
    "its plot, over all lines and points.",
    "KL(real || synthetic) = sum over bins of p ln(p / q), in nats, mean over channels; p and q are the shares of the "
    "real and the synthetic noise in each bin, as in Noise Flow (Abdelhamed et al., ICCV 2019). The bins, a tenth of "
    "the real noise's deviation wide (in 8 bit pictures an odd number of levels), are this project's choice, and so is "
    "half a value that is added to every bin.",
    "Autocorrelation, power and correlations of channels are taken of noise divided by its picture's deviation, so "
    "that every picture counts alike; each square's mean is subtracted first. Power is seen through a Hann window.",
)


@dataclass(frozen=True)
class Audit:
    """What an audit has found.

    Attributes:
        compared: each statistic.
        spreads: each number of whole pictures, the one that differs most first.
        same_pictures: whether both sets show the same clean pictures.
        counts: pictures and squares of the real set, then of the synthetic one.
        size: the side of a square in values.
    """

    compared: list[Compared]
    spreads: list[Spread]
    same_pictures: bool
    counts: tuple[int, int, int, int]
    size: int

    @property
    def sampling(self) -> str:
        """Returns what the bands mean, in a sentence."""
        drawn = (
            "squares are drawn within each picture, since both sets show the same clean pictures"
            if self.same_pictures
            else "whole pictures are drawn, since the two sets show different ones"
        )
        return (
            f"The band is what {BAND:g} % of the distances of two samples of the real set stay below, as large as the "
            f"two sets and drawn with replacement: {drawn}. A distance of at most one band is like real noise, one of "
            f"more than {MUCH:g} bands differs much."
        )


def audit(real: Crops, synthetic: Crops, draws: int, seed: int) -> Audit:
    """Compares two sets by all statistics.

    Args:
        real, synthetic: the sets, of the same channels and size of squares.
        draws: of the bootstrap that the bands come from.
        seed: of the bootstrap.
    """
    grid, same = Grid.of(real), same_pictures(real, synthetic)
    sums = (with_stripes(sums_of(real, grid)), with_stripes(sums_of(synthetic, grid)))
    pictures = [len(np.unique(crops.picture)) for crops in (real, synthetic)]
    ratio = len(synthetic) / len(real) if same else pictures[1] / pictures[0]
    resampling = resample(real.picture, same, ratio, draws, np.random.default_rng(seed))
    compared = [compare(statistic, *sums, resampling) for statistic in all_statistics(real.channels, grid)]
    found = spreads(real, synthetic, sums, grid, seed)
    found.sort(key=lambda spread: -_worth(spread.distance / spread.band if spread.band > 0 else math.nan))
    counts = (pictures[0], len(real), pictures[1], len(synthetic))
    return Audit(compared, found, same, counts, real.noisy.shape[-1])


def lines_of(result: Audit) -> list[str]:
    """Returns the audit as text: a line for each statistic, and one for each number of pictures."""
    real, real_squares, synthetic, squares = result.counts
    lines = [
        f"{real} real pictures, {real_squares} squares of {result.size}; {synthetic} synthetic ones, {squares} squares",
        "",
        f"{'statistic':38} {'distance':>9} {'band':>9} {'times':>6}  verdict",
    ]
    lines += [
        f"{each.statistic.title:38} {_digits(each.distance):>9} {_digits(each.band):>9} {each.times:>6.1f}  "
        f"{each.verdict} ({each.statistic.unit})"
        for each in result.compared
    ]
    lines += [
        "",
        "numbers of whole pictures: 5 %, 50 % and 95 % of the pictures; how many real ones lie below and above the "
        f"inner {INNER:g} % of the synthetic ones, where 5 % and 5 % would be alike",
        "",
        f"{'number':48} {'real':>23} {'synthetic':>23} {'below':>6} {'above':>6}  verdict",
    ]
    for spread in result.spreads:
        below, above = (f"{100 * share:.0f} %" for share in (spread.below, spread.above))
        numbers = [" ".join(f"{_digits(value):>7}" for value in values) for values in (spread.inner_real, spread.inner)]
        lines.append(f"{spread.title:48} {numbers[0]:>23} {numbers[1]:>23} {below:>6} {above:>6}  {spread.verdict}")
    return [*lines, "", result.sampling]


def values_of(result: Audit) -> dict[str, Any]:
    """Returns the audit as JSON values; NaN is null."""
    return {
        "counts": dict(zip(("real_pictures", "real_squares", "pictures", "squares"), result.counts, strict=True)),
        "size": result.size,
        "same_pictures": result.same_pictures,
        "statistics": {
            each.statistic.key: {
                "title": each.statistic.title,
                "unit": each.statistic.unit,
                "distance": _plain(each.distance),
                "band": _plain(each.band),
                "verdict": each.verdict,
                "lines": each.statistic.lines,
                "points": _plain(each.statistic.points),
                **{name: _plain(getattr(each, name)) for name in ("real", "synthetic", "low", "high")},
            }
            for each in result.compared
        },
        "pictures": {
            spread.title: {
                "real": _plain(spread.inner_real),
                "synthetic": _plain(spread.inner),
                **{name: _plain(getattr(spread, name)) for name in ("below", "above", "distance", "band")},
                "verdict": spread.verdict,
            }
            for spread in result.spreads
        },
    }


def _digits(value: float) -> str:
    """Writes a number with three digits."""
    if not math.isfinite(value):
        return "-"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _plain(values: Any) -> Any:
    """Returns a number or an array as JSON values of four digits; None for NaN."""
    if isinstance(values, np.ndarray | Sequence):
        return [_plain(value) for value in values]
    return float(f"{values:.4g}") if math.isfinite(values) else None


def _worth(times: float) -> float:
    """Returns a number to sort by: NaN comes last."""
    return times if math.isfinite(times) else -1.0
