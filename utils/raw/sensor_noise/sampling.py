"""Draws a sensor's noise, part by part, in the order in which it arises.

    light, and dark current of hot pixels
    -> electrons      shot noise
    -> read-out       read noise, then offsets of rows and columns
    -> numbers        rounding
    -> file           dead pixels, clipping

Every part of every image has a stream of random numbers of its own, which comes from the image's
seed. So an image's noise does not depend on its batch, and a part that is switched on leaves the
others as they were.
"""

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cycleisp.utils.raw.noise import noise_level_function, white_noise
from cycleisp.utils.raw.sensor_noise.parameters import SensorNoise
from cycleisp.utils.raw.sensor_noise.tukey import tukey_from_uniform

FEW_ELECTRONS = 64.0  # below, a Poisson distribution's skewness, n^-1/2, is above 1/8, and its steps show

Draw = Callable[..., Tensor]  # torch.rand or torch.randn


def part_seed(seed: int, part: str) -> int:
    """Returns the seed of one part of an image's noise, 0 <= s < 2**63."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{part}".encode()).digest()[:8], "big") >> 1


def add_sensor_noise(clean: Tensor, noise: SensorNoise, seeds: Sequence[int], clip: bool = False) -> Tensor:
    """Adds a sensor's noise to linear RAW.

    With shot and read noise alone this is `utils.raw.noise.noise_from_seeds` to the last bit. The
    parts, and where they come from:

    - Shot noise: the electrons n = x / shot_noise are Poisson distributed, so that the variance is
      shot_noise * x (Foi et al., "Practical Poissonian-Gaussian noise modeling and fitting for
      single-image raw-data", IEEE TIP 2008). From FEW_ELECTRONS on, and without `poisson`, a
      Gaussian stands for them.
    - Read noise: Gaussian, or Tukey's lambda distribution of the same variance (Wei et al., CVPR
      2020).
    - Row and column noise: a Gaussian offset of every row and column of the mosaic (Wei et al. for
      rows). Rows of the mosaic are those of the sensor: R and G_r of a packed row share an offset,
      G_b and B share another.
    - Hot pixels: a share of the photosites, each with an exponentially distributed dark current
      (Widenhorn et al., "Temperature dependence of dark current in a CCD", SPIE 4669, 2002), which
      has shot noise as light has.
    - Quantisation: rounding to multiples of 2^-bits of the range from black to white, on both of
      which there is such a multiple if the number of steps is whole.
    - Dead pixels: a share of the photosites is 0.
    - Clipping: a sensor saturates at white, and most files end at black; the means of clipped
      Gaussian noise are those of `utils.raw.noise.clipped_mean`.

    Args:
        clean: (B, 4, H, W) packed RGGB, linear, in [0, 1], float32.
        noise: the parameters of every image.
        seeds: one for each image.
        clip: whether to clip to [0, 1].

    Returns:
        (B, 4, H, W) on the device of `clean`.
    """
    hot, dead = _defects(clean, noise, seeds)
    noisy = _shot_and_read(clean if hot is None else clean + hot, noise, seeds)
    for part, variance, offsets in (
        ("rows", noise.row_noise, _row_offsets),
        ("columns", noise.column_noise, _column_offsets),
    ):
        if variance is not None:
            noisy = noisy + _planes(variance).sqrt() * offsets(clean, seeds, part, _positive(variance))
    if noise.quantization_bits is not None:
        bits = _planes(noise.quantization_bits)
        steps = 2.0**bits
        noisy = torch.where(bits > 0, (noisy * steps).round() / steps, noisy)
    if dead is not None:
        noisy = noisy.masked_fill(dead, 0)
    return noisy.clamp(0, 1) if clip else noisy


# ---------------------------------------------------------------- photosites


def _shot_and_read(signal: Tensor, noise: SensorNoise, seeds: Sequence[int]) -> Tensor:
    """Returns the signal with shot and read noise: one Gaussian where both are Gaussian."""
    white = white_noise(signal, list(seeds))
    noisy = signal + noise_level_function(signal, noise.shot_noise, noise.read_noise).sqrt() * white
    none = torch.zeros(len(signal), device=signal.device)
    tail = none + torch.nan if noise.tail is None else noise.tail
    counted = none.bool() if noise.poisson is None else noise.poisson
    apart = (tail.isfinite() | counted).nonzero()[:, 0]
    if len(apart) == 0:
        return noisy
    shot, read = _planes(noise.shot_noise)[apart], _planes(noise.read_noise)[apart]
    own = [seeds[index] for index in apart.tolist()]
    electrons = _shot(signal[apart], shot, counted[apart], white[apart], own)
    noisy[apart] = electrons + read.sqrt() * _standard(signal[apart], tail[apart], own)
    return noisy


def _shot(signal: Tensor, shot: Tensor, counted: Tensor, white: Tensor, seeds: Sequence[int]) -> Tensor:
    """Returns the signal with shot noise: counted electrons where they are few, else Gaussian."""
    positive = signal.clamp(min=0)
    noisy = signal + (shot * positive).sqrt() * white
    few = _planes(counted) & (positive < FEW_ELECTRONS * shot)
    expected = torch.where(few, positive / shot, torch.zeros_like(signal))
    if not expected.any():
        return noisy
    numbers = [
        torch.poisson(one, generator=_stream(one, seed, "electrons")) for one, seed in zip(expected, seeds, strict=True)
    ]
    return torch.where(few, torch.stack(numbers) * shot, noisy)


def _standard(like: Tensor, tail: Tensor, seeds: Sequence[int]) -> Tensor:
    """Draws numbers of mean 0 and variance 1: Gaussian where the tail is NaN, else Tukey's."""
    heavy = tail.isfinite()
    draws = [torch.rand if flag else torch.randn for flag in heavy.tolist()]
    drawn = torch.stack(
        [
            draw(one.shape, generator=_stream(one, seed, "read"), device=one.device)
            for one, seed, draw in zip(like, seeds, draws, strict=True)
        ]
    )
    if heavy.any():
        drawn[heavy] = tukey_from_uniform(drawn[heavy], tail[heavy].view(-1, 1, 1, 1))
    return drawn


