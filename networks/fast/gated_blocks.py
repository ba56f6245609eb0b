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
import threading
from collections.abc import Callable
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
        here = _scratch.of(height, width, image.shape[2])
        place = top, left, height, width

        _normalize_around(image, above, self.edges, number, *place, here.around)
        torch.addmm(weights.widen[0], here.normal_around, weights.widen[1], out=here.doubled_around)
        _clear(here.grid, *place, *image.shape[:2])
        _convolve_and_gate(here.grid, weights.taps, weights.taps_bias, here.gates)
        _add_bias(image, top, left, weights.project[1], here.mixed_grid, 0, 0, height, width)
        here.mixed.addmm_(here.gated, weights.project[0])

        _normalize(here.mixed_grid, 0, 0, here.normal_grid, 0, 0, height, width)
        torch.addmm(weights.second_widen[0], here.normal, weights.second_widen[1], out=here.doubled)
        _gate(here.doubles, here.gates)
        here.mixed.addmm_(here.gated, weights.second_project[0])
        _add_bias(here.mixed_grid, 0, 0, weights.second_project[1], image, top, left, height, width)


class _Scratch(threading.local):
    """A thread's memory for a tile, and the views of it for tiles of some sizes."""

    channels = 0
    memory: tuple[Tensor, Tensor, Tensor, Tensor]
    views: "dict[tuple[int, int], _Views]"

    def of(self, height: int, width: int, channels: int) -> "_Views":
        if self.channels != channels:
            side = _side(channels) + 2
            with torch.inference_mode(False):  # so that they can be written to outside of it, too
                normal, doubled, gated, mixed = (torch.zeros(side * side, channels * factor) for factor in (1, 2, 1, 1))
            self.memory, self.channels, self.views = (normal, doubled, gated, mixed), channels, {}
        if (height, width) not in self.views:
            with torch.inference_mode(False):
                self.views[height, width] = _Views(*self.memory, height, width)
        return self.views[height, width]


class _Views:
    """A thread's memory as the steps of a tile (h, w) take it; tensors and arrays share it.

    They are made once for each size: with several threads each small step of Python costs a wait.
    """

    def __init__(self, normal: Tensor, doubled: Tensor, gated: Tensor, mixed: Tensor, height: int, width: int) -> None:
        around, count = (height + 2) * (width + 2), height * width
        self.normal_around, self.doubled_around = normal[:around], doubled[:around]
        self.around, self.grid = _grid(self.normal_around, width + 2), _grid(self.doubled_around, width + 2)
        self.normal, self.doubled = normal[:count], doubled[:count]
        self.gated, self.mixed = gated[:count], mixed[:count]
        self.normal_grid, self.mixed_grid = _grid(self.normal, width), _grid(self.mixed, width)
        self.doubles, self.gates = self.doubled.numpy(), self.gated.numpy()


_scratch = _Scratch()


