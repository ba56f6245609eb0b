"""How close two images are."""

import math

import torch
from torch import Tensor


def psnr(predicted: Tensor, target: Tensor) -> float:
    """Peak signal-to-noise ratio in dB over all values: data range 1, `predicted` clipped to [0, 1], no rounding.

    Args:
        predicted: any shape.
        target: the same shape, in [0, 1].

    Returns:
        dB; infinite for equal images.

    Raises:
        ValueError: shapes differ, or the target leaves [0, 1].
    """
    if predicted.shape != target.shape:
        raise ValueError(f"PSNR of different shapes: {tuple(predicted.shape)} and {tuple(target.shape)}")
    if target.min() < 0 or target.max() > 1:
        raise ValueError(f"PSNR expects a target in [0, 1], got {target.min():.3g}..{target.max():.3g}")
    error = torch.mean((predicted.double().clamp(0, 1) - target.double()) ** 2).item()
    return -10 * math.log10(error) if error else math.inf
