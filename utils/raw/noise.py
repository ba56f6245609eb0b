"""Shot and read noise of a sensor, on linear RAW in [0, 1]: models, how they are drawn, formulas.

The noise of a photosite is Gaussian with variance shot_noise * x + read_noise (Brooks et al., CVPR
2019, arXiv 1811.11127; used by CycleISP). Both factors are variances. Randomness always comes from
a generator that the caller owns, so that a noisy image can be reproduced.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from numpy.typing import NDArray

from cycleisp.utils.errors import UserError

if TYPE_CHECKING:  # noise levels are needed where there is no PyTorch, too; functions that draw import it
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class NoiseLevels:
    """The noise levels of a batch, each (B,): variances on the [0, 1] scale."""

    shot_noise: Tensor
    read_noise: Tensor


Values = TypeVar("Values", "Tensor", NDArray)
PlaneFactors = float | tuple[float, ...] | None  # of all planes, or of R, G_r, G_b, B; None where unknown


@dataclass(frozen=True)
class NoisyRaw:
    """A RAW image with noise, and what is known about the noise.

    Attributes:
        image: (4, H, W) packed RGGB, linear, not clipped.
        shot_noise, read_noise: variances on the [0, 1] scale.
        origin: where recorded noise comes from; JSON values; empty for noise that was drawn.
    """

    image: Tensor
    shot_noise: PlaneFactors
    read_noise: PlaneFactors
    origin: Mapping[str, Any] = field(default_factory=dict)


class NoiseModel(Protocol):
    """A noise model: adds noise to clean RAW."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Returns all that the noise depends on besides the model's name, as JSON values."""

    def add(self, clean: Tensor, seed: int) -> NoisyRaw:
        """Adds noise to one image, as a function of the image and the seed alone.

        Args:
            clean: (4, H, W) packed RGGB in [0, 1], on the CPU.
            seed: of all randomness.
        """


class ShotReadNoise(ABC):
    """A noise model of shot and read noise, whose levels come from `sample`."""

    @property
    def settings(self) -> Mapping[str, Any]:
        return {}

    @abstractmethod
    def sample(self, count: int, generator: torch.Generator) -> NoiseLevels:
        """Draws `count` noise levels, float32, on the generator's device."""

    def add(self, clean: Tensor, seed: int) -> NoisyRaw:
        import torch

        generator = torch.Generator().manual_seed(seed)
        levels = self.sample(1, generator)
        noisy = add_shot_read_noise(clean[None], levels.shot_noise, levels.read_noise, generator)[0]
        return NoisyRaw(noisy, float(levels.shot_noise), float(levels.read_noise))


@dataclass(frozen=True)
class NoiseProfile(ShotReadNoise):
    """A camera family's distribution of noise levels.

    log(shot) is uniform over `shot_range`, and log(read) = slope * log(shot) + intercept +
    N(0, spread^2).

    Attributes:
        name: for users.
        shot_range: smallest and largest shot_noise.
        slope, intercept, spread: the line of read noise against shot noise, in logarithms to
            `base`.
        base: of the logarithms. 10 fits the noise level functions of DND; the released code of
            Brooks et al. has e.
    """

    name: str
    shot_range: tuple[float, float]
    slope: float
    intercept: float
    spread: float
    base: float = 10.0

    def sample(self, count: int, generator: torch.Generator) -> NoiseLevels:
        """Draws `count` noise levels, float32, on the generator's device."""
        import torch

        device = generator.device
        low, high = (math.log(shot, self.base) for shot in self.shot_range)
        uniform = torch.rand(count, generator=generator, device=device, dtype=torch.float64)
        normal = torch.randn(count, generator=generator, device=device, dtype=torch.float64)
        log_shot = low + (high - low) * uniform
        log_read = self.slope * log_shot + self.intercept + self.spread * normal
        return NoiseLevels((self.base**log_shot).float(), (self.base**log_read).float())


@dataclass(frozen=True)
class FixedNoise(ShotReadNoise):
    """The same explicit `shot_noise` and `read_noise` (variances) for every image."""

    shot_noise: float
    read_noise: float

    @property
    def name(self) -> str:
        return f"shot={self.shot_noise:g},read={self.read_noise:g}"

    def sample(self, count: int, generator: torch.Generator) -> NoiseLevels:
        """Returns the same levels `count` times, on the generator's device, without drawing."""
        import torch

        device = generator.device
        return NoiseLevels(
            torch.full((count,), self.shot_noise, device=device), torch.full((count,), self.read_noise, device=device)
        )


PROFILES = {
    profile.name: profile
    for profile in (
        NoiseProfile("dnd", (1e-4, 0.012), slope=2.18, intercept=1.20, spread=0.26),
        NoiseProfile("sidd", (0.00068674, 0.02194856), slope=1.85, intercept=0.30, spread=0.20),
        # As `dnd`, but in natural logarithms: the read variance is 4.77 times smaller. It serves to
        # compare with the released code.
        NoiseProfile("upi_released", (1e-4, 0.012), slope=2.18, intercept=1.20, spread=0.26, base=math.e),
    )
}

