"""Gated blocks on a CPU: computed in tiles that stay in the cache, by few operations.

A block reads and writes its features a dozen times. An image does not fit into the processor's
cache, and then memory, not arithmetic, is what takes the time. So all steps of a block are computed
for one small tile after the other. What is left of a step beside its matrix product is computed by
Numba: layer norms with channels innermost, and a depthwise convolution together with its gate. The
results take the place of the features, so that a photo needs one map of features only. Threads work
on strips of columns, each from top to bottom, and meet once a block.

The result is the plain block's up to rounding:

- A layer norm's weight and bias move into the 1x1 convolution behind it.
- The learned scale of a skip moves into the 1x1 convolution before it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from cycleisp.networks.fast.threads import Spread, threads
from cycleisp.networks.fast.tiles.memory import Floats, Scratch
from cycleisp.networks.fast.tiles.steps import add_bias, clear, convolve_and_gate, gate, normalize, normalize_around
from cycleisp.utils.steps import looker

# Values of features in a tile. Tried on one core of an AMD EPYC with 512 KiB of second-level cache:
# from 2^14 to 2^17 the time changed by a quarter, and was least for 2^16 and 2^17.
TILE_VALUES = 1 << 17

_scratch = Scratch()


class Block(Protocol):
    """What is needed of `networks.gated_denoiser.GatedBlock`."""

    norm: Any
    widen: nn.Conv2d
    depthwise: nn.Conv2d
    project: nn.Conv2d
    scale: Tensor
    second_norm: Any
    second_widen: nn.Conv2d
    second_project: nn.Conv2d
    second_scale: Tensor


def suits(features: Tensor) -> bool:
    """Returns whether `run` can compute blocks on these features."""
    return features.device.type == "cpu" and features.dtype == torch.float32 and features.numel() > 0


def run(block: Any, features: Tensor) -> Tensor:
    """Returns what a block makes of features, with channels innermost.

    The tiles, and so the last bit of the result, do not depend on the number of threads.

    Args:
        block: a `Block` of C channels.
        features: (B, C, H, W) float32 on a CPU. They are overwritten if their channels are
            innermost. No gradient is computed.
    """
    result = features.detach().contiguous(memory_format=torch.channels_last)
    with threads() as spread:
        weights = _Weights.of(block)  # here, since PyTorch's threads would go on for milliseconds after it
        for image in result.permute(0, 2, 3, 1).numpy():
            _compute(weights, image, spread)
    return result


def _compute(weights: "_Weights", image: Floats, spread: Spread) -> None:
    """Computes a block on an image (H, W, C), in place."""
    height, width, channels = image.shape
    side = _side(channels)
    strips = _parts(width, side, even=True)
    borders = [column for strip in strips[1:] for column in (strip.start - 1, strip.start)]
    edges = np.ascontiguousarray(image[:, borders])
    work = _Work(weights, image, edges, _parts(height, side), looker())
    spread(work.compute, list(enumerate(strips)))


# ---------------------------------------------------------------- weights


@dataclass(frozen=True)
class _Weights:
    """A block's weights as the tiles need them; products are of rows of pixels with a matrix."""

    widen: tuple[Tensor, Tensor]  # bias (2C,), matrix (C, 2C)
    taps: Floats  # (9, 2C)
    taps_bias: Floats  # (2C,)
    project: tuple[Tensor, Floats]  # matrix (C, C), bias (C,)
    second_widen: tuple[Tensor, Tensor]
    second_project: tuple[Tensor, Floats]

    @classmethod
    def of(cls, block: Block) -> "_Weights":
        taps = block.depthwise.weight.detach().flatten(1).t()  # (9, 2C)
        return cls(
            _behind_norm(block.widen, block.norm),
            taps.contiguous().numpy(),
            _bias(block.depthwise).contiguous().numpy(),
            _scaled(block.project, block.scale),
            _behind_norm(block.second_widen, block.second_norm),
            _scaled(block.second_project, block.second_scale),
        )


def _behind_norm(convolution: nn.Conv2d, norm: Any) -> tuple[Tensor, Tensor]:
    """Returns bias and matrix of a 1x1 convolution that takes in the norm's weight and bias."""
    matrix = convolution.weight.detach().flatten(1)
    bias = torch.mv(matrix, norm.bias.detach()) + _bias(convolution)
    return bias, (matrix * norm.weight.detach()).t().contiguous()


def _scaled(convolution: nn.Conv2d, scale: Tensor) -> tuple[Tensor, Floats]:
    """Returns matrix and bias of a 1x1 convolution whose results are multiplied by a scale."""
    factors = scale.detach().flatten()
    matrix = convolution.weight.detach().flatten(1) * factors[:, None]
    return matrix.t().contiguous(), (_bias(convolution) * factors).numpy()


def _bias(convolution: nn.Conv2d) -> Tensor:
    assert convolution.bias is not None
    return convolution.bias.detach()


# ---------------------------------------------------------------- tiles


@dataclass(frozen=True)
class _Work:
    """A block's work on an image (H, W, C), in strips of columns, and in these tile by tile.

    Threads share no more than what is here, since each wait for another takes as long as a tile.

    Attributes:
        edges: the columns on both sides of each border between strips, as they were, (H, n, C).
        bands: the rows of the tiles.
        look: called before each tile.
    """

    weights: _Weights
    image: Floats
    edges: Floats
    bands: list[slice]
    look: Callable[[], object]

    def compute(self, strip: tuple[int, slice]) -> None:
        """Writes the block's result over a strip, which is given by its number and its columns."""
        number, columns = strip
        above = np.zeros_like(self.image[:1, columns])  # the row above a tile, as it was
        for band in self.bands:
            self.look()
            last = self.image[band.stop - 1 : band.stop, columns].copy()
            self._tile(number, band, columns, above)
            above = last

    def _tile(self, number: int, band: slice, columns: slice, above: Floats) -> None:
        weights, image, top, left = self.weights, self.image, band.start, columns.start
        height, width = band.stop - top, columns.stop - left
        here = _scratch.of(height, width, image.shape[2], _side(image.shape[2]))
        place = top, left, height, width

        normalize_around(image, above, self.edges, number, *place, here.around)
        torch.addmm(weights.widen[0], here.normal_around, weights.widen[1], out=here.doubled_around)
        clear(here.grid, *place, *image.shape[:2])
        convolve_and_gate(here.grid, weights.taps, weights.taps_bias, here.gates)
        add_bias(image, top, left, weights.project[1], here.mixed_grid, 0, 0, height, width)
        here.mixed.addmm_(here.gated, weights.project[0])

        normalize(here.mixed_grid, 0, 0, here.normal_grid, 0, 0, height, width)
        torch.addmm(weights.second_widen[0], here.normal, weights.second_widen[1], out=here.doubled)
        gate(here.doubles, here.gates)
        here.mixed.addmm_(here.gated, weights.second_project[0])
        add_bias(here.mixed_grid, 0, 0, weights.second_project[1], image, top, left, height, width)


def _side(channels: int) -> int:
    return max(8, math.isqrt(TILE_VALUES // channels))


def _parts(length: int, side: int, even: bool = False) -> list[slice]:
    """Returns slices of nearly equal length, at most `side`, that cover a length once.

    `even` makes their number even, but for a single one, so that two threads have as many each.
    """
    count = -(-length // side)
    count += count % 2 if even and count > 1 else 0
    ends = [length * index // count for index in range(count + 1)]
    return [slice(first, end) for first, end in pairwise(ends)]
