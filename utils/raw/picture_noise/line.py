"""Shot and read noise from the variance of noise at several levels of brightness."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, nnls

from cycleisp.utils.raw.picture_noise.clipping import variance_at
from cycleisp.utils.raw.picture_noise.levels import Level
from cycleisp.utils.raw.picture_noise.mixture import Mixture

Values = NDArray[np.float64]

# Of sensors in general: log10(read) = 2.18 log10(shot) + 1.20, the line of the noise of DND's
# cameras in `utils/raw/noise.py`. A decade to either side is common.
_SLOPE, _INTERCEPT, _SPREAD = 2.18, 1.20 * math.log(10), math.log(10)
_UNTOLD = 0.3  # of the least noise that was seen: what read noise may be where it cannot be told
_LEAST, _MOST = 1e-16, 1.0  # variances
_ROUNDS = 3
_HIDDEN = 1.0  # of the texture that shows, what may hide in the noise; from photos
_STEP = 1e-3  # of a variance's logarithm, for derivatives


@dataclass(frozen=True)
class Line:
    """Shot and read noise.

    Attributes:
        shot_noise, read_noise: variances.
        covariance: (2, 2) of the two.
    """

    shot_noise: float
    read_noise: float
    covariance: Values


def fit_line(levels: Sequence[Level]) -> Line:
    """Fits shot and read noise to levels, as they come out after clipping.

    What the levels leave open, as one level does, a weak assumption decides: read noise is to shot
    noise as in sensors in general, give or take a decade. Levels that contradict the others count
    less. The errors hold those of the levels, and what texture may have added to all of them.

    Args:
        levels: one or more.
    """
    measured = _Measured.of(levels)
    found, mixture = _fit(measured)
    covariance = _covariance(measured, found, mixture)
    # texture is alike in all levels, so that its doubt does not average out
    moved = [_fit(measured.moved(sign))[0] for sign in (-1, 1)]
    shift = (np.exp(moved[1]) - np.exp(moved[0])) / 2
    hidden = _HIDDEN * measured.textured(np.exp(found)) * np.exp(found)
    shot_noise, read_noise = np.exp(found).tolist()
    return Line(shot_noise, read_noise, covariance + np.outer(shift, shift) + np.outer(hidden, hidden))


def expected(levels: Sequence[Level], shot_noise: float, read_noise: float) -> Values:
    """Returns the variance that clipped noise has at levels of brightness."""
    mean = np.array([level.mean for level in levels])
    ranges = [(level.low, level.high) for level in levels]
    result = np.empty(len(levels))
    for low, high in set(ranges):
        part = np.array([one == (low, high) for one in ranges])
        result[part] = variance_at(mean[part], shot_noise, read_noise, low, high)
    return np.maximum(result, _LEAST)


@dataclass(frozen=True)
class _Measured:
    """Levels as arrays (N,): their variance, what chance adds in proportion, texture, its doubt."""

    levels: Sequence[Level]
    variance: Values
    chance: Values
    texture: Values
    doubt: Values

    @classmethod
    def of(cls, levels: Sequence[Level]) -> "_Measured":
        variance, error, texture, doubt = np.array(
            [(level.variance, level.error, level.texture, level.doubt) for level in levels]
        ).T
        return cls(levels, variance, error / (variance + texture), np.maximum(texture, 0.0), doubt)

    def moved(self, sign: int) -> "_Measured":
        """Returns levels of which less or more is taken for texture."""
        return replace(self, variance=np.maximum(self.variance + sign * self.doubt, 0.1 * self.variance))

    def scale(self, at: Values) -> Values:
        """Returns the errors of the variances, if the noise has the variances `at`.

        They are not in proportion to what was measured, or what came out low by chance would count.
        """
        errors: Values = np.hypot(self.chance * (at + self.texture), self.doubt)
        return errors

    def textured(self, noise: Values) -> float:
        """Returns how much more than noise the flat blocks vary, in parts of the noise.

        Levels count by what they contribute: those full of texture have large errors.
        """
        at = expected(self.levels, *noise)
        weight = (at / self.scale(at)) ** 2
        share = (self.variance + self.texture) / at - 1
        return max(float((weight * share).sum() / weight.sum()), 0.0)

    def residuals(self, logs: Values) -> Values:
        """Returns by how many errors the levels lie above the line."""
        at = expected(self.levels, *np.exp(logs))
        residuals: Values = (self.variance - at) / self.scale(at)
        return residuals


def _fit(measured: _Measured) -> tuple[Values, Mixture]:
    """Returns the logarithms of shot and read noise, and what the levels' residuals are like."""
    bounds = math.log(_LEAST), math.log(_MOST)
    found = np.clip(np.log(_start(measured)), bounds[0] + 1e-6, bounds[1] - 1e-6)
    mixture = Mixture.of(measured.residuals(found))
    for _ in range(_ROUNDS):
        prior_weight = 1 / math.sqrt(1 + _prior(found) ** 2)
        scale = measured.scale(expected(measured.levels, *np.exp(found)))

        def residuals(
            logs: Values, scale: Values = scale, weight: float = prior_weight, mixture: Mixture = mixture
        ) -> Values:
            difference = (measured.variance - expected(measured.levels, *np.exp(logs))) / scale
            return np.append(mixture.bend(difference), weight * _prior(logs))

        found = least_squares(residuals, found, bounds=bounds, diff_step=_STEP, x_scale=1.0).x
        mixture = Mixture.of(measured.residuals(found))
    return found, mixture


