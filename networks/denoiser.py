"""The denoisers, one for RAW and one for sRGB (CycleISP, Sec. 4)."""

import torch
from torch import Tensor, cat, nn

from cycleisp.networks import trunk
from cycleisp.networks.blocks import DAB, RRG, DeepFeatures, check_image, conv3x3
from cycleisp.utils.raw.variance_stabilization import destabilize, read_noise_level, stabilize

STABLE_DEVIATION = 0.1  # of the noise that a stabilized RawDenoiser works on
_LEAST_READ_NOISE = 1e-10  # below that of any camera; without any noise there would be nothing to measure RAW in


class _Denoiser(nn.Module):
    """Predicts what to add to `noisy` from `planes`; sides must be multiples of `unshuffle`."""

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
        """How far around a pixel (a block of `multiple` of them) its result looks, in pixels; channel attention apart.

        That pools over the image. All convolutions lie behind one another, the spatial attention's among them.
        """
        convolutions = [module for module in self.modules() if isinstance(module, nn.Conv2d)]
        return self.multiple * sum(module.kernel_size[0] // 2 for module in convolutions)

    def correction(self, planes: Tensor) -> Tensor:
        return self.shuffle(trunk.run(self.head, self.deep, self._finish, self.stem(planes)))

    def _finish(self, deep: Tensor) -> Tensor:
        return self.tail(self.activation(deep))


def _initialize(denoiser: _Denoiser) -> None:
    """Weights that keep the variance of what they are given, whatever the depth, and a quiet last layer (ours).

    PyTorch's own shrink it in every convolution; from them the first hundreds of steps teach nothing
    (docs/experiments.md). What each of n skips in a row adds is scaled by 1 / sqrt(n), else the paper's 32 blocks would
    begin with a correction five times as strong as the picture.
    """
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


class SrgbDenoiser(_Denoiser):
    """Noisy sRGB (B, 3, H, W) in [0, 1] -> denoised sRGB (B, 3, H, W), not clipped. Blind: no noise level is given.

    The defaults are the released network: 2,834,947 parameters.

    Args:
        width: channels of the deep features.
        num_groups: recursive residual groups.
        num_blocks: dual attention blocks in a group.
        reduction: bottleneck of the channel attention.
        unshuffle: 1 as the paper; 2 or 4 work at that part of the resolution behind a pixel-unshuffle stem (ours).

    Raises:
        ValueError: on call, if the photo has not three channels or its sides are no multiples of `unshuffle`.
    """

    def __init__(
        self, width: int = 64, num_groups: int = 4, num_blocks: int = 8, reduction: int = 16, unshuffle: int = 1
    ) -> None:
        super().__init__(3, 3, width, num_groups, num_blocks, reduction, unshuffle)

    def forward(self, noisy: Tensor) -> Tensor:
        check_image("noisy sRGB", noisy, channels=3, multiple=self.multiple)
        return noisy + self.correction(noisy)


class RawDenoiser(_Denoiser):
    """Noisy packed RAW and its noise variance, both (B, 4, H, W) -> denoised packed RAW (B, 4, H, W), not clipped.

    The variance map is shot_noise * noisy + read_noise on the [0, 1] scale, from the noisy image: the clean one is
    unknown at test time. The defaults are the released network: 2,838,404 parameters.

    Args:
        width: channels of the deep features.
        num_groups: recursive residual groups.
        num_blocks: dual attention blocks in a group.
        reduction: bottleneck of the channel attention.
        unshuffle: 1 as the paper; 2 or 4 work at that part of the packed resolution behind a pixel-unshuffle stem
            (ours).
        stabilized: False as the paper; True works behind a variance-stabilising transform, where noise of every level
            has one strength (ours).

    Raises:
        ValueError: on call, if either has not four planes, they differ in shape, or sides are no multiples of
            `unshuffle`.
    """

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
        check_image("noisy packed RAW", noisy, channels=4, multiple=self.multiple)
        if variance.shape != noisy.shape:
            raise ValueError(f"variance map: expected {tuple(noisy.shape)} as the RAW, got {tuple(variance.shape)}")
        if not self.stabilized:
            return noisy + self.correction(cat([noisy, variance], dim=1))
        shot_noise, read_noise = read_noise_level(noisy, variance)
        read_noise = read_noise.clamp(min=_LEAST_READ_NOISE)
        stable = STABLE_DEVIATION * stabilize(noisy, shot_noise, read_noise)
        denoised = stable + self.correction(cat([stable, variance.sqrt()], dim=1))
        return destabilize(denoised / STABLE_DEVIATION, shot_noise, read_noise)
