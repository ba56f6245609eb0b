"""A value and its standard error, and the arithmetic that carries the error along."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """An estimated value.

    Attributes:
        value: the estimate. Variances are unbiased, so one that is 0 in truth may be below 0 here.
        error: its standard error, the deviation that other frames of the same camera would show.
    """

    value: float
    error: float

    def sigma(self) -> "Estimate":
        """Returns the deviation that belongs to this variance.

        Where the variance is smaller than its error, the error of the root is that of a variance
        as large as its error: sqrt(error), not more.
        """
        root = math.sqrt(max(self.value, 0.0))
        if self.value > self.error:
            return Estimate(root, self.error / (2 * root))
        return Estimate(root, math.sqrt(self.error))

    def times(self, factor: float) -> "Estimate":
        """Returns the product with a number that has no error."""
        return Estimate(self.value * factor, self.error * abs(factor))

    def plus(self, other: "Estimate") -> "Estimate":
        """Returns the sum with an estimate whose error is independent."""
        return Estimate(self.value + other.value, math.hypot(self.error, other.error))


Sites = tuple[Estimate, Estimate, Estimate, Estimate]  # of R, G_r, G_b and B


def four(estimates: Iterable[Estimate]) -> Sites:
    """Returns four estimates as the values of R, G_r, G_b and B."""
    first, second, third, fourth = estimates
    return first, second, third, fourth


def weighted_mean(estimates: Sequence[Estimate]) -> Estimate:
    """Returns the mean of independent estimates of one value, weighted by their precision.

    Estimates that differ by more than their errors allow make the mean's error larger: it is
    multiplied by the root of chi-square over its degrees of freedom where that is above 1 (Birge,
    "The calculation of errors by the method of least squares", Physical Review 40, 1932). An
    estimate without error is exact and decides alone.
    """
    values = np.array([one.value for one in estimates])
    errors = np.array([one.error for one in estimates])
    if (errors == 0).any():
        return Estimate(float(values[errors == 0].mean()), 0.0)
    weights = errors**-2.0
    mean = float((weights * values).sum() / weights.sum())
    chi_square = float((weights * (values - mean) ** 2).sum())
    spread = chi_square / (len(values) - 1) if len(values) > 1 else 1.0
    return Estimate(mean, math.sqrt(max(spread, 1.0) / weights.sum()))
