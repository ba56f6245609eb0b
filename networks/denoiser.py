"""The two denoisers, one for RAW and one for sRGB (CycleISP, Sec. 4).

A second family is in gated_denoiser.py.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, cat, nn

from cycleisp.networks.acceleration import feature_memory, run_trunk
from cycleisp.networks.blocks import DAB, RRG, DeepFeatures, check_image, conv3x3
from cycleisp.utils.images import Space
from cycleisp.utils.raw.variance_stabilization import destabilize, read_noise_level, stabilize

STABLE_DEVIATION = 0.1  # standard deviation of the noise that a stabilized RawDenoiser sees
_LEAST_READ_NOISE = 1e-10  # below any camera's; the transform needs some noise to be defined


class Denoiser(nn.Module, ABC):
    """What the denoisers of every family have in common: they predict what to add to a noisy image.

    Attributes:
        space: of the images: "srgb", called as network(noisy), or "raw", called as
            network(noisy, variance).
        multiple: what the sides of an image must be multiples of.
    """

    space: ClassVar[Space]
    multiple: int

    @property
    @abstractmethod
    def halo(self) -> int:
        """Returns how far around a pixel its result looks, in pixels, global pooling apart."""

    @abstractmethod
    def feature_memory(self, pixels: int) -> int:
        """Returns how many bytes of features a CPU holds at most, in float32 without gradients.

        Args:
            pixels: of one image.
        """

    @abstractmethod
    def correction(self, planes: Tensor) -> Tensor:
        """Returns what to add: (B, C, H, W) -> (B, C', H, W)."""


class _PaperDenoiser(Denoiser):
    """A denoiser of recursive residual groups. Sides are multiples of `unshuffle`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        num_groups: int,
        num_blocks: int,
        reduction: int,
        unshuffle: int,
    ) -> None:
        super().__init__()
        self.activation = nn.PReLU(width)
        self.stem = nn.PixelUnshuffle(unshuffle)
        self.head = conv3x3(in_channels * unshuffle**2, width)
        self.deep = DeepFeatures(width, num_groups, num_blocks, reduction, self.activation)
        self.tail = conv3x3(width, out_channels * unshuffle**2)
        self.shuffle = nn.PixelShuffle(unshuffle)
        self.multiple = unshuffle
        _initialize(self)

    @property
    def halo(self) -> int:
        """Returns how far around a pixel its result looks, in pixels.

        It counts from the pixel's block of `multiple` x `multiple` pixels. Channel attention, which
        pools over the whole image, is not counted. All convolutions follow one another, including
        those of spatial attention.
        """
        convolutions = [module for module in self.modules() if isinstance(module, nn.Conv2d)]
        return self.multiple * sum(module.kernel_size[0] // 2 for module in convolutions)

    def feature_memory(self, pixels: int) -> int:
        return feature_memory(self.deep, pixels // self.multiple**2)

    def correction(self, planes: Tensor) -> Tensor:
        return self.shuffle(run_trunk(self._begin, self.deep, self._finish, planes, scale=self.multiple))

    def _begin(self, planes: Tensor) -> Tensor:
        return self.head(self.stem(planes))

    def _finish(self, deep: Tensor) -> Tensor:
        return self.tail(self.activation(deep))


def _initialize(denoiser: _PaperDenoiser) -> None:
    """Draws weights that keep the variance at any depth, with a weak last layer (ours).

    PyTorch's own weights shrink the variance in every convolution, and then the first hundreds of
    steps teach nothing (docs/lab/denoiser_experiments.md). Where n skips follow one another, what
    each of them adds is scaled by 1 / sqrt(n). Otherwise the paper's 32 blocks would begin with a
    correction five times as strong as the picture.
    """
    if denoiser.tail.weight.is_meta:  # where only shapes are asked for; drawing is slow there
        return
    for module in denoiser.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    groups = [module for module in denoiser.modules() if isinstance(module, RRG)]
    with torch.no_grad():
        for group in groups:
            group.conv.weight /= len(groups) ** 0.5
            for block in group.blocks:
                assert isinstance(block, DAB)
                block.fuse.weight /= len(group.blocks) ** 0.5
        denoiser.tail.weight *= 0.1


class SrgbDenoiser(_PaperDenoiser):
    """The sRGB denoiser: noisy (B, 3, H, W) in [0, 1] -> denoised (B, 3, H, W), not clipped.

    It is blind: no noise level is given. The defaults are the released network: 2,834,947
    parameters.

    Args:
        width: channels of the deep features.
        num_groups: number of recursive residual groups.
        num_blocks: number of dual attention blocks in a group.
        reduction: bottleneck of the channel attention.
        unshuffle: 1 as in the paper. 2 or 4 work at 1/2 or 1/4 of the resolution behind a
            pixel-unshuffle stem (ours).

    Raises:
        ValueError: on call, if the photo has not three channels, or if its sides are not multiples
            of `unshuffle`.
    """

    space = "srgb"

    def __init__(
        self, width: int = 64, num_groups: int = 4, num_blocks: int = 8, reduction: int = 16, unshuffle: int = 1
    ) -> None:
        super().__init__(3, 3, width, num_groups, num_blocks, reduction, unshuffle)

    def forward(self, noisy: Tensor) -> Tensor:
        check_image("noisy sRGB", noisy, channels=3, multiple=self.multiple)
        return noisy + self.correction(noisy)


class RawDenoiser(_PaperDenoiser):
    """The RAW denoiser: noisy packed RAW (B, 4, H, W) -> denoised packed RAW, not clipped.

    Its second input is the variance of the noise in every pixel, (B, 4, H, W). It is shot_noise *
    noisy + read_noise on the [0, 1] scale. It is taken from the noisy image, since the clean one is
    unknown at test time. The defaults are the released network: 2,838,404 parameters.

    Args:
        width: channels of the deep features.
        num_groups: number of recursive residual groups.
        num_blocks: number of dual attention blocks in a group.
        reduction: bottleneck of the channel attention.
        unshuffle: 1 as in the paper. 2 or 4 work at 1/2 or 1/4 of the packed resolution behind a
            pixel-unshuffle stem (ours).
        stabilized: False as in the paper. True works behind a variance-stabilising transform, which
            gives noise of every level the same strength (ours).

    Raises:
        ValueError: on call, if either input has not four planes, if their shapes differ, or if
            sides are not multiples of `unshuffle`.
    """

    space = "raw"

    def __init__(
        self,
        width: int = 64,
        num_groups: int = 4,
        num_blocks: int = 8,
        reduction: int = 16,
        unshuffle: int = 1,
        stabilized: bool = False,
    ) -> None:
        super().__init__(8, 4, width, num_groups, num_blocks, reduction, unshuffle)
        self.stabilized = stabilized

    def forward(self, noisy: Tensor, variance: Tensor) -> Tensor:
        check_raw(noisy, variance, self.multiple)
        if not self.stabilized:
            return noisy + self.correction(cat([noisy, variance], dim=1))
        return denoise_stabilized(self.correction, noisy, variance)


# ---------------------------------------------------------------- RAW denoisers of every family


def check_raw(noisy: Tensor, variance: Tensor, multiple: int) -> None:
    """Raises a ValueError unless noisy packed RAW and the variance of its noise fit a network."""
    check_image("noisy packed RAW", noisy, channels=4, multiple=multiple)
    if variance.shape != noisy.shape:
        raise ValueError(f"variance map: expected {tuple(noisy.shape)} as the RAW, got {tuple(variance.shape)}")


def denoise_stabilized(correction: Callable[[Tensor], Tensor], noisy: Tensor, variance: Tensor) -> Tensor:
    """Denoises packed RAW behind a variance-stabilising transform (ours).

    Args:
        correction: predicts what to add to stabilised RAW, whose noise has STABLE_DEVIATION at
            every level: (B, 8, H, W), the RAW and the deviations of its noise before the transform,
            -> (B, 4, H, W).
        noisy: (B, 4, H, W) in [0, 1].
        variance: of the noise in every value, (B, 4, H, W).

    Returns:
        (B, 4, H, W), not clipped
    """
    shot_noise, read_noise = read_noise_level(noisy, variance)
    read_noise = read_noise.clamp(min=_LEAST_READ_NOISE)
    stable = STABLE_DEVIATION * stabilize(noisy, shot_noise, read_noise)
    denoised = stable + correction(cat([stable, variance.sqrt()], dim=1))
    return destabilize(denoised / STABLE_DEVIATION, shot_noise, read_noise)
