"""What a frame shows, told from its values alone: no light, an evenly lit surface, or a scene."""

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.raw.calibration.agreement import TOUCHED
from cycleisp.utils.raw.calibration.looks import Look, block_means

_SIDE = 8  # photosites along a block in the middle of the frame
_NO_LIGHT = 1.0  # deviations of the noise, by which a dark frame's mean may be above nominal black
_NO_LIGHT_DN = 1.5
_AS_DARK, _AS_DARK_DN = 0.25, 0.5  # the same between the dark frames of one setting
_CONTRAST = 0.05  # of what is evenly lit, by dust and what vignetting leaves after a smooth fit
_IN_THE_NOISE = 0.35  # deviations of the noise, below which no contrast can be told
_SMOOTH = 4  # degree of the polynomials that vignetting is fitted with


def noise_deviation(look: Look) -> NDArray[np.float64]:
    """Returns a rough deviation of each site's noise (4,), in DN, at least 0.3.

    It is that of the differences of neighbours, by their median, so that edges hardly count.
    """
    differences = np.abs(np.diff(look.centre.astype(np.float64), axis=2))
    deviation = np.median(differences, axis=(1, 2)) * 1.4826 / np.sqrt(2)
    return np.maximum(deviation, 0.3)


def dark_frames(looks: list[Look]) -> list[bool]:
    """Tells which frames of one ISO setting show no light.

    Their means are at the nominal black level, within the deviation of the noise, and as low as
    those of the darkest frame. So a frame with very little light is not taken for a dark one where
    there are dark ones.
    """
    levels = [look.signal for look in looks]
    deviations = [noise_deviation(look) for look in looks]
    near_black = [
        bool((np.abs(level) <= np.maximum(_NO_LIGHT * deviation, _NO_LIGHT_DN)).all())
        for level, deviation in zip(levels, deviations, strict=True)
    ]
    if not any(near_black):
        return near_black
    _, darkest = min((float(level.mean()), number) for number, level in enumerate(levels) if near_black[number])
    return [
        near and bool((level - levels[darkest] <= np.maximum(_AS_DARK * deviation, _AS_DARK_DN)).all())
        for near, level, deviation in zip(near_black, levels, deviations, strict=True)
    ]


def is_evenly_lit(look: Look) -> bool:
    """Tells whether a frame shows an even surface, with no more than vignetting and dust on it.

    Bands along rows are those of a lamp that flickers, and make no scene of it.
    """
    usable = np.flatnonzero(np.array(look.clipped) < TOUCHED)
    if not len(usable):
        return bool(max(look.clipped) > 0)  # saturated all over
    deviation, signal = noise_deviation(look), look.signal
    for site in usable:
        limit = max(_CONTRAST * signal[site], _IN_THE_NOISE * deviation[site])
        middle = block_means(look.centre[site], _SIDE)
        noise = deviation[site] ** 2 / _SIDE**2
        if _rest(middle, 2).var() > limit**2 + noise:
            return False
        if _rest(look.means[site].astype(np.float64), _SMOOTH).std() > limit:
            return False
    return True


def _rest(values: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    """Returns what a polynomial of two variables, and the means of rows, leave of a map (n, m)."""
    rows, columns = (np.linspace(-1, 1, length) for length in values.shape)
    degree = min(degree, min(values.shape) - 1)
    terms = [
        np.outer(rows**power, columns**other).reshape(-1)
        for power in range(degree + 1)
        for other in range(degree + 1 - power)
    ]
    matrix = np.stack(terms, axis=1)
    fitted = matrix @ np.linalg.lstsq(matrix, values.reshape(-1), rcond=None)[0]
    rest = values - fitted.reshape(values.shape)
    return rest - rest.mean(axis=1, keepdims=True)
