"""U-shaped denoisers of gated blocks, for RAW and for sRGB: more quality for their time on a CPU.

The block is NAFNet's (Chen et al., ECCV 2022, arXiv 2204.04676) without its channel attention:
layer norm, 1x1 convolution to 2C channels, depthwise 3x3 convolution, the product of the two halves
(a gate), 1x1 convolution, and a skip with a learned scale; then layer norm, 1x1 convolution to 2C,
gate, 1x1 convolution, and a second such skip.

Nothing pools over the whole image. So tiles and pieces of a photo come out as the whole does.
"""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cycleisp.networks.acceleration import run_in_place
from cycleisp.networks.blocks import Chain, check_image, conv3x3
from cycleisp.networks.denoiser import Denoiser, check_raw, denoise_stabilized

_ROWS = 32  # of a level that are doubled at a time
_MAPS = 5  # maps of the uppermost level that are held in memory at most


class ChannelNorm(nn.Module):
    """Gives the channels of each pixel mean 0 and variance 1, then scales and shifts them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, features: Tensor) -> Tensor:
        innermost = features.permute(0, 2, 3, 1)  # (B, H, W, C)
        return F.layer_norm(innermost, self.weight.shape, self.weight, self.bias, 1e-6).permute(0, 3, 1, 2)


def gate(features: Tensor) -> Tensor:
    """Returns the product of the two halves of the channels: (B, 2C, H, W) -> (B, C, H, W)."""
    first, second = features.chunk(2, dim=1)
    return first * second


class GatedBlock(nn.Module):
    """One block on (B, C, H, W). It begins as the identity, since the learned scales begin at 0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.widen = nn.Conv2d(width, 2 * width, kernel_size=1)
        self.depthwise = nn.Conv2d(2 * width, 2 * width, kernel_size=3, padding=1, groups=2 * width)
        self.project = nn.Conv2d(width, width, kernel_size=1)
        self.scale = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.second_norm = ChannelNorm(width)
        self.second_widen = nn.Conv2d(width, 2 * width, kernel_size=1)
        self.second_project = nn.Conv2d(width, width, kernel_size=1)
        self.second_scale = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, features: Tensor, in_place: bool = False) -> Tensor:
        """Returns the block's result; `in_place` allows it to take the memory of the features."""
        result = run_in_place(self, features) if in_place else None
        if result is not None:
            return result
        gated = gate(self.depthwise(self.widen(self.norm(features))))
        mixed = features + self.scale * self.project(gated)
        gated = gate(self.second_widen(self.second_norm(mixed)))
        return mixed + self.second_scale * self.second_project(gated)


