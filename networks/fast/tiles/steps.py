"""The steps of a gated block beside its matrix products, with Numba, on innermost channels.

Arrays are contiguous, (H, W, C) or (N, C) float32. A window of one is given by its place and its
size, since Numba treats a slice as not contiguous, which is slow.
"""

from typing import Any

import numpy as np
from numba import njit

EPSILON = 1e-6  # of a layer norm

_fast: dict[str, Any] = {
    "nogil": True,
    "fastmath": {"contract", "reassoc", "nsz"},  # NaN and infinity stay what they are
    "error_model": "numpy",
    "cache": True,
}


@njit(**_fast)
def normalize(features, top, left, out, out_top, out_left, height, width):  # type: ignore[no-untyped-def]
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
def normalize_around(image, above, edges, strip, top, left, height, width, out):  # type: ignore[no-untyped-def]
    """Normalizes a tile of an image and the pixels around it, and writes them to (h + 2, w + 2, C).

    What lies beyond the image is left as it is. Neighbours of the tile may have been overwritten:
    the row `above` and the columns at its sides come from copies.
    """
    first, end = max(0, top - 1), min(image.shape[0], top + height + 1)
    row = first - top + 1  # 0, or 1 at the upper border of the image
    if left > 0:
        normalize(edges, first, 2 * strip - 2, out, row, 0, end - first, 1)
    if left + width < image.shape[1]:
        normalize(edges, first, 2 * strip + 1, out, row, width + 1, end - first, 1)
    if top > 0:
        normalize(above, 0, 0, out, 0, 1, 1, width)
    normalize(image, top, left, out, 1, 1, end - top, width)


@njit(**_fast)
def clear(grid, top, left, height, width, image_height, image_width):  # type: ignore[no-untyped-def]
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
def convolve_and_gate(grid, taps, bias, out):  # type: ignore[no-untyped-def]
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
def gate(doubled, out):  # type: ignore[no-untyped-def]
    """Writes the product of the two halves of the channels of (N, 2C) to `out`, (N, C)."""
    pixels, channels = out.shape
    for pixel in range(pixels):
        x, y = doubled[pixel], out[pixel]
        for c in range(channels):
            y[c] = x[c] * x[channels + c]


@njit(**_fast)
def add_bias(features, top, left, bias, out, out_top, out_left, height, width):  # type: ignore[no-untyped-def]
    """Writes a window of features (H, W, C) plus a bias (C,) to a window of `out`."""
    for row in range(height):
        for column in range(width):
            x, y = features[top + row, left + column], out[out_top + row, out_left + column]
            for c in range(bias.shape[0]):
                y[c] = x[c] + bias[c]
