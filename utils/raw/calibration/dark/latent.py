"""Dark noise as it was before the camera clipped it at black and rounded it to coarse steps.

What the file holds is g(x): x rounded to steps, and raised to the lowest level where it is below.
Of x = black + pixel + row + column + fixed, three things are known from the frames:

- the levels' counts, which give black, the pixels' deviation and their tail by maximum likelihood,
  where a level stands for an interval of x, and the lowest one for everything below it (Tobin,
  "Estimation of relationships for limited dependent variables", Econometrica 26, 1958);
- the covariance of two values of one row, of one column, and of one photosite in two frames. If
  M(b) is the mean of g(x) for a black level of b, and two values share a Gaussian offset of
  variance v, the covariance is the sum over k >= 1 of v^k / k! * (d^k M / d b^k)^2, from the
  expansion of M in Hermite polynomials. That is solved for v.

Both steps need each other's results, so they are repeated until they agree.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.raw.calibration.dark.components import Components
from cycleisp.utils.raw.calibration.dark.distributions import FAMILIES, GAUSSIAN, TUKEY, Array, Family, Grid
from cycleisp.utils.raw.calibration.dark.tails import (
    FamilyFit,
    TailFit,
    best_of,
    bic_of,
    chi_square_of,
    grid_for,
    maximum_likelihood,
)
from cycleisp.utils.raw.calibration.estimate import Estimate
from cycleisp.utils.raw.calibration.levels import FEWEST

COARSE = 0.6  # steps: noise of a smaller deviation is not seen as if it were not rounded
TERMS = 4  # of the expansion
ROUNDS = 2  # of the two steps; the second one changes next to nothing
FEWEST_LEVELS = 3
LEVELS_FOR_SHAPE = 5  # of which each holds FEWEST values: two more than black, deviation and shape


class HiddenNoiseError(ValueError):
    """Noise that clipping or rounding hides."""


@dataclass(frozen=True)
class Rounding:
    """What the camera does to values before it writes them.

    Attributes:
        lowest: the level to which smaller values are raised, in DN; None where it does not clip.
        step: the distance of two levels, in DN.
    """

    lowest: int | None
    step: float


@dataclass(frozen=True)
class _Levels:
    """Levels in use, and the ends of the intervals that they stand for."""

    numbers: Array  # (levels,) in DN
    limits: Array  # (levels - 1,) in DN: between each level and the next one
    counts: NDArray[np.int64]  # (bands, levels)


def latent_noise(observed: Components, levels: NDArray[np.int64], rounding: Rounding) -> tuple[Components, TailFit]:
    """Returns the parts of the variance, and the tails, before clipping and rounding.

    Args:
        observed: the parts as the file's values have them.
        levels: (bands, levels) how often each digital number occurs, in bands of rows.
        rounding: what the camera did.

    Raises:
        HiddenNoiseError: fewer than three levels occur. With fewer than LEVELS_FOR_SHAPE, a
            Gaussian is assumed, and the tails have no other family.
    """
    used = _levels_in_use(levels, rounding)
    shows_shape = (used.counts.sum(axis=0) >= FEWEST).sum() >= LEVELS_FOR_SHAPE
    families = FAMILIES if shows_shape else (GAUSSIAN,)
    shared = replace(observed, row=_none(), column=_none(), fixed=_none())
    fit = _fit(GAUSSIAN, used, shared, rounding)
    for _ in range(ROUNDS):
        shared = _shared_parts(observed, fit, used)
        fit = _fit(TUKEY if shows_shape else GAUSSIAN, used, shared, rounding)
    fits = {family.name: _fit(family, used, shared, rounding) for family in families}
    report = _report(fits, used, rounding)
    sigma = fits[report.best].report.sigma
    pixel = Estimate(sigma.value**2, 2 * sigma.value * sigma.error)
    return replace(shared, mean=_black(fits[report.best], shared), pixel=pixel), report


def _none() -> Estimate:
    return Estimate(0.0, 0.0)


def _levels_in_use(levels: NDArray[np.int64], rounding: Rounding) -> _Levels:
    """Joins levels between the multiples of a step, and those far above all others."""
    step = rounding.step
    occupied = np.flatnonzero(levels.sum(axis=0))
    lowest = int(occupied[0]) if rounding.lowest is None else rounding.lowest
    number = int(np.ceil((occupied[-1] - lowest) / step)) + 1
    index = np.clip(np.rint((np.arange(levels.shape[1]) - lowest) / step).astype(int), 0, number - 1)
    counts = np.stack([np.bincount(index, band, number) for band in levels]).astype(np.int64)
    if (counts.sum(axis=0) > 0).sum() < FEWEST_LEVELS:
        raise HiddenNoiseError("dark frames hold fewer than three different values: rounding hides their noise")
    numbers = lowest + step * np.arange(number)
    return _Levels(numbers, numbers[:-1] + step / 2, counts)


# ---------------------------------------------------------------- levels -> black, pixels, tail


@dataclass(frozen=True)
class _Fit:
    black: Estimate
    report: FamilyFit
    grid: Grid
    masses: Array  # of all noise around black, in the grid's cells


def _fit(family: Family, used: _Levels, shared: Components, rounding: Rounding) -> _Fit:
    """Fits black, the pixels' deviation and their shape to the levels' counts."""
    total = used.counts.sum(axis=0)
    black, sigma = _first_guess(used, total)
    gauss = math.sqrt(max(shared.row.value, 0) + max(shared.column.value, 0) + max(shared.fixed.value, 0))
    sigma = math.sqrt(max(sigma**2 - gauss**2, sigma**2 / 9))
    grid = grid_for(sigma)

    def noise(parameters: Array) -> Array:
        shape = float(parameters[2]) if family.shapes else 0.0
        return grid.with_gaussian(grid.masses(family, float(np.exp(parameters[1])), shape), gauss)

    def probabilities(parameters: Array) -> Array:
        below = _cumulative(noise(parameters), grid, used.limits - black - parameters[0] * sigma)
        return np.maximum(np.diff(below, prepend=0.0, append=1.0), 1e-18)

    start = [0.0, math.log(sigma), *([family.shapes[1]] if family.shapes else [])]
    bounds = [(-8.0, 8.0), (start[1] - 2.5, start[1] + 2.5)]
    bounds += [(family.shapes[0], family.shapes[2])] if family.shapes else []
    best, covariance = maximum_likelihood(probabilities, used.counts, start, bounds)
    errors = np.sqrt(np.diag(covariance))
    expected = probabilities(best)
    chi_square, classes = chi_square_of(total, expected, 1)
    report = FamilyFit(
        shape=Estimate(float(best[2]), float(errors[2])) if family.shapes else None,
        sigma=Estimate(float(np.exp(best[1])), float(np.exp(best[1]) * errors[1])),
        density=expected / rounding.step,
        chi_square=chi_square,
        degrees=max(classes - 1 - len(best), 1),
        bic=bic_of(total, expected, len(best)),
    )
    return _Fit(Estimate(black + float(best[0]) * sigma, float(errors[0]) * sigma), report, grid, noise(best))


def _first_guess(used: _Levels, total: NDArray[np.int64]) -> tuple[float, float]:
    """Returns black and the deviation of all noise from the upper half of the levels."""
    below = np.cumsum(total) / total.sum()
    ends = np.append(used.limits, used.numbers[-1] + 1)
    step = used.limits[0] - used.numbers[0]
    black, upper = np.interp([0.5, 0.8413], below, ends)
    return float(black), float(max(upper - black, step / 2))


def _cumulative(masses: Array, grid: Grid, at: Array) -> Array:
    """Returns the probability below each of some places."""
    below = np.concatenate([[0.0], np.cumsum(masses)])
    return np.interp(at, grid.edges, below / below[-1])


# ---------------------------------------------------------------- covariances -> shared parts


def _shared_parts(observed: Components, fit: _Fit, used: _Levels) -> Components:
    """Returns components whose rows, columns and fixed pattern are those before clipping."""
    slopes = _slopes_of_mean(fit, used)
    return replace(
        observed,
        row=_unclipped(observed.row, slopes),
        column=_unclipped(observed.column, slopes),
        fixed=_unclipped(observed.fixed, slopes),
    )


def _slopes_of_mean(fit: _Fit, used: _Levels) -> Array:
    """Returns the derivatives 1 to TERMS of the mean of the written values by black.

    The mean is the sum over limits of (step * probability above the limit), so its k-th derivative
    is the sum of (k - 1)-th derivatives of the noise's density. These are taken in the frequency
    domain.
    """
    grid = fit.grid
    frequencies = 2 * np.pi * np.fft.rfftfreq(grid.count, grid.width)
    spectrum = np.fft.rfft(np.fft.ifftshift(fit.masses / grid.width))
    # Differences between cells are noise of the table; the pixels' noise is smoother than that.
    spectrum *= np.exp(-0.5 * (frequencies * 2 * grid.width) ** 2)
    places = used.limits - fit.black.value
    steps = np.diff(used.numbers)
    slopes = []
    for order in range(TERMS):
        density = np.fft.fftshift(np.fft.irfft(spectrum * (1j * frequencies) ** order, grid.count))
        at_limits = np.interp(places, grid.centres, density, left=0.0, right=0.0)
        slopes.append((-1) ** order * float(steps @ at_limits))
    return np.array(slopes)


def _unclipped(covariance: Estimate, slopes: Array) -> Estimate:
    """Returns the variance of an offset from the covariance of the values that share it."""
    terms = np.array([slope**2 / math.factorial(order + 1) for order, slope in enumerate(slopes)])
    powers = np.arange(1, len(terms) + 1)
    if terms[0] <= 0:
        raise HiddenNoiseError("dark frames hold no value that changes with black: clipping hides their noise")
    variance = covariance.value / terms[0]
    if variance > 0:
        for _ in range(50):  # Newton's method; the sum of positive terms grows with the variance
            excess = float(terms @ variance**powers) - covariance.value
            variance -= excess / float(terms @ (powers * variance ** (powers - 1)))
    slope = float(terms @ (powers * max(variance, 0.0) ** (powers - 1)))
    return Estimate(float(variance), covariance.error / slope)


def _black(fit: _Fit, shared: Components) -> Estimate:
    """Returns black with an error that holds the offsets of columns, which all bands share."""
    columns = max(shared.column.value, 0) / (shared.width * shared.frames)
    return Estimate(fit.black.value, math.hypot(fit.black.error, math.sqrt(columns)))


def _report(fits: Mapping[str, _Fit], used: _Levels, rounding: Rounding) -> TailFit:
    reports = {name: fit.report for name, fit in fits.items()}
    best = best_of(reports)
    edges = np.append(used.numbers - rounding.step / 2, used.numbers[-1] + rounding.step / 2)
    return TailFit(edges - fits[best].black.value, used.counts.sum(axis=0), reports, best)