def _start(measured: _Measured) -> Values:
    """Returns shot and read noise from a straight line that ignores clipping."""
    mean = np.maximum([level.mean for level in measured.levels], 0.0)
    variance = measured.variance
    weight = 1 / measured.scale(variance)
    scale = variance.max()
    start, _ = nnls(np.column_stack([mean, np.ones_like(mean)]) * weight[:, None] * scale, variance * weight)
    shot, read = start * scale
    typical = math.exp(_INTERCEPT) * max(shot, 1e-9) ** _SLOPE
    return np.array([max(shot, 1e-3 * scale), max(read, min(typical, scale), 1e-3 * scale * mean.min(), _LEAST)])


def _prior(logs: Values) -> float:
    """Returns how far read noise is from that of sensors in general, in decades."""
    return float((logs[1] - _SLOPE * logs[0] - _INTERCEPT) / _SPREAD)


def _covariance(measured: _Measured, logs: Values, mixture: Mixture) -> Values:
    """Returns the covariance (2, 2) of shot and read noise."""
    shot, read = np.exp(logs).tolist()
    at = expected(measured.levels, shot, read)
    scale = measured.scale(at)
    moved = [expected(measured.levels, shot * (1 + _STEP), read), expected(measured.levels, shot, read * (1 + _STEP))]
    slopes = np.column_stack([(moved[0] - at) / (shot * _STEP), (moved[1] - at) / (read * _STEP)]) / scale[:, None]
    residuals = (measured.variance - at) / scale
    bent = mixture.bend(residuals)
    slopes *= ((mixture.bend(residuals + _STEP) - bent) / _STEP)[:, None]
    spread = max(1.0, float((bent**2).sum()) / max(len(residuals) - 2, 1))
    # what is assumed where the levels leave it open
    usual_read = math.exp(_INTERCEPT) * shot**_SLOPE
    usual_shot = math.exp((math.log(read) - _INTERCEPT) / _SLOPE)
    wide = np.array(
        [
            max(shot, min(usual_shot, _MOST)),
            max(_SPREAD * max(read, min(usual_read, _MOST)), _UNTOLD * float(at.min())),
        ]
    )
    information = slopes.T @ slopes / spread + np.diag(1 / wide**2)
    return np.asarray(np.linalg.inv(information), dtype=np.float64)
