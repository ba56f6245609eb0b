"""The variance-stabilising transform of RAW, which makes noise equally strong everywhere.

For noise of variance a x + b, f(x) = 2 / a (sqrt(a x + b) - sqrt(b)) has noise of variance about 1
whatever x, a and b (Anscombe's idea, generalised). It is written here as 2 x / (sqrt(a x + b) +
sqrt(b)), which also holds without shot noise.
"""

import torch
from torch import Tensor

_TINY = 1e-12


def stabilize(raw: Tensor, shot_noise: Tensor | float, read_noise: Tensor | float) -> Tensor:
    """Transforms RAW so that its noise has a variance of 1.

    Args:
        raw: in [0, 1], any shape, with noise of variance shot_noise * raw + read_noise; negative
            values count as 0.
        shot_noise: a number, or a tensor of a shape that broadcasts.
        read_noise: likewise.

    Returns:
        Values from 0, in the shape of `raw`.
    """
    raw, floor = raw.clamp(min=0), torch.as_tensor(read_noise, dtype=raw.dtype, device=raw.device).sqrt()
    return 2 * raw / ((shot_noise * raw + read_noise).sqrt() + floor).clamp(min=_TINY)


def destabilize(stabilized: Tensor, shot_noise: Tensor | float, read_noise: Tensor | float) -> Tensor:
    """Inverts `stabilize` algebraically.

    For denoised values this is biased, since the transform of a mean is not the mean of transforms.
    """
    stabilized = stabilized.clamp(min=0)
    floor = torch.as_tensor(read_noise, dtype=stabilized.dtype, device=stabilized.device).sqrt()
    return shot_noise / 4 * stabilized**2 + floor * stabilized


def read_noise_level(noisy: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the shot and read noise of a variance map, which is a line over the noisy RAW.

    Args:
        noisy: (B, C, H, W) RAW; negative values count as 0.
        variance: (B, C, H, W), shot_noise * noisy + read_noise.

    Returns:
        Both (B, C, 1, 1). In a plane of a single value the line has no slope, so that all noise
        counts as read noise.
    """
    noisy, variance = noisy.clamp(min=0).flatten(2).float(), variance.flatten(2).float()
    (low, at_low), (high, at_high) = noisy.min(dim=2, keepdim=True), noisy.max(dim=2, keepdim=True)
    rise = variance.gather(2, at_high) - variance.gather(2, at_low)
    shot_noise = (rise / (high - low).clamp(min=_TINY)).clamp(min=0)
    read_noise = (variance.gather(2, at_low) - shot_noise * low).clamp(min=0)
    return shot_noise[..., None], read_noise[..., None]
