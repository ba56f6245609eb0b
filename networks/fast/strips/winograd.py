"""3x3 convolutions on a CPU with a quarter of the multiplications: Winograd's F(4x4, 3x3).

A tile of 4x4 results needs 6x6 values. A convolution is a product of polynomials, and a product of
polynomials follows from their values at a few points, here six in each direction. At each of these
36 points it is one product of matrices. So a tile takes 36 multiplications for each pair of
channels, where a direct convolution takes 16 * 9 = 144. Tiles are processed in blocks that stay in
the second-level cache from the values to the results.

The points are 0, +-sqrt(1/2), +-sqrt(2) and infinity. They give a third of the rounding errors of
the usual 0, +-1, +-2 and infinity, which is little more than a direct convolution's. Source: Lavin,
Gray, Fast algorithms for convolutional neural networks (2015). On the choice of points: Barabasz,
Anderson, Soodhalter, Gregg, Error analysis and improving the accuracy of Winograd convolution for
deep neural networks (2018).
"""

import threading
from collections.abc import Callable
from math import ceil, sqrt
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

TILE = 4  # rows and columns of results
BLOCK = 52  # tiles that stay in the cache; with a power of two, cache lines would evict each other
Floats = NDArray[np.float32]

_A, _B = sqrt(1 / 2), sqrt(2)  # the points other than 0 and infinity, each with both signs
_A1, _B1 = np.float32(_A), np.float32(_B)
_A2, _B2, _SUM = np.float32(_A**2), np.float32(_B**2), np.float32(_A**2 + _B**2)
_A3, _B3 = np.float32(_A**3), np.float32(_B**3)
# The divisors of the taps' values at the points +-A and +-B. Nothing else needs a division.
_NORM_A, _NORM_B = np.float32(1 / (2 * _A**2 * (_A**2 - _B**2))), np.float32(1 / (2 * _B**2 * (_B**2 - _A**2)))


def convolution(weight: Tensor, bias: Tensor, slopes: Tensor | None = None) -> Callable[..., Tensor]:
    """Prepares a 3x3 convolution, followed by a PReLU if there are slopes, for many calls.

    Args:
        weight: (O, I, 3, 3) float32.
        bias, slopes: (O,).

    Returns:
        A function of rows (1, I, n + 2, W), float32 with channels innermost, which come with a row
        above and one below; columns are padded with zeros. It returns (1, O, n, W), and writes the
        values to its second argument `out`, (n * W, O), if that is given.
    """
    outputs, inputs = weight.shape[:2]
    matrices = torch.empty(36, inputs, outputs)
    _kernel_at_points(weight.detach().permute(2, 3, 1, 0).contiguous().numpy(), matrices.numpy())
    shift = bias.detach().numpy()
    slope = np.ones_like(shift) if slopes is None else slopes.detach().numpy()

    def convolve(rows: Tensor, out: Tensor | None = None) -> Tensor:
        values = rows[0].permute(1, 2, 0).contiguous().numpy()  # (n + 2, W, I)
        height, width = values.shape[0] - 2, values.shape[1]
        result = torch.empty(height * width, outputs) if out is None else out
        across = ceil(width / TILE)
        count = across * ceil(height / TILE)
        target = result.numpy().reshape(height, width, outputs)

        _scratch.make(inputs, outputs)
        points, products, between = _scratch.points, _scratch.products, _scratch.between
        at_points, multiplied = points.numpy(), products.numpy()

        def to_results_and_points(done: range, coming: range) -> None:
            _to_results_and_points(
                (multiplied, done.start, len(done), across, shift, slope, between, target),
                (values, coming.start, len(coming), across, at_points, between),
            )

        done = range(0)
        for first in range(0, count, BLOCK):
            coming = range(first, min(first + BLOCK, count))
            to_results_and_points(done, coming)
            torch.bmm(points[:, : len(coming)], matrices, out=products[:, : len(coming)])
            done = coming
        to_results_and_points(done, range(0))
        return result.view(1, height, width, outputs).permute(0, 3, 1, 2)

    return convolve


