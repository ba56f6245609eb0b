"""Noise of one strength everywhere: the variance-stabilising transform of RAW, and ways back.

For noise of variance a x + b, f(x) = 2 / a (sqrt(a x + b) - sqrt(b)) has noise of variance about 1 whatever x, a and b
(Anscombe's idea, generalised). It is written here as 2 x / (sqrt(a x + b) + sqrt(b)), which also holds without shot
noise.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_GRID = np.linspace(0, 1, 2048) ** 2  # finer in the dark, where the transform bends most
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(48)  # averages over a standard normal distribution
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_TINY = 1e-12


def stabilize(raw: Tensor, shot_noise: Tensor | float, read_noise: Tensor | float) -> Tensor:
    """RAW in [0, 1] with noise of variance shot_noise * x + read_noise -> values from 0 with noise of variance 1.

    Args:
        raw: any shape; negative values count as 0.
        shot_noise: a number, or of a shape that broadcasts.
        read_noise: likewise.
    """
    raw, floor = raw.clamp(min=0), torch.as_tensor(read_noise, dtype=raw.dtype, device=raw.device).sqrt()
    return 2 * raw / ((shot_noise * raw + read_noise).sqrt() + floor).clamp(min=_TINY)


def destabilize(stabilized: Tensor, shot_noise: Tensor | float, read_noise: Tensor | float) -> Tensor:
    """The algebraic inverse of `stabilize`. Of a denoised value it is biased: f of the mean is not the mean of f."""
    stabilized = stabilized.clamp(min=0)
    floor = torch.as_tensor(read_noise, dtype=stabilized.dtype, device=stabilized.device).sqrt()
    return shot_noise / 4 * stabilized**2 + floor * stabilized


def unbiased_inverse(stabilized: NDArray, shot_noise: float, read_noise: float) -> NDArray:
    """Which clean RAW in [0, 1] has `stabilized` as the mean of its transform (Makitalo and Foi, IEEE TIP 2013).

    The mean is taken over the noise as it is in files, clipped to [0, 1].
    """
    deviations = np.sqrt(shot_noise * _GRID + read_noise)
    noisy = np.clip(_GRID[:, None] + deviations[:, None] * _NODES, 0, 1)
    means = stabilize(torch.from_numpy(noisy), shot_noise, read_noise).numpy() @ _WEIGHTS
    return np.interp(stabilized, np.maximum.accumulate(means), _GRID)


def read_noise_level(noisy: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """The shot and read noise that a variance map was made with: it is a straight line over the noisy RAW.

    Args:
        noisy: (B, C, H, W) RAW; negative values count as 0.
        variance: (B, C, H, W), shot_noise * noisy + read_noise.

    Returns:
        Both (B, C, 1, 1). Of a plane of one value the line has no slope: no shot noise, all of it read noise.
    """
    noisy, variance = noisy.clamp(min=0).flatten(2).float(), variance.flatten(2).float()
    (low, at_low), (high, at_high) = noisy.min(dim=2, keepdim=True), noisy.max(dim=2, keepdim=True)
    rise = variance.gather(2, at_high) - variance.gather(2, at_low)
    shot_noise = (rise / (high - low).clamp(min=_TINY)).clamp(min=0)
    read_noise = (variance.gather(2, at_low) - shot_noise * low).clamp(min=0)
    return shot_noise[..., None], read_noise[..., None]