AWGN = "awgn"  # additive white Gaussian noise on sRGB: no sensor has it, but it is the usual baseline
_EXPLICIT = re.compile(r"shot=(?P<shot>[^,]+),\s*read=(?P<read>[^,]+)")


class NoiseError(UserError, ValueError):
    """A noise that is unknown or impossible."""


def parse_noise(text: str) -> NoiseProfile | FixedNoise:
    """Reads a noise from text: a profile's name, or variances as `shot=0.01,read=0.0005`.

    Raises:
        NoiseError: the text is neither, or values lie outside [0, 1].
    """
    if text in PROFILES:
        return PROFILES[text]
    hint = f"expected one of {', '.join(PROFILES)} or explicit variances as shot=0.01,read=0.0005"
    match = _EXPLICIT.fullmatch(text.strip())
    if match is None:
        raise NoiseError(f"unknown noise {text!r}; {hint}")
    try:
        shot, read = float(match["shot"]), float(match["read"])
    except ValueError:
        raise NoiseError(f"noise {text!r} holds something that is no number; {hint}") from None
    if not (0 <= shot <= 1 and 0 <= read <= 1):
        raise NoiseError(f"noise {text!r}: variances on the [0, 1] scale lie in [0, 1]; {hint}")
    return FixedNoise(shot, read)


def noise_level_function(signal: Values, shot_noise: Values, read_noise: Values) -> Values:
    """Returns the variance of each pixel's noise: shot_noise * signal + read_noise.

    All are tensors, or all are arrays.

    Args:
        signal: (B, C, H, W) linear RAW in [0, 1]; negative values, due to noise, count as 0.
        shot_noise: (B,) variance per unit of signal, or (B, C) where it differs between the planes.
        read_noise: likewise, variance of the part that is independent of the signal.

    Returns:
        (B, C, H, W), never negative.
    """
    shot_noise, read_noise = (factor.reshape(len(factor), -1, 1, 1) for factor in (shot_noise, read_noise))
    return shot_noise * signal.clip(min=0) + read_noise


def add_shot_read_noise(clean: Tensor, shot_noise: Tensor, read_noise: Tensor, generator: torch.Generator) -> Tensor:
    """Adds signal-dependent Gaussian sensor noise to linear RAW.

    The result is y ~ N(x, shot_noise * x + read_noise).

    Args:
        clean: (B, 4, H, W) packed RGGB, linear, in [0, 1].
        shot_noise: (B,) variance per unit of signal.
        read_noise: (B,) variance (not a standard deviation) of the part that is independent of the
            signal.
        generator: source of randomness. Its device may differ from that of `clean`; a generator on
            the CPU gives the same noise on every device.

    Returns:
        (B, 4, H, W), not clipped: callers that need [0, 1] clip explicitly.
    """
    import torch

    variance = noise_level_function(clean, shot_noise, read_noise)
    white = torch.randn(clean.shape, generator=generator, device=generator.device, dtype=clean.dtype)
    return clean + variance.sqrt() * white.to(clean.device)


def noise_from_seeds(clean: Tensor, shot_noise: Tensor, read_noise: Tensor, seeds: list[int]) -> Tensor:
    """Adds noise as `add_shot_read_noise`, to image i from a generator with seed i.

    The noise of an image is the same in any batch, on devices of one model.

    Args:
        clean: (B, 4, H, W) packed RGGB, linear, in [0, 1].
        shot_noise, read_noise: (B,) variances.
        seeds: one for each image.

    Returns:
        (B, 4, H, W), not clipped.
    """
    white = white_noise(clean, seeds)
    return clean + noise_level_function(clean, shot_noise, read_noise).sqrt() * white


def clipped_mean(signal: Tensor, variance: Tensor) -> Tensor:
    """Returns the average of many noisy frames, each clipped to [0, 1].

    Sensors cannot go below black nor above white, so the average of very noisy frames is brighter
    than the light in the dark. SIDD's clean pictures, for one, are such averages.

    Args:
        signal: of any shape, in [0, 1].
        variance: of the Gaussian noise, positive, of the same shape.
    """
    import torch

    deviation = variance.sqrt().clamp(min=1e-9)
    low, high = -signal / deviation, (1 - signal) / deviation
    inside = torch.special.ndtr(high) - torch.special.ndtr(low)
    return signal * inside + deviation * (_normal_density(low) - _normal_density(high)) + 1 - torch.special.ndtr(high)


def _normal_density(x: Tensor) -> Tensor:
    return (-0.5 * x**2).exp() / math.sqrt(2 * math.pi)


def white_noise(like: Tensor, seeds: list[int]) -> Tensor:
    """Draws standard normal numbers of the shape and on the device of `like`.

    Args:
        like: (B, ...).
        seeds: B of them; image i is drawn from seed i.
    """
    import torch

    each = [
        torch.randn(image.shape, generator=torch.Generator(like.device).manual_seed(seed), device=like.device)
        for image, seed in zip(like, seeds, strict=True)
    ]
    return torch.stack(each)