class _Scratch(threading.local):
    """A thread's memory for a block of tiles.

    It holds values at the points, products, and either of them after one direction.
    """

    size = (0, 0)
    points: Tensor
    products: Tensor
    between: Floats

    def make(self, inputs: int, outputs: int) -> None:
        if self.size != (inputs, outputs):
            with torch.inference_mode(False):  # so that they can be written to outside of it, too
                self.points, self.products = (torch.zeros(36, BLOCK, count) for count in (inputs, outputs))
            self.between = np.zeros((6, 6, max(inputs, outputs)), np.float32)
            self.size = (inputs, outputs)


_scratch = _Scratch()


# ---------------------------------------------------------------- transforms

_fast: dict[str, Any] = {
    "nogil": True,
    "fastmath": {"contract", "reassoc", "nsz"},  # NaN and infinity stay what they are
    "error_model": "numpy",
    "cache": True,
}


@njit(inline="always", **_fast)
def _taps_at_points(k0, k1, k2, v0, v1, v2, v3, v4, v5, channels):  # type: ignore[no-untyped-def]
    """Evaluates polynomials of three taps at six points, for every channel."""
    for c in range(channels):
        even, odd = k0[c] + _A2 * k2[c], _A1 * k1[c]
        v1[c] = _NORM_A * (even + odd)
        v2[c] = _NORM_A * (even - odd)
        even, odd = k0[c] + _B2 * k2[c], _B1 * k1[c]
        v3[c] = _NORM_B * (even + odd)
        v4[c] = _NORM_B * (even - odd)
        v0[c] = k0[c]
        v5[c] = k2[c]


@njit(**_fast)
def _kernel_at_points(kernel, matrices):  # type: ignore[no-untyped-def]
    """Turns taps (3, 3, I, O) into values at the points (36, I, O)."""
    _, _, inputs, outputs = kernel.shape
    rows = np.empty((6, 3, outputs), np.float32)
    for i in range(inputs):
        for x in range(3):
            k0, k1, k2 = kernel[0, x, i], kernel[1, x, i], kernel[2, x, i]
            _taps_at_points(k0, k1, k2, rows[0, x], rows[1, x], rows[2, x], rows[3, x], rows[4, x], rows[5, x], outputs)
        for y in range(6):
            _taps_at_points(
                rows[y, 0], rows[y, 1], rows[y, 2],
                matrices[6 * y, i], matrices[6 * y + 1, i], matrices[6 * y + 2, i],
                matrices[6 * y + 3, i], matrices[6 * y + 4, i], matrices[6 * y + 5, i], outputs,
            )  # fmt: skip


@njit(inline="always", **_fast)
def _evaluate(d0, d1, d2, d3, d4, d5, v0, v1, v2, v3, v4, v5, channels):  # type: ignore[no-untyped-def]
    """Evaluates six values at six points, for every channel."""
    for c in range(channels):
        x0, x1, x2, x3, x4, x5 = d0[c], d1[c], d2[c], d3[c], d4[c], d5[c]
        even_a, odd_a = x4 - _B2 * x2, _A1 * (x3 - _B2 * x1)
        even_b, odd_b = x4 - _A2 * x2, _B1 * (x3 - _A2 * x1)
        v0[c] = x0 - _SUM * x2 + x4
        v1[c] = even_a + odd_a
        v2[c] = even_a - odd_a
        v3[c] = even_b + odd_b
        v4[c] = even_b - odd_b
        v5[c] = x1 - _SUM * x3 + x5


# A loop over this array makes LLVM optimise each row by itself. In a loop over range(6) it looks at
# all rows at once, sees results interleaved, and processes channels one by one, which is five times
# slower.
_ROWS = np.arange(6)


