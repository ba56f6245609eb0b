"""Numbers of whole pictures, and how they are spread over the pictures of a set.

A training set must not have the mean of real noise, but cover its range. So each number is computed
of every picture, and the real pictures are counted that lie beyond the synthetic ones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.audit.crops import Crops
from benchmarks.audit.statistics import DARK, FEWEST, Values
from benchmarks.audit.sums import BAND_EDGES, LAGS, PER_UNIT, Grid, Sums

INNER = 90.0  # percent of the synthetic pictures, whose span the real ones are compared with
BRIGHT = 144.0  # levels, where the light begins
SHUFFLES = 400
OUTSIDE = 0.2  # share of real pictures beyond one end of that span, from which on it is too narrow
_BANDS = np.sqrt(BAND_EDGES[:-1] * BAND_EDGES[1:])


@dataclass(frozen=True)
class Spread:
    """One number of all pictures of both sets.

    Attributes:
        title: what the number is.
        real, synthetic: (pictures,) NaN of a picture that has none.
        below, above: shares of the real pictures that lie below and above the inner 90 % of the
            synthetic ones. Of two samples of one kind each is 0.05.
        distance: the largest difference of the two cumulated shares (Kolmogorov and Smirnov's).
        band: of the distances that sampling alone makes, by shuffling the pictures of both sets.
    """

    title: str
    real: Values
    synthetic: Values
    below: float
    above: float
    distance: float
    band: float

    @property
    def inner_real(self) -> Values:
        """Returns the 5, 50 and 95 percentiles of the real pictures."""
        return _inner(self.real)

    @property
    def inner(self) -> Values:
        """Returns the 5, 50 and 95 percentiles of the synthetic pictures."""
        return _inner(self.synthetic)

    @property
    def verdict(self) -> str:
        """Returns what the difference means, in words."""
        if not self.band > 0:
            return "cannot be compared"
        if self.distance <= self.band:
            return "like real noise"
        return "differs, within the range" if max(self.below, self.above) <= OUTSIDE else "differs, out of range"


def spreads(real: Crops, synthetic: Crops, sums: tuple[Sums, Sums], grid: Grid, seed: int) -> list[Spread]:
    """Returns the spreads of all numbers.

    Args:
        real, synthetic: the sets.
        sums: of their squares, as `with_stripes` returns them.
        grid: of the sums.
        seed: of the shuffling.
    """
    numbers = [
        _numbers(_of_pictures(own, crops.picture, len(crops.names)), grid, crops.channels)
        for crops, own in zip((real, synthetic), sums, strict=True)
    ]
    return [_spread(title, numbers[0][title], numbers[1][title], np.random.default_rng(seed)) for title in numbers[0]]


def _of_pictures(sums: Sums, picture: NDArray[np.intp], count: int) -> Sums:
    """Adds the sums of squares for each picture: (pictures, ...)."""
    chosen = (np.arange(count)[:, None] == picture[None, :]).astype(np.float64)
    return {key: np.tensordot(chosen, values, axes=1) for key, values in sums.items()}


def _numbers(totals: Sums, grid: Grid, channels: tuple[str, ...]) -> dict[str, Values]:
    """Returns every number of each picture, by its title."""
    with np.errstate(invalid="ignore", divide="ignore"):
        count, total, squares = np.moveaxis(totals["moments"], -1, 0)  # (pictures, C, intensities)
        variance = squares.sum(axis=2) / count.sum(axis=2) - np.square(total.sum(axis=2) / count.sum(axis=2))
        deviation = np.sqrt(np.maximum(variance, 0))
        middles = (grid.intensity_edges[:-1] + grid.intensity_edges[1:]) / 2
        dark = middles < DARK
        lags = totals["lags"] / totals["lags"][..., :1]
        lags = lags.mean(axis=2)  # (pictures, C, LAGS + 1)
        result = {"deviation, levels": np.sqrt((deviation**2).mean(axis=1))}
        green = channels.index("G" if "G" in channels else "Gr")
        for index, channel in enumerate(channels):
            if index != green:
                result[f"deviation of {channel} over {channels[green]}"] = deviation[:, index] / deviation[:, green]
        for index, channel in enumerate(channels):
            result[f"mean of {channel}, levels"] = total[:, index].sum(axis=1) / count[:, index].sum(axis=1)
        result["mean in the dark, levels"] = total[..., dark].sum(axis=(1, 2)) / count[..., dark].sum(axis=(1, 2))
        parts = {
            "the dark": dark,
            "the middle": (middles >= DARK) & (middles < BRIGHT),
            "the light": middles >= BRIGHT,
        }
        variances = {
            name: _variance_of(count[..., part], total[..., part], squares[..., part]) for name, part in parts.items()
        }
        for name in ("the dark", "the light"):
            result[f"variance in {name} over the middle"] = variances[name] / variances["the middle"]
        for lag in (1, 2, 4, 8):
            for index, channel in enumerate(channels):
                result[f"correlation of {channel}, {lag} apart"] = lags[:, index, min(lag, LAGS)]
        result.update(_of_spectra(totals, channels))
        result["kurtosis"] = _kurtosis(totals["tails"])
    return result


def _variance_of(count: Values, total: Values, squares: Values) -> Values:
    """Returns the variance over channels and intensities, (pictures,); NaN of too few values."""
    n, first, second = (values.sum(axis=(1, 2)) for values in (count, total, squares))
    return np.where(n >= FEWEST, second / n - np.square(first / n), np.nan)


def _of_spectra(totals: Sums, channels: tuple[str, ...]) -> dict[str, Values]:
    """Returns the numbers that are taken of power by frequency and of products of channels."""
    power, cross = totals["power"], totals["cross"]
    coarse, fine = _BANDS < 1 / 16, _BANDS > 1 / 4
    result = {}
    planes = channels if len(channels) == 4 else ("luma", "blue difference", "red difference")
    first = 0 if len(channels) == 4 else 3
    for index, plane in enumerate(planes, start=first):
        middle = np.nanmean(power[:, index, ~coarse & ~fine], axis=1)
        result[f"{plane}: coarse power over middle"] = np.nanmean(power[:, index, coarse], axis=1) / middle
        result[f"{plane}: fine power over middle"] = np.nanmean(power[:, index, fine], axis=1) / middle
    if len(channels) == 3:
        result["colour differences over luma, coarse"] = np.nanmean(power[:, 4:6, coarse], axis=(1, 2)) / np.nanmean(
            power[:, 3, coarse], axis=1
        )
    stripes = totals["stripes"][..., 0] / totals["stripes"][..., 1]
    for way, name in enumerate(("rows", "columns")):
        result[f"power along {name} over all directions"] = np.nanmean(stripes[:, way::2, :6], axis=(1, 2))
    own = np.einsum("piik->pik", cross)
    for i in range(len(channels)):
        for j in range(i + 1, len(channels)):
            for band, name in enumerate(("coarse", "middle", "fine")):
                both = np.sqrt(own[:, i, band] * own[:, j, band])
                result[f"correlation {channels[i]}-{channels[j]}, {name}"] = cross[:, i, j, band] / both
    return result


def _kurtosis(tails: Values) -> Values:
    """Returns the kurtosis of the noise divided by its square's deviation, 3 of a Gaussian."""
    reach = tails.shape[-1] // 2
    values = np.arange(-reach, reach + 1) / PER_UNIT
    share = tails.sum(axis=1)
    share = share / share.sum(axis=1, keepdims=True)
    return (share * values**4).sum(axis=1) / np.square((share * values**2).sum(axis=1))


def _spread(title: str, real: Values, synthetic: Values, rng: np.random.Generator) -> Spread:
    known, others = real[np.isfinite(real)], synthetic[np.isfinite(synthetic)]
    if not len(known) or not len(others):
        return Spread(title, real, synthetic, *(float("nan"),) * 4)
    low, high = np.percentile(others, [50 - INNER / 2, 50 + INNER / 2])
    is_real = np.concatenate([np.ones(len(known)), np.zeros(len(others))])
    order = np.argsort(np.concatenate([known, others]), kind="stable")
    ordered = np.concatenate([known, others])[order]
    ends = np.append(ordered[1:] != ordered[:-1], True)  # equal values count together
    shuffled = rng.permuted(np.broadcast_to(is_real, (SHUFFLES, len(is_real))), axis=1)
    return Spread(
        title,
        real,
        synthetic,
        float((known < low).mean()),
        float((known > high).mean()),
        float(_smirnov(is_real[order], ends)),
        float(np.percentile(_smirnov(shuffled, ends), 95)),
    )


def _smirnov(is_real: Values, ends: NDArray[np.bool_]) -> Values:
    """Returns the largest difference of the cumulated shares of two sets.

    Args:
        is_real: (..., values) in ascending order of the values, 1 for the first set's and 0 for the
            second's.
        ends: (values,) whether a larger value follows.
    """
    shares = [flags.cumsum(axis=-1) / flags.sum(axis=-1, keepdims=True) for flags in (is_real, 1 - is_real)]
    return np.abs(shares[0] - shares[1])[..., ends].max(axis=-1)


def _inner(values: Values) -> Values:
    known = values[np.isfinite(values)]
    if not len(known):
        return np.full(3, np.nan)
    return np.percentile(known, [50 - INNER / 2, 50, 50 + INNER / 2])