class GatedUNet(nn.Module):
    """A U of gated blocks, on (B, C, H, W); sides are multiples of 2^(levels - 1).

    Each level has half the resolution and twice the channels of the one above. What goes up is
    added to what went down at its level. Without gradients the features may be overwritten.

    Args:
        width: channels of the uppermost level.
        encoder: number of blocks of each level on the way down, the lowest level included.
        decoder: number of blocks of each level on the way up, from the last but one to the first.

    Raises:
        ValueError: the decoder has not one level less than the encoder.
    """

    def __init__(self, width: int, encoder: Sequence[int], decoder: Sequence[int]) -> None:
        super().__init__()
        if len(decoder) != len(encoder) - 1:
            raise ValueError(f"a decoder has one level less than its encoder, got {len(encoder)} and {len(decoder)}")
        self.encoder, self.decoder = tuple(encoder), tuple(decoder)
        widths = [width * 2**level for level in range(len(encoder))]
        self.down = nn.ModuleList(_blocks(wide, count) for wide, count in zip(widths, encoder, strict=True))
        self.halving = nn.ModuleList(nn.Conv2d(wide, 2 * wide, kernel_size=2, stride=2) for wide in widths[:-1])
        self.doubling = nn.ModuleList(
            nn.Sequential(nn.Conv2d(wide, 2 * wide, kernel_size=1, bias=False), nn.PixelShuffle(2))
            for wide in widths[:0:-1]
        )
        self.up = nn.ModuleList(_blocks(wide, count) for wide, count in zip(widths[-2::-1], decoder, strict=True))

    def forward(self, features: Tensor) -> Tensor:
        passed = []
        for level, halve in enumerate(self.halving):  # no zip: PyTorch 2.6 compiles none of unequal lengths
            features = _run(self.down[level], features)
            passed.append(features)
            features = halve(features)
        features = _run(self.down[-1], features)
        for double, blocks in zip(self.doubling, self.up, strict=True):
            features = _run(blocks, _add_doubled(double, features, passed.pop()))
        return features

    def reach(self, before: int = 0) -> int:
        """Returns how far around a pixel of the uppermost level the result looks, in its pixels.

        Args:
            before: how far the features given to the U already look.
        """
        for level, count in enumerate(self.encoder):
            before = (-(-before // 2) if level else before) + count  # four pixels have become one
        for count in self.decoder:
            before = 2 * before + count
        return before


def _run(blocks: nn.Module, features: Tensor) -> Tensor:
    """Returns blocks(features); without gradients the features may be overwritten."""
    if torch.is_grad_enabled():
        return cast(Tensor, blocks(features))
    for block in blocks.children():
        features = block(features, in_place=True)
    return features


def _add_doubled(double: nn.Module, features: Tensor, above: Tensor) -> Tensor:
    """Returns double(features) + above, without gradients in place: a map takes a gigabyte."""
    if torch.is_grad_enabled():
        return double(features) + above
    for first in range(0, features.shape[2], _ROWS):
        above[:, :, 2 * first : 2 * (first + _ROWS)] += double(features[:, :, first : first + _ROWS])
    return above


def _blocks(width: int, count: int) -> Chain:
    return Chain(*(GatedBlock(width) for _ in range(count)))


class _GatedDenoiser(Denoiser):
    """A denoiser whose trunk is a U of gated blocks. See the subclasses for the arguments."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        encoder: Sequence[int],
        decoder: Sequence[int],
        unshuffle: int,
    ) -> None:
        super().__init__()
        self.stem = nn.PixelUnshuffle(unshuffle)
        self.head = conv3x3(in_channels * unshuffle**2, width)
        self.deep = GatedUNet(width, encoder, decoder)
        self.tail = conv3x3(width, out_channels * unshuffle**2)
        self.shuffle = nn.PixelShuffle(unshuffle)
        self.multiple = unshuffle * 2 ** (len(encoder) - 1)
        if not self.tail.weight.is_meta:
            with torch.no_grad():
                self.tail.weight *= 0.1  # the first correction is weak

    @property
    def halo(self) -> int:
        """Returns how far around a pixel its result looks, in pixels: a multiple of `multiple`.

        It counts from the pixel's block of `multiple` x `multiple` pixels, and is complete: nothing
        pools over the whole image.
        """
        pixels = self.stem.downscale_factor * (self.deep.reach(before=1) + 1)  # head and tail: 1 each
        return -(-pixels // self.multiple) * self.multiple

    def feature_memory(self, pixels: int) -> int:
        width = self.head.out_channels
        return _MAPS * 4 * width * pixels // self.stem.downscale_factor**2

    def correction(self, planes: Tensor) -> Tensor:
        # With channels innermost, as the blocks work best on CPUs and GPUs alike
        features = self.head(self.stem(planes).contiguous(memory_format=torch.channels_last))
        return self.shuffle(self.tail(self.deep(features)))


class SrgbGatedDenoiser(_GatedDenoiser):
    """The sRGB denoiser: noisy (B, 3, H, W) in [0, 1] -> denoised (B, 3, H, W), not clipped.

    It is blind: no noise level is given.

    Args:
        width: channels of the uppermost level; each level below has twice as many.
        encoder: number of blocks of each level on the way down, the lowest level included.
        decoder: number of blocks of each level on the way up.
        unshuffle: the uppermost level works at 1/unshuffle of the resolution.

    Raises:
        ValueError: a decoder that has not one level less than the encoder; on call, a photo without
            three channels, or with sides that are not multiples of `multiple`.
    """

    space = "srgb"

    def __init__(
        self,
        width: int = 32,
        encoder: Sequence[int] = (2, 4, 8),
        decoder: Sequence[int] = (2, 2),
        unshuffle: int = 2,
    ) -> None:
        super().__init__(3, 3, width, encoder, decoder, unshuffle)

    def forward(self, noisy: Tensor) -> Tensor:
        check_image("noisy sRGB", noisy, channels=3, multiple=self.multiple)
        return noisy + self.correction(noisy)


class RawGatedDenoiser(_GatedDenoiser):
    """The RAW denoiser: noisy packed RAW (B, 4, H, W) -> denoised packed RAW, not clipped.

    Its second input is the variance of the noise in every pixel, (B, 4, H, W), as for RawDenoiser.
    It works behind a variance-stabilising transform.

    Args:
        width, encoder, decoder: as for SrgbGatedDenoiser.
        unshuffle: the uppermost level works at 1/unshuffle of the packed resolution.

    Raises:
        ValueError: a decoder that has not one level less than the encoder; on call, inputs without
            four planes or of different shapes, or sides that are not multiples of `multiple`.
    """

    space = "raw"

    def __init__(
        self,
        width: int = 32,
        encoder: Sequence[int] = (2, 4, 8),
        decoder: Sequence[int] = (2, 2),
        unshuffle: int = 2,
    ) -> None:
        super().__init__(8, 4, width, encoder, decoder, unshuffle)

    def forward(self, noisy: Tensor, variance: Tensor) -> Tensor:
        check_raw(noisy, variance, self.multiple)
        return denoise_stabilized(self.correction, noisy, variance)