@njit(**_fast)
def _to_points(values, first, count, across, points, between):  # type: ignore[no-untyped-def]
    """Turns tiles of values (n + 2, W, C) into values at the points (36, tiles, C)."""
    rows, columns, channels = values.shape
    zero = np.zeros(channels, np.float32)
    for tile in range(count):
        top = 4 * ((first + tile) // across)
        left = 4 * ((first + tile) % across) - 1
        for j in range(6):
            x = left + j
            inside = 0 <= x < columns
            d0 = values[top, x] if inside else zero
            d1 = values[top + 1, x] if inside else zero
            d2 = values[top + 2, x] if inside else zero
            d3 = values[top + 3, x] if inside and top + 3 < rows else zero
            d4 = values[top + 4, x] if inside and top + 4 < rows else zero
            d5 = values[top + 5, x] if inside and top + 5 < rows else zero
            _evaluate(
                d0, d1, d2, d3, d4, d5,
                between[0, j], between[1, j], between[2, j], between[3, j], between[4, j], between[5, j], channels,
            )  # fmt: skip
        for i in _ROWS:
            _evaluate(
                between[i, 0], between[i, 1], between[i, 2], between[i, 3], between[i, 4], between[i, 5],
                points[6 * i, tile], points[6 * i + 1, tile], points[6 * i + 2, tile],
                points[6 * i + 3, tile], points[6 * i + 4, tile], points[6 * i + 5, tile], channels,
            )  # fmt: skip


@njit(**_fast)
def _to_results(products, first, count, across, shift, slope, between, target):  # type: ignore[no-untyped-def]
    """Turns products (36, tiles, C) into tiles of the results (n, W, C), with bias and PReLU."""
    rows, columns, channels = target.shape
    unseen = np.empty(channels, np.float32)
    for tile in range(count):
        top, left = 4 * ((first + tile) // across), 4 * ((first + tile) % across)
        for j in range(6):
            m0, m1, m2 = products[j, tile], products[6 + j, tile], products[12 + j, tile]
            m3, m4, m5 = products[18 + j, tile], products[24 + j, tile], products[30 + j, tile]
            y0, y1, y2, y3 = between[0, j], between[1, j], between[2, j], between[3, j]
            for c in range(channels):
                even_a, odd_a = m1[c] + m2[c], m1[c] - m2[c]
                even_b, odd_b = m3[c] + m4[c], m3[c] - m4[c]
                y0[c] = m0[c] + even_a + even_b
                y1[c] = _A1 * odd_a + _B1 * odd_b
                y2[c] = _A2 * even_a + _B2 * even_b
                y3[c] = _A3 * odd_a + _B3 * odd_b + m5[c]
        for i in range(min(4, rows - top)):
            m0, m1, m2 = between[i, 0], between[i, 1], between[i, 2]
            m3, m4, m5 = between[i, 3], between[i, 4], between[i, 5]
            y0 = target[top + i, left]
            y1 = target[top + i, left + 1] if left + 1 < columns else unseen
            y2 = target[top + i, left + 2] if left + 2 < columns else unseen
            y3 = target[top + i, left + 3] if left + 3 < columns else unseen
            for c in range(channels):
                even_a, odd_a = m1[c] + m2[c], m1[c] - m2[c]
                even_b, odd_b = m3[c] + m4[c], m3[c] - m4[c]
                r0 = m0[c] + even_a + even_b + shift[c]
                r1 = _A1 * odd_a + _B1 * odd_b + shift[c]
                r2 = _A2 * even_a + _B2 * even_b + shift[c]
                r3 = _A3 * odd_a + _B3 * odd_b + m5[c] + shift[c]
                y0[c] = r0 if r0 >= 0 else r0 * slope[c]
                y1[c] = r1 if r1 >= 0 else r1 * slope[c]
                y2[c] = r2 if r2 >= 0 else r2 * slope[c]
                y3[c] = r3 if r3 >= 0 else r3 * slope[c]


@njit(**_fast)
def _to_results_and_points(done, coming):  # type: ignore[no-untyped-def]
    """Runs both on a block of tiles each.

    One call is faster than two: a thread that returns to Python waits for the others.
    """
    _to_results(*done)
    _to_points(*coming)
