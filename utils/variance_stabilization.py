"""The variance-stabilising transform that lets denoisers for plain Gaussian noise work on RAW.

For noise of variance a x + b, f(y) = 2 / a sqrt(a y + b) has noise of about unit variance everywhere (Anscombe's idea,
generalised). Its inverse must be unbiased: f of the mean is not the mean of f (Makitalo and Foi, IEEE TIP 2013).
"""

import numpy as np
from numpy.typing import NDArray

_GRID = np.linspace(0, 1, 2048) ** 2  # finer in the dark, where the transform bends most
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(48)  # averages over a standard normal distribution
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def stabilize(noisy: NDArray, shot_noise: float, read_noise: float) -> NDArray:
    """RAW in [0, 1] with noise of variance shot_noise * x + read_noise -> values with noise of about variance 1.

    Raises:
        ValueError: no shot noise; such noise needs no transform.
    """
    if shot_noise <= 0:
        raise ValueError(f"shot noise must be positive, got {shot_noise}")
    return 2 / shot_noise * np.sqrt(shot_noise * np.clip(noisy, 0, None) + read_noise)


def unstabilize(stabilized: NDArray, shot_noise: float, read_noise: float) -> NDArray:
    """The unbiased inverse: which clean RAW in [0, 1] has `stabilized` as the mean of its transform.

    The mean is taken over the noise as it is in files, clipped to [0, 1].
    """
    deviations = np.sqrt(shot_noise * _GRID + read_noise)
    noisy = np.clip(_GRID[:, None] + deviations[:, None] * _NODES, 0, 1)
    means = stabilize(noisy, shot_noise, read_noise) @ _WEIGHTS
    return np.interp(stabilized, np.maximum.accumulate(means), _GRID)
