"""The shape of read noise: how well families of distributions fit, and with what parameters.

A family is fitted by maximum likelihood to counts in cells, by Fisher's scoring. The standard
errors are those of a likelihood whose model may be wrong, A^-1 B A^-1, with A the information that
the model expects and B the scatter of the log-likelihood's slopes (White, "Maximum likelihood
estimation of misspecified models", Econometrica 50, 1982).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.raw.calibration.dark.distributions import FAMILIES, Array, Family, Grid
from cycleisp.utils.raw.calibration.estimate import Estimate

CELLS_A_SIGMA = 12  # of a grid
REACH = 42.0  # deviations on both sides that a grid holds
SCORINGS, HALVINGS = 30, 12  # iterations of Fisher's scoring, and how often each shortens its step
LARGEST_STEP = 0.5  # of a parameter, whose scale is about 1
ENOUGH = 1e-4  # gain in log-likelihood that ends the iterations: far below one standard error
GAP = 1e-3  # of a parameter, for derivatives
FEWEST_EXPECTED = 25.0  # values in a class of the chi-square test

Probabilities = Callable[[Array], Array]  # parameters -> probability of every cell


@dataclass(frozen=True)
class FamilyFit:
    """How one family fits.

    Attributes:
        shape: the shape, or None for a family without one.
        sigma: the deviation of read noise, in DN.
        density: of the counted values, at the middles of the cells, per DN.
        chi_square: of the counts in classes of one step or more that hold FEWEST_EXPECTED values.
        degrees: of freedom of that chi-square; a good fit has a chi-square of about this.
        bic: Bayesian information criterion (Schwarz, 1978); smaller is better.
    """

    shape: Estimate | None
    sigma: Estimate
    density: Array
    chi_square: float
    degrees: int
    bic: float


@dataclass(frozen=True)
class TailFit:
    """The distribution of one colour's read noise.

    Attributes:
        edges: of the cells, in DN.
        counts: values in each cell. They are differences of two dark frames without the offsets of
            rows and columns, or the frames' values minus black where black is clipped or the steps
            are coarse.
        families: the fits by name: "gaussian", "tukey" and "student".
        best: the name of the family with the smallest BIC.
    """

    edges: Array
    counts: NDArray[np.int64]
    families: Mapping[str, FamilyFit]
    best: str


def grid_for(sigma: float, step: float = 1.0) -> Grid:
    """Returns a grid for noise of a deviation of about `sigma` DN.

    An odd number of cells makes a step, or an odd number of steps a cell, so that equally many
    multiples of a step fall into all cells, or all classes of cells.
    """
    cells = 2 ** int(np.ceil(np.log2(2 * REACH * CELLS_A_SIGMA)))
    width = sigma / CELLS_A_SIGMA
    width = step * _odd(width / step) if width > step else step / _odd(step / width)
    return Grid(width, cells)


def _odd(number: float) -> int:
    """Returns the odd number that is nearest."""
    return 2 * int(number / 2) + 1


def fit_differences(counts: NDArray[np.int64], grid: Grid, step: float, sigma: float, kept: float = 1.0) -> TailFit:
    """Fits all families to differences of two dark frames.

    Args:
        counts: differences in each cell of the grid.
        grid: the cells.
        step: distance of two levels, in DN.
        sigma: first guess of read noise, in DN.
        kept: share of the pixels' variance that is left after the means of rows and columns were
            subtracted.
    """
    fits = {family.name: _fit_differences_by(family, counts, grid, step, sigma, kept) for family in FAMILIES}
    return TailFit(grid.edges, counts, fits, best_of(fits))


def best_of(fits: Mapping[str, FamilyFit]) -> str:
    """Returns the name of the family with the smallest BIC."""
    return min(fits, key=lambda name: fits[name].bic)


def _fit_differences_by(
    family: Family, counts: NDArray[np.int64], grid: Grid, step: float, sigma: float, kept: float
) -> FamilyFit:
    def probabilities(parameters: Array) -> Array:
        read = float(np.exp(parameters[0]))
        masses = grid.masses(family, read * kept, _shape(family, parameters[1:]))
        # What is subtracted from a difference is a share of itself, and of many others, whose sum
        # is close to a Gaussian.
        others = np.sqrt((1 - kept) * kept * 2 * (read**2 + step**2 / 12))
        return grid.of_rounded_differences(masses, step, float(others))

    start = [float(np.log(sigma)), *([family.shapes[1]] if family.shapes else [])]
    bounds = [(start[0] - 2, start[0] + 2), *([(family.shapes[0], family.shapes[2])] if family.shapes else [])]
    best, covariance = maximum_likelihood(probabilities, counts[None], start, bounds)
    expected = probabilities(best)
    chi_square, classes = chi_square_of(counts, expected, max(round(step / grid.width), 1))
    return FamilyFit(
        shape=Estimate(float(best[1]), float(np.sqrt(covariance[1, 1]))) if family.shapes else None,
        sigma=Estimate(1.0, float(np.sqrt(covariance[0, 0]))).times(float(np.exp(best[0]))),
        density=expected / grid.width,
        chi_square=chi_square,
        degrees=max(classes - 1 - len(best), 1),
        bic=bic_of(counts, expected, len(best)),
    )


def _shape(family: Family, shapes: Array) -> float:
    return float(shapes[0]) if family.shapes else 0.0


# ---------------------------------------------------------------- likelihood


def maximum_likelihood(
    probabilities: Probabilities,
    counts: NDArray[np.int64],
    start: Sequence[float],
    bounds: Sequence[tuple[float, float]],
) -> tuple[Array, Array]:
    """Fits parameters to counts in cells.

    Args:
        probabilities: the model.
        counts: (parts, cells). The parts are independent of each other, while the values of a part
            may depend on each other. With a single part, all values are independent.
        start: first guess of the parameters, each on a scale of about 1.
        bounds: of each parameter.

    Returns:
        The parameters and their covariance.
    """
    total = counts.sum(axis=0)
    used = np.flatnonzero(total)
    lowest, highest = np.array(bounds).T

    def log_likelihood(parameters: Array) -> float:
        return float(total[used] @ np.log(probabilities(parameters)[used]))

    best = np.array(start, dtype=float)
    value = log_likelihood(best)
    for _ in range(SCORINGS):
        slopes, expected = _slopes(probabilities, best, lowest, highest)
        inverse = np.linalg.pinv((slopes * expected) @ slopes.T * total.sum())
        step = np.clip(inverse @ (slopes @ total), -LARGEST_STEP, LARGEST_STEP)
        for _ in range(HALVINGS):
            tried = np.clip(best + step, lowest, highest)
            after = log_likelihood(tried)
            if after >= value:
                break
            step = step / 2
        else:
            break
        gained, best, value = after - value, tried, after
        if gained < ENOUGH:
            break
    slopes, expected = _slopes(probabilities, best, lowest, highest)
    inverse = np.linalg.pinv((slopes * expected) @ slopes.T * total.sum())
    return best, inverse @ _scatter(slopes, counts) @ inverse


def _scatter(slopes: Array, counts: NDArray[np.int64]) -> Array:
    """Returns the covariance of the log-likelihood's slopes, (parameters, parameters)."""
    if len(counts) == 1:
        return (slopes * counts[0]) @ slopes.T
    each = counts @ slopes.T  # (parts, parameters)
    each = each - each.mean(axis=0)
    return each.T @ each * len(each) / (len(each) - 1)


