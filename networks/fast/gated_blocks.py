"""Gated blocks on a CPU: computed in tiles that stay in the cache, by few operations.

A block reads and writes its features a dozen times. An image does not fit into the processor's
cache, and then memory, not arithmetic, is what takes the time. So all steps of a block are computed
for one small tile after the other. What is left of a step beside its matrix product is computed by
Numba: layer norms with channels innermost, and a depthwise convolution together with its gate. The
results take the place of the features, a band of tiles at a time, so that a photo needs one map of
features only.

The result is the plain block's up to rounding:

- A layer norm's weight and bias move into the 1x1 convolution behind it.
- The learned scale of a skip moves into the 1x1 convolution before it.
"""

import math
import threading
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor, nn

from cycleisp.networks.fast.strips.threads import Spread, threads
from cycleisp.utils.steps import looker

# Values of features in a tile. Tried on one core of an AMD EPYC with 512 KiB of second-level cache:
# from 2^14 to 2^17 the time changed by a quarter, and was least for 2^16 and 2^17.
TILE_VALUES = 1 << 17
TOGETHER = 4  # pixels whose depthwise convolution is one loop: with few channels, one pixel is too short
EPSILON = 1e-6  # of a layer norm

Floats = NDArray[np.float32]


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
    weights = _Weights.of(block)
    with threads() as spread:
        for image in result.permute(0, 2, 3, 1).numpy():
            _compute(weights, image, spread)
    return result


def _compute(weights: "_Weights", image: Floats, spread: Spread) -> None:
    """Computes a block on an image (H, W, C), in place."""
    height, width, channels = image.shape
    side = _side(channels)
    bands = _parts(height, side)
    lines = np.empty((max(band.stop - band.start for band in bands) + 2, width, channels), np.float32)
    above = np.zeros((width, channels), np.float32)  # the row above a band, as it was
    look = looker()
    for band in bands:
        look()
        count = band.stop - band.start
        source = lines[: count + 2]
        source[0] = above
        source[1:-1] = image[band]
        source[-1] = image[band.stop] if band.stop < height else 0
        above = source[-2].copy()
        tile = _Tile(weights, source, image[band], band.start == 0, band.stop == height)
        spread(tile.compute, _parts(width, side))


# ---------------------------------------------------------------- weights


