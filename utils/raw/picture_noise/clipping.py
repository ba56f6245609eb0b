"""What the ends of a sensor's range do to noise, and where these ends are in a picture.

A camera that writes no values below black cuts off half of the noise in the dark. What is left has
a higher mean and a lower variance than the noise had (Foi, "Clipped noisy images: heteroskedastic
modeling and practical denoising", Signal Processing 2009; the moments are those of Tobin,
"Estimation of relationships for limited dependent variables", Econometrica 1958).
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Values = NDArray[np.float64]

_FEWEST = 16  # values at the very end of a range, by which it is told from the last of a tail
_RARE = 0.02  # share of values below black, against those at black, that come from elsewhere
_SAMPLED = 1 << 16  # values that show the step between them
_SIGNALS = 256  # on a curve of variance against mean
_REACH = 4.0  # deviations from an end of the range at which clipping is over, and below black where the curve begins


def range_of(plane: NDArray[np.floating]) -> tuple[float, float]:
    """Returns the ends at which the values of a plane are clipped; infinite where they are not.

    A range that cuts values off has many of them at its end. A tail that ends by itself has few.
    Nothing is above 1: white is no light to be told.
    """
    if plane.size == 0:
        return -math.inf, math.inf
    at_black = int((plane == 0).sum())
    if at_black >= _FEWEST and int((plane < 0).sum()) <= _RARE * at_black and _is_end(plane, 0.0):
        low = 0.0  # with dead photosites below it, perhaps
    else:
        lowest = float(plane.min())
        low = lowest if _is_end(plane, lowest) else -math.inf
    return low, 1.0


def rounding_of(plane: NDArray[np.floating]) -> float:
    """Returns the variance that rounding to the plane's steps adds; 0 where it has one value."""
    values = np.unique(plane.ravel()[:: max(1, plane.size // _SAMPLED)])
    return float(np.diff(values).min()) ** 2 / 12 if len(values) > 1 else 0.0


def _is_end(plane: NDArray[np.floating], end: float) -> bool:
    """Tells whether far more values lie at a low end than at the next level above it."""
    count = int((plane <= end).sum())
    above = plane[plane > end]
    return count >= _FEWEST and (not above.size or count > 2 * int((above == above.min()).sum()))


def variance_at(mean: Values, shot_noise: float, read_noise: float, low: float, high: float) -> Values:
    """Returns the variance of clipped noise where the clipped values have some mean.

    Before clipping, the noise is Gaussian, of variance shot_noise * x + read_noise. Signals below
    black have read noise alone.

    Args:
        mean: of the clipped values, of any shape.
        shot_noise, read_noise: variances.
        low, high: the ends of the range; infinite ones do not clip.
    """
    variance: Values = np.maximum(mean, 0) * shot_noise + read_noise
    reach = _REACH * math.sqrt(float(variance.max(initial=0.0)))
    if mean.min(initial=high) - low > reach and high - mean.max(initial=low) > reach:  # nothing is cut off
        return variance
    reach = _REACH * math.sqrt(read_noise) + 1e-9
    # close to each other in the dark, where the curve bends
    steps = np.linspace(0, 1, _SIGNALS)
    signal = np.concatenate([np.linspace(-reach, 0, _SIGNALS // 4, endpoint=False), (1 + reach) * steps**2])
    sigma = np.sqrt(np.maximum(signal, 0) * shot_noise + read_noise) + 1e-12
    means, variances = clipped_moments(signal, sigma, low, high)
    order = np.maximum.accumulate(means)  # it rises but for rounding
    return np.interp(mean, order, variances)


def clipped_moments(signal: Values, sigma: Values, low: float, high: float) -> tuple[Values, Values]:
    """Returns mean and variance of Gaussian noise around a signal, clipped to a range.

    Args:
        signal: without noise, of any shape.
        sigma: the deviation of the noise, positive.
        low, high: the range, which may be infinite.
    """
    below, above = (low - signal) / sigma, (high - signal) / sigma
    left, right = ndtr(below), ndtr(-above)
    inside = 1 - left - right
    density_low, density_high = (np.exp(-0.5 * end**2) / math.sqrt(2 * math.pi) for end in (below, above))
    # of z = (value - signal) / sigma; what is clipped lies at `below` and at `above`
    first = density_low - density_high + _at_end(below, left) + _at_end(above, right)
    second = inside + _at_end(below, density_low) - _at_end(above, density_high)
    second = second + _at_end(below, _at_end(below, left)) + _at_end(above, _at_end(above, right))
    return signal + sigma * first, sigma**2 * np.maximum(second - first**2, 0)


def _at_end(end: Values, weight: Values) -> Values:
    """Returns end * weight, 0 for an infinite end, where the weight is 0."""
    return np.where(np.isfinite(end), end, 0.0) * weight
