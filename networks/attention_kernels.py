"""What a dual attention block does around its two convolutions, as Triton kernels for a GPU.

Features lie with channels innermost, (B, H * W, C). A block written with PyTorch's operations reads or writes such a
map some twenty times around its convolutions; these kernels do it seven times:

    activate   hidden = PReLU(hidden + bias)                             one read, one write
    pool       each pixel's maximum and mean, each channel's sum         one read
    excite     the channels' weights                                     nothing of a map's size
    attend     features + W1 (s * u) + W2 (c * u) + bias, in place of u  two reads, one write

Every program handles pixels of one image, and sums are added up in a fixed order, so that an image gives the same
result in any batch. Sums, attention and products' sums are float32 whatever the features are. With TRITON_INTERPRET=1
the kernels run on a CPU, slowly, for tests.
"""

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_PIXELS = 128  # of a program
_SUMMED = 64  # programs' sums that `excite` adds at a time
_DEPTH = 32  # channels of u that `attend` takes at a time


@triton.jit
def _activate_kernel(values, bias, slopes, count, C: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    channel = at % C
    value = tl.load(values + at, at < count).to(tl.float32) + tl.load(bias + channel)
    value = tl.where(value >= 0, value, value * tl.load(slopes + channel))
    tl.store(values + at, value.to(values.dtype.element_ty), at < count)


@triton.jit
def _add_kernel(values, bias, skip, count, C: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(values + at, at < count).to(tl.float32) + tl.load(bias + at % C)
    value += tl.load(skip + at, at < count).to(tl.float32)
    tl.store(values + at, value.to(values.dtype.element_ty), at < count)


@triton.jit
def _pool_kernel(u, bias, pooled, sums, pixels, C: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    program, image = tl.program_id(0), tl.program_id(1)
    pixel = program * BLOCK + tl.arange(0, BLOCK)
    channel = tl.arange(0, COLUMNS)
    inside = (pixel < pixels)[:, None] & (channel < C)[None, :]
    at = (image.to(tl.int64) * pixels + pixel)[:, None] * C + channel[None, :]
    value = tl.load(u + at, inside, 0.0).to(tl.float32) + tl.load(bias + channel, channel < C, 0.0)[None, :]
    value = tl.where(inside, value, 0.0)
    first = pooled + image.to(tl.int64) * 2 * pixels
    highest = tl.max(tl.where((channel < C)[None, :], value, float("-inf")), axis=1)
    tl.store(first + pixel, highest, pixel < pixels)
    tl.store(first + pixels + pixel, tl.sum(value, axis=1) / C, pixel < pixels)
    row = image * tl.num_programs(0) + program
    tl.store(sums + row * C + channel, tl.sum(value, axis=0), channel < C)


@triton.jit
def _excite_kernel(  # type: ignore[no-untyped-def]
    sums, squeeze, squeeze_bias, excite, excite_bias, weights, programs, pixels,
    C: tl.constexpr, R: tl.constexpr, COLUMNS: tl.constexpr, INNER: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(0)
    channel, inner, row = tl.arange(0, COLUMNS), tl.arange(0, INNER), tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK, COLUMNS), tl.float32)
    for first in range(0, programs, BLOCK):
        present = (first + row < programs)[:, None] & (channel < C)[None, :]
        total += tl.load(sums + (image * programs + first + row)[:, None] * C + channel[None, :], present, 0.0)
    mean = tl.sum(total, axis=0) / pixels
    present = (inner < R)[:, None] & (channel < C)[None, :]
    matrix = tl.load(squeeze + inner[:, None] * C + channel[None, :], present, 0.0).to(tl.float32)
    squeezed = tl.sum(matrix * mean[None, :], axis=1) + tl.load(squeeze_bias + inner, inner < R, 0.0)
    squeezed = tl.maximum(squeezed, 0.0)
    matrix = tl.load(excite + channel[None, :] * R + inner[:, None], present, 0.0).to(tl.float32)
    excited = tl.sum(matrix * squeezed[:, None], axis=0) + tl.load(excite_bias + channel, channel < C, 0.0)
    tl.store(weights + image * C + channel, tl.sigmoid(excited), channel < C)


@triton.jit
def _attend_kernel(  # type: ignore[no-untyped-def]
    u, features, pooled, kernel, weights, bias, spatial_matrix, channel_matrix, fuse_bias, height, width,
    C: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr, BLOCK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    image, pixels = tl.program_id(1).to(tl.int64), height * width
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    y, x = pixel // width, pixel % width
    where = tl.zeros((BLOCK,), tl.float32)  # the 3x3 convolution of the pooled planes
    for tap in tl.static_range(9):
        row, column = y + tap // 3 - 1, x + tap % 3 - 1
        seen = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        at = pooled + image * 2 * pixels + row * width + column
        where += tl.load(at, seen, 0.0) * tl.load(kernel + tap)
        where += tl.load(at + pixels, seen, 0.0) * tl.load(kernel + 9 + tap)
    where = tl.sigmoid(where)

    output = tl.arange(0, COLUMNS)
    first = (image * pixels + pixel)[:, None] * C
    total = tl.zeros((BLOCK, COLUMNS), tl.float32)
    for start in tl.static_range(0, C, DEPTH):
        channel = start + tl.arange(0, DEPTH)
        inside = (pixel < pixels)[:, None] & (channel < C)[None, :]
        value = tl.load(u + first + channel[None, :], inside, 0.0).to(tl.float32)
        value += tl.load(bias + channel, channel < C, 0.0)[None, :]
        inside = (channel < C)[:, None] & (output < C)[None, :]
        at = channel[:, None] * C + output[None, :]
        dtype = u.dtype.element_ty
        matrix = tl.load(spatial_matrix + at, inside, 0.0)
        total = tl.dot((value * where[:, None]).to(dtype), matrix, total, input_precision=PRECISION)
        matrix = tl.load(channel_matrix + at, inside, 0.0)
        weight = tl.load(weights + image * C + channel, channel < C, 0.0)
        total = tl.dot((value * weight[None, :]).to(dtype), matrix, total, input_precision=PRECISION)
    inside = (pixel < pixels)[:, None] & (output < C)[None, :]
    total += tl.load(fuse_bias + output, output < C, 0.0)[None, :]
    total += tl.load(features + first + output[None, :], inside, 0.0).to(tl.float32)
    tl.store(u + first + output[None, :], total.to(u.dtype.element_ty), inside)


def activate(values: Tensor, bias: Tensor, slopes: Tensor) -> None:
    """values = PReLU(values + bias), in place.

    Args:
        values: (B, C, H, W), channels innermost.
        bias, slopes: (C,) float32.
    """
    grid, block = _pieces(values.numel())
    _activate_kernel[grid](values, bias, slopes, values.numel(), values.shape[1], block)


def add(values: Tensor, bias: Tensor, skip: Tensor) -> None:
    """values += bias + skip, in place; both maps (B, C, H, W), channels innermost; bias (C,) float32."""
    grid, block = _pieces(values.numel())
    _add_kernel[grid](values, bias, skip, values.numel(), values.shape[1], block)


def _pieces(count: int, block: int = 1024) -> tuple[tuple[int], int]:
    return (triton.cdiv(count, block),), block


@dataclass(frozen=True)
class AttentionWeights:
    """What `dual_attention` needs of a block, C channels and R of the bottleneck; float32 but for the two matrices.

    `conv2_bias` (C,); `kernel` (2, 3, 3) of the spatial attention; `squeeze` (R, C), `squeeze_bias` (R,), `excite`
    (C, R), `excite_bias` (C,) of the channel attention; `spatial_matrix` and `channel_matrix` (C, C), input before
    output, in the features' type, and `fuse_bias` (C,) of the 1x1 convolution.
    """

    conv2_bias: Tensor
    kernel: Tensor
    squeeze: Tensor
    squeeze_bias: Tensor
    excite: Tensor
    excite_bias: Tensor
    spatial_matrix: Tensor
    channel_matrix: Tensor
    fuse_bias: Tensor


def dual_attention(u: Tensor, features: Tensor, block: AttentionWeights, precision: str) -> None:
    """u = features + fuse(spatial attention of u, channel attention of u), in place.

    Args:
        u: (B, C, H, W), channels innermost: the second convolution's result without its bias.
        features: (B, C, H, W), channels innermost: what the block began with.
        precision: of products of float32: ieee or tf32.
    """
    batch, channels, height, width = u.shape
    pixels, reduced = height * width, len(block.squeeze_bias)
    columns = triton.next_power_of_2(channels)
    programs = triton.cdiv(pixels, _PIXELS)
    like: dict[str, Any] = {"dtype": torch.float32, "device": u.device}
    pooled, sums = torch.empty(batch, 2, pixels, **like), torch.empty(batch, programs, channels, **like)
    weights = torch.empty(batch, channels, **like)
    grid = (programs, batch)
    _pool_kernel[grid](u, block.conv2_bias, pooled, sums, pixels, channels, columns, _PIXELS)
    _excite_kernel[(batch,)](
        sums, block.squeeze, block.squeeze_bias, block.excite, block.excite_bias, weights, programs, pixels,
        channels, reduced, columns, triton.next_power_of_2(reduced), _SUMMED,
    )  # fmt: skip
    _attend_kernel[grid](
        u, features, pooled, block.kernel, weights, block.conv2_bias, block.spatial_matrix, block.channel_matrix,
        block.fuse_bias, height, width, channels, columns, _DEPTH, _PIXELS, precision,
    )  # fmt: skip
