"""What this folder expects of a denoiser, and how mosaics of any Bayer pattern pass through one.

The networks are unknown here. Whoever denoises something is given a function of one of these
types, which returns an image of the same shape as the noisy one.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.noise import noise_level_function

DenoiseSrgb = Callable[[Tensor], Tensor]  # (B, 3, H, W) in [0, 1]
DenoiseRaw = Callable[[Tensor, Tensor], Tensor]  # packed RGGB (B, 4, H/2, W/2) and its variance
Denoise = Callable[..., Tensor]  # one of the two, according to the space of the data


def denoise_mosaics(
    denoise: DenoiseRaw, mosaics: Tensor, patterns: Sequence[str], shot_noise: Tensor, read_noise: Tensor
) -> Tensor:
    """Passes mosaics through a denoiser of packed RGGB.

    Each mosaic is mirrored so that it reads RGGB, and its result is mirrored back.

    Args:
        denoise: receives the packed mosaics (B, 4, H/2, W/2) and the variance of their noise.
        mosaics: (B, 1, H, W) in [0, 1], with even sides.
        patterns: the Bayer pattern of each mosaic.
        shot_noise: (B,) or (B, 4) variance per unit of signal, or (1,) for all mosaics alike.
        read_noise: variance of the signal-free part, of the same shape.

    Returns:
        (B, 1, H, W) on the CPU, not clipped, each mosaic in its own pattern.
    """
    packed = bayer.pack(_flip_each(mosaics, patterns))
    variance = noise_level_function(packed, shot_noise, read_noise)
    return _flip_each(bayer.unpack(denoise(packed, variance).cpu()), patterns)


def _flip_each(mosaics: Tensor, patterns: Sequence[str]) -> Tensor:
    return torch.stack([bayer.flip_to_rggb(mosaic, pattern) for mosaic, pattern in zip(mosaics, patterns, strict=True)])