def _side(channels: int) -> int:
    return max(8, math.isqrt(TILE_VALUES // channels))


def _grid(pixels: Tensor, width: int) -> Floats:
    """Returns pixels (N, C) as an array (N / width, width, C) of the same memory."""
    return pixels.view(-1, width, pixels.shape[1]).numpy()


def _parts(length: int, side: int, even: bool = False) -> list[slice]:
    """Returns slices of nearly equal length, at most `side`, that cover a length once.

    `even` makes their number even, but for a single one, so that two threads have as many each.
    """
    count = -(-length // side)
    count += count % 2 if even and count > 1 else 0
    ends = [length * index // count for index in range(count + 1)]
    return [slice(first, end) for first, end in pairwise(ends)]


# ---------------------------------------------------------------- steps

_fast: dict[str, Any] = {
    "nogil": True,
    "fastmath": {"contract", "reassoc", "nsz"},  # NaN and infinity stay what they are
    "error_model": "numpy",
    "cache": True,
}


# Windows of arrays are given by their place, since Numba takes a slice's values for scattered ones


@njit(**_fast)
def _normalize(features, top, left, out, out_top, out_left, height, width):  # type: ignore[no-untyped-def]
    """Gives each pixel of a window of (H, W, C) mean 0 and variance 1, and writes it to `out`."""
    channels = features.shape[2]
    share = np.float32(1 / channels)
    for row in range(height):
        for column in range(width):
            x, y = features[top + row, left + column], out[out_top + row, out_left + column]
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
def _normalize_around(image, above, edges, strip, top, left, height, width, out):  # type: ignore[no-untyped-def]
    """Normalizes a tile of an image and the pixels around it, and writes them to (h + 2, w + 2, C).

    What lies beyond the image is left as it is. Neighbours of the tile may have been overwritten:
    the row `above` and the columns at its sides come from copies.
    """
    first, end = max(0, top - 1), min(image.shape[0], top + height + 1)
    row = first - top + 1  # 0, or 1 at the upper border of the image
    if left > 0:
        _normalize(edges, first, 2 * strip - 2, out, row, 0, end - first, 1)
    if left + width < image.shape[1]:
        _normalize(edges, first, 2 * strip + 1, out, row, width + 1, end - first, 1)
    if top > 0:
        _normalize(above, 0, 0, out, 0, 1, 1, width)
    _normalize(image, top, left, out, 1, 1, end - top, width)


@njit(**_fast)
def _clear(grid, top, left, height, width, image_height, image_width):  # type: ignore[no-untyped-def]
    """Sets to 0 what lies beyond the image, of the grid (h + 2, w + 2, C) around a window."""
    if top == 0:
        grid[0] = 0
    if top + height == image_height:
        grid[-1] = 0
    if left == 0:
        grid[:, 0] = 0
    if left + width == image_width:
        grid[:, -1] = 0


@njit(**_fast)
def _convolve_and_gate(grid, taps, bias, out):  # type: ignore[no-untyped-def]
    """Applies a depthwise 3x3 convolution to (h + 2, w + 2, 2C), and multiplies both halves.

    `out` is (h * w, C). Four pixels of a row at a time, so that each value is read for three of
    them, and each tap for all. The last four may overlap with those before.
    """
    height, width, doubled = grid.shape
    channels, columns = doubled // 2, width - 2
    sums = np.empty(4 * doubled, np.float32)
    s0, s1, s2, s3 = sums[:doubled], sums[doubled : 2 * doubled], sums[2 * doubled : 3 * doubled], sums[3 * doubled :]
    t0, t1, t2, t3, t4, t5, t6, t7, t8 = taps[0], taps[1], taps[2], taps[3], taps[4], taps[5], taps[6], taps[7], taps[8]
    for row in range(height - 2):
        x, y, z = grid[row], grid[row + 1], grid[row + 2]
        for start in range(0, columns, 4):
            first = max(0, min(start, columns - 4))
            pixels = min(4, columns)
            if pixels == 4:
                x0, x1, x2, x3, x4, x5 = x[first], x[first + 1], x[first + 2], x[first + 3], x[first + 4], x[first + 5]
                y0, y1, y2, y3, y4, y5 = y[first], y[first + 1], y[first + 2], y[first + 3], y[first + 4], y[first + 5]
                z0, z1, z2, z3, z4, z5 = z[first], z[first + 1], z[first + 2], z[first + 3], z[first + 4], z[first + 5]
                for c in range(doubled):
                    k, u0, u1, u2, u3, u4, u5 = bias[c], x0[c], x1[c], x2[c], x3[c], x4[c], x5[c]
                    v0, v1, v2, v3, v4, v5 = y0[c], y1[c], y2[c], y3[c], y4[c], y5[c]
                    w0, w1, w2, w3, w4, w5 = z0[c], z1[c], z2[c], z3[c], z4[c], z5[c]
                    a0, a1, a2, b0, b1, b2, c0, c1, c2 = t0[c], t1[c], t2[c], t3[c], t4[c], t5[c], t6[c], t7[c], t8[c]
                    s0[c] = k + a0 * u0 + a1 * u1 + a2 * u2 + b0 * v0 + b1 * v1 + b2 * v2 + c0 * w0 + c1 * w1 + c2 * w2
                    s1[c] = k + a0 * u1 + a1 * u2 + a2 * u3 + b0 * v1 + b1 * v2 + b2 * v3 + c0 * w1 + c1 * w2 + c2 * w3
                    s2[c] = k + a0 * u2 + a1 * u3 + a2 * u4 + b0 * v2 + b1 * v3 + b2 * v4 + c0 * w2 + c1 * w3 + c2 * w4
                    s3[c] = k + a0 * u3 + a1 * u4 + a2 * u5 + b0 * v3 + b1 * v4 + b2 * v5 + c0 * w3 + c1 * w4 + c2 * w5
            else:  # a tile of less than four columns
                for pixel in range(pixels):
                    for c in range(doubled):
                        total = bias[c]
                        for i in range(3):
                            for j in range(3):
                                total += taps[3 * i + j, c] * grid[row + i, pixel + j, c]
                        sums[pixel * doubled + c] = total
            for pixel in range(pixels):
                result = out[row * columns + first + pixel]
                left, right = sums[pixel * doubled :], sums[pixel * doubled + channels :]
                for c in range(channels):
                    result[c] = left[c] * right[c]


@njit(**_fast)
def _gate(doubled, out):  # type: ignore[no-untyped-def]
    """Writes the product of the two halves of the channels of (N, 2C) to `out`, (N, C)."""
    pixels, channels = out.shape
    for pixel in range(pixels):
        x, y = doubled[pixel], out[pixel]
        for c in range(channels):
            y[c] = x[c] * x[channels + c]


@njit(**_fast)
def _add_bias(features, top, left, bias, out, out_top, out_left, height, width):  # type: ignore[no-untyped-def]
    """Writes a window of features (H, W, C) plus a bias (C,) to a window of `out`."""
    for row in range(height):
        for column in range(width):
            x, y = features[top + row, left + column], out[out_top + row, out_left + column]
            for c in range(bias.shape[0]):
                y[c] = x[c] + bias[c]
