"""Probabilities of read noise on a grid: families of distributions, rounded, summed, subtracted.

All families are symmetrical, with mean 0, and are given by their deviation and at most one shape.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr, stdtr

Array = NDArray[np.floating]

_LOGIT = np.linspace(-60, 60, 12001)  # logarithms of odds at which Tukey's quantiles are tabulated
_LOG_U = -np.logaddexp(0, -_LOGIT)  # logarithms of the probabilities
_NEAR_LOGISTIC = 1e-6


@dataclass(frozen=True)
class Family:
    """A family of symmetrical distributions.

    Attributes:
        name: for reports.
        cumulative: (x, shape) -> probability below x of the member with deviation 1.
        shapes: the smallest, the usual and the largest shape; None for a family without a shape.
    """

    name: str
    cumulative: Callable[[Array, float], Array]
    shapes: tuple[float, float, float] | None


def _gaussian(x: Array, _: float) -> Array:
    return ndtr(x)


def _tukey(x: Array, shape: float) -> Array:
    return expit(np.interp(x, _tukey_quantiles(shape), _LOGIT))


@lru_cache(maxsize=16)
def _tukey_quantiles(shape: float) -> Array:
    """Returns the quantiles of Tukey's distribution with deviation 1 at the odds of _LOGIT."""
    safe = shape if abs(shape) > _NEAR_LOGISTIC else _NEAR_LOGISTIC
    quantiles = (np.expm1(safe * _LOG_U) - np.expm1(safe * _LOG_U[::-1])) / safe
    # The density of the logarithm of the odds is u * (1 - u).
    variance = np.square(quantiles) @ np.exp(_LOG_U + _LOG_U[::-1]) * (_LOGIT[1] - _LOGIT[0])
    return quantiles / np.sqrt(variance)


def _student(x: Array, shape: float) -> Array:
    freedom = 1 / shape
    return stdtr(freedom, x * np.sqrt(freedom / (freedom - 2)))


GAUSSIAN = Family("gaussian", _gaussian, None)
TUKEY = Family("tukey", _tukey, (-0.3, 0.1, 0.4))  # by lambda, from the heaviest of `sensor_noise.tukey`
STUDENT = Family("student", _student, (0.002, 0.05, 0.4))  # by 1 / degrees of freedom
FAMILIES = (GAUSSIAN, TUKEY, STUDENT)


@dataclass(frozen=True)
class Grid:
    """Cells of equal width around 0 on which distributions are tabulated.

    Attributes:
        width: of a cell, in DN.
        count: of cells, a power of two. The middle of cell i is (i - count / 2) * width.
    """

    width: float
    count: int

    @property
    def centres(self) -> Array:
        """Returns the middles of the cells, in DN."""
        return (np.arange(self.count) - self.count // 2) * self.width

    @property
    def edges(self) -> Array:
        """Returns the count + 1 ends of the cells, in DN."""
        return (np.arange(self.count + 1) - self.count // 2 - 0.5) * self.width

    def masses(self, family: Family, sigma: float, shape: float) -> Array:
        """Returns the probability of every cell for a member of a family; they add up to 1.

        The outermost cells hold all that lies beyond them.
        """
        half = self.count // 2
        beyond = family.cumulative(-(np.arange(half) + 0.5) * self.width / sigma, shape)
        tail = beyond[:-1] - beyond[1:]  # of cells 1, 2, ... on either side of the middle
        middle = 1 - 2 * beyond[0]
        return np.concatenate([[beyond[-1]], tail[::-1], [middle], tail[:-1], [beyond[-2]]])

    def with_gaussian(self, masses: Array, sigma: float) -> Array:
        """Returns the distribution of the sum with independent Gaussian noise."""
        if sigma <= 0:
            return masses
        return self._filtered(masses, np.exp(-0.5 * (sigma * self._frequencies()) ** 2))

    def of_rounded_differences(self, masses: Array, step: float, sigma: float = 0.0) -> Array:
        """Returns the distribution of the difference of two independent numbers after rounding.

        Gaussian noise of deviation `sigma` is added to the difference. The differences are those of
        whole numbers of steps. Where the place of the numbers within a step varies, a difference
        occurs as if an error of triangular distribution, the difference of two uniform ones, were
        added (Widrow and Kollar, "Quantization Noise", 2008).
        """
        frequencies = self._frequencies()
        uniform = np.sinc(0.5 * step * frequencies / np.pi)
        gaussian = np.exp(-0.5 * (sigma * frequencies) ** 2)
        spectrum = np.fft.rfft(np.fft.ifftshift(masses))
        return self._positive(np.fft.irfft(np.abs(spectrum) ** 2 * uniform**2 * gaussian, self.count))

    def _frequencies(self) -> Array:
        """Returns angular frequencies, per DN, of a real Fourier transform over the cells."""
        return 2 * np.pi * np.fft.rfftfreq(self.count, self.width)

    def _filtered(self, masses: Array, response: Array) -> Array:
        spectrum = np.fft.rfft(np.fft.ifftshift(masses))
        return self._positive(np.fft.irfft(spectrum * response, self.count))

    @staticmethod
    def _positive(masses: Array) -> Array:
        """Returns centred masses without the negative ones that rounding errors leave."""
        return np.maximum(np.fft.fftshift(masses), 1e-18)
