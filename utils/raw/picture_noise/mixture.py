"""Residuals of which some are chance alone, and the others have something positive on top.

Texture makes levels of brightness too noisy, and nothing makes them too quiet. So the line of a
picture's noise lies at the lower edge of its levels, but not below what chance explains. The model
is a mixture of a normal distribution and of a normal one plus an exponential one; how many levels
are of which kind, and how large the excess is, comes from the levels themselves.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

Values = NDArray[np.float64]

_ROUNDS = 20
_CLEAN, _EXCEEDING = 4.0, 0.2  # levels of either kind that are assumed beside those that are seen
_SCALES = 0.5, 1e4  # of the excess, in deviations of chance
_GRID = np.linspace(-2, 6, 801)


@dataclass(frozen=True)
class Mixture:
    """The distribution of residuals in units of their own errors.

    Attributes:
        share: of the residuals with an excess.
        scale: mean of the excess.
    """

    share: float
    scale: float

    @classmethod
    def of(cls, residuals: Values) -> "Mixture":
        """Fits share and scale to residuals (N,) by expectation maximisation."""
        share, scale = 0.3, max(float(np.mean(np.maximum(residuals, 0))) * 2, 2.0)
        for _ in range(_ROUNDS):
            with_excess = math.log(share) + _with_excess(residuals, scale)
            alone = math.log1p(-share) + _normal(residuals)
            weight = 1 / (1 + np.exp(np.clip(alone - with_excess, -700, 700)))
            share = (float(weight.sum()) + _EXCEEDING) / (len(residuals) + _CLEAN + _EXCEEDING)
            # the mean of a sum of both is that of the excess
            excess = (float((weight * residuals).sum()) + 2 * _EXCEEDING) / (float(weight.sum()) + _EXCEEDING)
            scale = min(max(excess, _SCALES[0]), _SCALES[1])
        return cls(share, scale)

    def bend(self, residuals: Values) -> Values:
        """Returns numbers whose halved squares are the residuals' negative log-likelihoods.

        They are 0 at the most likely residual, and have the sign of the way to it.
        """
        grid = self._log(_GRID)
        top = int(grid.argmax())
        away = np.maximum(float(grid[top]) - self._log(residuals), 0.0)
        return np.sign(residuals - _GRID[top]) * np.sqrt(2 * away)

    def _log(self, residuals: Values) -> Values:
        """Returns the logarithm of the density, up to a constant."""
        return np.logaddexp(
            math.log1p(-self.share) + _normal(residuals), math.log(self.share) + _with_excess(residuals, self.scale)
        )


def _normal(residuals: Values) -> Values:
    return -(residuals**2) / 2 - math.log(2 * math.pi) / 2


def _with_excess(residuals: Values, scale: float) -> Values:
    """Returns the log-density of a normal number plus an exponential one of some mean."""
    rate = 1 / scale
    log_density: Values = math.log(rate) + rate * (rate / 2 - residuals) + log_ndtr(residuals - rate)
    return log_density