def _defects(clean: Tensor, noise: SensorNoise, seeds: Sequence[int]) -> tuple[Tensor | None, Tensor | None]:
    """Returns the dark current of hot pixels (B, 4, H, W), and where dead pixels are.

    One uniform number decides about each photosite: hot at the lower end, dead at the upper one.
    """
    if noise.hot_pixels is None and noise.dead_pixels is None:
        return None, None
    none = torch.zeros(len(clean), device=clean.device)
    hot, dead = (none if share is None else share for share in (noise.hot_pixels, noise.dead_pixels))
    lots = _drawn(torch.rand, clean, clean.shape[1:], seeds, "defects", _positive(hot + dead))
    share = _planes(hot).clamp(min=1e-30)
    amplitude = none if noise.hot_amplitude is None else noise.hot_amplitude
    current = -_planes(amplitude) * torch.log1p(-(lots / share).clamp(max=0.9999999))
    is_hot, is_dead = lots < _planes(hot), lots >= 1 - _planes(dead)
    return torch.where(is_hot, current, torch.zeros_like(current)), is_dead


# ---------------------------------------------------------------- rows and columns of the mosaic


def _row_offsets(clean: Tensor, seeds: Sequence[int], part: str, wanted: Sequence[bool]) -> Tensor:
    """Draws an offset of variance 1 for each row of the mosaics, (B, 4, H, 1)."""
    height = clean.shape[2]
    even, odd = _drawn(torch.randn, clean, (height, 2), seeds, part, wanted).unbind(2)
    return torch.stack([even, even, odd, odd], dim=1)[..., None]  # R and G_r; G_b and B


def _column_offsets(clean: Tensor, seeds: Sequence[int], part: str, wanted: Sequence[bool]) -> Tensor:
    """Draws an offset of variance 1 for each column of the mosaics, (B, 4, 1, W)."""
    width = clean.shape[3]
    even, odd = _drawn(torch.randn, clean, (width, 2), seeds, part, wanted).unbind(2)
    return torch.stack([even, odd, even, odd], dim=1)[:, :, None]  # R and G_b; G_r and B


# ---------------------------------------------------------------- draws


def _drawn(
    draw: Draw, like: Tensor, shape: Sequence[int], seeds: Sequence[int], part: str, wanted: Sequence[bool]
) -> Tensor:
    """Draws numbers of a shape for every image from its own stream; zeros for unwanted images."""
    return torch.stack(
        [
            draw(shape, generator=_stream(like, seed, part), device=like.device)
            if flag
            else torch.zeros(tuple(shape), device=like.device)
            for seed, flag in zip(seeds, wanted, strict=True)
        ]
    )


def _stream(like: Tensor, seed: int, part: str) -> torch.Generator:
    return torch.Generator(like.device).manual_seed(part_seed(seed, part))


def _positive(values: Tensor) -> list[bool]:
    """Returns for each image whether any of its values is above 0."""
    return [bool(flag) for flag in (values.reshape(len(values), -1) > 0).any(1).tolist()]


def _planes(values: Tensor) -> Tensor:
    """Returns values (B,) or (B, 4) in a shape that broadcasts over packed RAW."""
    return values.reshape(len(values), -1, 1, 1)