def _slopes(probabilities: Probabilities, at: Array, lowest: Array, highest: Array) -> tuple[Array, Array]:
    """Returns derivatives of log-probabilities, (parameters, cells), and the probabilities.

    Of all cells, since the information that a model expects is that of empty cells, too: most cells
    of the tails are empty, and the tails tell the most about their shape. Where whole numbers fall
    on few cells of a fine grid, the mean over all cells is close to that over those few.
    """
    result = []
    for index in range(len(at)):
        after, before = at.copy(), at.copy()
        after[index] = min(at[index] + GAP, highest[index])
        before[index] = max(at[index] - GAP, lowest[index])
        difference = np.log(probabilities(after)) - np.log(probabilities(before))
        result.append(difference / (after[index] - before[index]))
    return np.array(result), probabilities(at)


def bic_of(counts: NDArray[np.int64], expected: Array, parameters: int) -> float:
    """Returns the Bayesian information criterion of a fit."""
    used = counts > 0
    return float(-2 * (counts[used] @ np.log(expected[used])) + parameters * np.log(counts.sum()))


def chi_square_of(counts: NDArray[np.int64], expected: Array, cells: int) -> tuple[float, int]:
    """Returns Pearson's chi-square of classes of cells, and the number of classes.

    Args:
        counts: values in each cell.
        expected: probabilities of the cells.
        cells: the smallest number of cells in a class. Whole numbers fall on few cells of a fine
            grid; a class has to be as wide as a step.
    """
    middle = len(counts) // 2 - cells // 2
    first = middle % cells
    starts = np.arange(first, len(counts), cells)
    if first:
        starts = np.insert(starts, 0, 0)
    seen = np.add.reduceat(counts, starts).astype(float)
    awaited = np.add.reduceat(expected, starts) * counts.sum()
    # Classes of too few values join their neighbours towards the middle.
    classes = np.floor(np.cumsum(np.minimum(awaited, FEWEST_EXPECTED)) / FEWEST_EXPECTED).astype(int)
    classes = np.unique(classes, return_inverse=True)[1]
    seen, awaited = np.bincount(classes, seen), np.bincount(classes, awaited)
    full = awaited >= FEWEST_EXPECTED / 2
    return float(((seen - awaited)[full] ** 2 / awaited[full]).sum()), int(full.sum())