@dataclass(frozen=True)
class _Weights:
    """A block's weights as the tiles need them; products are of rows of pixels with a matrix."""

    widen: tuple[Tensor, Tensor]  # bias (2C,), matrix (C, 2C)
    taps: Floats  # (9, TOGETHER * 2C), each pixel's the same
    taps_bias: Floats  # (TOGETHER * 2C,)
    project: tuple[Tensor, Floats]  # matrix (C, C), bias (C,)
    second_widen: tuple[Tensor, Tensor]
    second_project: tuple[Tensor, Floats]

    @classmethod
    def of(cls, block: Block) -> "_Weights":
        taps = block.depthwise.weight.detach().flatten(1).t()  # (9, 2C)
        return cls(
            _behind_norm(block.widen, block.norm),
            taps.repeat(1, TOGETHER).numpy(),
            _bias(block.depthwise).repeat(TOGETHER).numpy(),
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
class _Tile:
    """A band of rows, of which `compute` computes the columns of a tile."""

    weights: _Weights
    source: Floats  # (h + 2, W, C)
    target: Floats  # (h, W, C)
    is_first: bool
    is_last: bool

    def compute(self, columns: slice) -> None:
        """Writes the block's result in these columns to the target."""
        weights, image_width, channels = self.weights, self.source.shape[1], self.source.shape[2]
        height, width = len(self.target), columns.stop - columns.start
        left = max(0, columns.start - 1)
        inside, target = self.source[1:-1, columns], self.target[:, columns]
        scratch = _scratch.of(channels)
        around, count = (height + 2) * (width + 2), height * width

        normal, doubled = scratch.normal[:around], scratch.doubled[:around]
        _normalize(self.source[:, left : columns.stop + 1], left - columns.start + 1, _grid(normal, width + 2))
        torch.addmm(weights.widen[0], normal, weights.widen[1], out=doubled)
        grid = _grid(doubled, width + 2)
        _clear(grid, self.is_first, self.is_last, columns.start == 0, columns.stop == image_width)
        gated, mixed = scratch.gated[:count], scratch.mixed[:count]
        _convolve_and_gate(grid, weights.taps, weights.taps_bias, gated.numpy())
        _add_bias(inside, weights.project[1], _grid(mixed, width))
        mixed.addmm_(gated, weights.project[0])

        normal, doubled = scratch.normal[:count], scratch.doubled[:count]
        _normalize(_grid(mixed, width), 0, _grid(normal, width))
        torch.addmm(weights.second_widen[0], normal, weights.second_widen[1], out=doubled)
        _gate(doubled.numpy(), gated.numpy())
        mixed.addmm_(gated, weights.second_project[0])
        _add_bias(_grid(mixed, width), weights.second_project[1], target)


class _Scratch(threading.local):
    """A thread's memory for a tile."""

    channels = 0
    normal: Tensor
    doubled: Tensor
    gated: Tensor
    mixed: Tensor

    def of(self, channels: int) -> "_Scratch":
        if self.channels != channels:
            side = _side(channels) + 2
            with torch.inference_mode(False):  # so that they can be written to outside of it, too
                self.normal, self.doubled, self.gated, self.mixed = (
                    torch.zeros(side * side, channels * factor) for factor in (1, 2, 1, 1)
                )
            self.channels = channels
        return self


_scratch = _Scratch()


def _side(channels: int) -> int:
    return max(8, math.isqrt(TILE_VALUES // channels))


def _grid(pixels: Tensor, width: int) -> Floats:
    """Returns pixels (N, C) as an array (N / width, width, C) of the same memory."""
    return pixels.view(-1, width, pixels.shape[1]).numpy()


def _parts(length: int, side: int) -> list[slice]:
    """Returns slices of nearly equal length, at most `side`, that cover a length once."""
    count = -(-length // side)
    ends = [length * index // count for index in range(count + 1)]
    return [slice(first, end) for first, end in pairwise(ends)]


# ---------------------------------------------------------------- steps

_fast: dict[str, Any] = {
    "nogil": True,
    "fastmath": {"contract", "reassoc", "nsz"},  # NaN and infinity stay what they are
    "error_model": "numpy",
    "cache": True,
}


@njit(**_fast)
def _normalize(features, left, out):  # type: ignore[no-untyped-def]
    """Gives each pixel of features (h, w, C) mean 0 and variance 1, and writes it to `out`.

    The first column goes to the column `left`. The rest of `out` is left as it is.
    """
    rows, columns, channels = features.shape
    share = np.float32(1 / channels)
    for row in range(rows):
        for column in range(columns):
            x, y = features[row, column], out[row, left + column]
            total, power = np.float32(0), np.float32(0)
            for c in range(channels):
                total += x[c]
            mean = total * share
            for c in range(channels):
                power += (x[c] - mean) * (x[c] - mean)
            factor = np.float32(1) / np.sqrt(power * share + np.float32(EPSILON))
            for c in range(channels):
                y[c] = (x[c] - mean) * factor


@njit(**_fast)
def _clear(grid, top, bottom, left, right):  # type: ignore[no-untyped-def]
    """Sets the chosen borders of a grid to 0: what lies beyond the image."""
    if top:
        grid[0] = 0
    if bottom:
        grid[-1] = 0
    if left:
        grid[:, 0] = 0
    if right:
        grid[:, -1] = 0


@njit(**_fast)
def _convolve_and_gate(grid, taps, bias, out):  # type: ignore[no-untyped-def]
    """Applies a depthwise 3x3 convolution to (h + 2, w + 2, 2C), and multiplies both halves.

    `out` is (h * w, C). The pixels of a row lie side by side, so that one loop takes several.
    """
    height, width, doubled = grid.shape
    channels, columns = doubled // 2, width - 2
    sums = np.empty(TOGETHER * doubled, np.float32)
    for row in range(height - 2):
        for first in range(0, columns, TOGETHER):
            pixels = min(TOGETHER, columns - first)
            count, start = pixels * doubled, first * doubled
            for c in range(count):
                sums[c] = bias[c]
            for i in range(3):
                line = grid[row + i].reshape(width * doubled)
                x0 = line[start : start + count]
                x1 = line[start + doubled : start + doubled + count]
                x2 = line[start + 2 * doubled : start + 2 * doubled + count]
                w0, w1, w2 = taps[3 * i], taps[3 * i + 1], taps[3 * i + 2]
                for c in range(count):
                    sums[c] += w0[c] * x0[c] + w1[c] * x1[c] + w2[c] * x2[c]
            for pixel in range(pixels):
                y = out[row * columns + first + pixel]
                u, v = sums[pixel * doubled :], sums[pixel * doubled + channels :]
                for c in range(channels):
                    y[c] = u[c] * v[c]


@njit(**_fast)
def _gate(doubled, out):  # type: ignore[no-untyped-def]
    """Writes the product of the two halves of the channels of (N, 2C) to `out`, (N, C)."""
    pixels, channels = out.shape
    for pixel in range(pixels):
        x, y = doubled[pixel], out[pixel]
        for c in range(channels):
            y[c] = x[c] * x[channels + c]


@njit(**_fast)
def _add_bias(features, bias, out):  # type: ignore[no-untyped-def]
    """Writes features (h, w, C) plus a bias (C,) to `out`."""
    rows, columns, channels = features.shape
    for row in range(rows):
        for column in range(columns):
            x, y = features[row, column], out[row, column]
            for c in range(channels):
                y[c] = x[c] + bias[c]
