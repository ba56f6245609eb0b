"""What a dual attention block does around its two convolutions, as Triton kernels for a GPU.

Features lie with channels innermost, (B, H * W, C). A block written with PyTorch's operations reads or writes such a
map some twenty times around its convolutions; these kernels do it seven times:

    activate   hidden = PReLU(hidden + bias)                             one read, one write
    pool       each pixel's maximum and mean, each channel's sum         one read
    locate     s, where to look                                          planes
    excite     c, what to look at, and W2 diag(c)                        nothing of a map's size
    attend     features + s * (W1 u) + W2 diag(c) u + bias, into u       two reads, one write

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

_PIXELS = 128  # that a program takes at a time
_PROGRAMS = 512  # of an image, at most, that add channels up
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
def _pool_kernel(  # type: ignore[no-untyped-def]
    u, bias, pooled, sums, pixels, tiles, C: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr
):
    program, image = tl.program_id(0), tl.program_id(1).to(tl.int64)
    channel = tl.arange(0, COLUMNS)
    shift = tl.load(bias + channel, channel < C, 0.0)[None, :]
    planes = pooled + image * 2 * pixels
    total = tl.zeros((BLOCK, COLUMNS), tl.float32)
    for tile in range(tiles):
        pixel = (program * tiles + tile) * BLOCK + tl.arange(0, BLOCK)
        inside = (pixel < pixels)[:, None] & (channel < C)[None, :]
        at = (image * pixels + pixel)[:, None] * C + channel[None, :]
        value = tl.load(u + at, inside, 0.0).to(tl.float32) + shift
        highest = tl.max(tl.where((channel < C)[None, :], value, float("-inf")), axis=1)
        value = tl.where(inside, value, 0.0)
        tl.store(planes + pixel, highest, pixel < pixels)
        tl.store(planes + pixels + pixel, tl.sum(value, axis=1) / C, pixel < pixels)
        total += value
    row = image * tl.num_programs(0) + program
    tl.store(sums + row * C + channel, tl.sum(total, axis=0), channel < C)


@triton.jit
def _locate_kernel(pooled, kernel, where, height, width, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    image, pixels = tl.program_id(1).to(tl.int64), height * width
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    y, x = pixel // width, pixel % width
    total = tl.zeros((BLOCK,), tl.float32)
    for tap in tl.static_range(9):
        row, column = y + tap // 3 - 1, x + tap % 3 - 1
        seen = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        at = pooled + image * 2 * pixels + row * width + column
        total += tl.load(at, seen, 0.0) * tl.load(kernel + tap)
        total += tl.load(at + pixels, seen, 0.0) * tl.load(kernel + 9 + tap)
    tl.store(where + image * pixels + pixel, tl.sigmoid(total), pixel < pixels)


@triton.jit
def _excite_kernel(  # type: ignore[no-untyped-def]
    sums, squeeze, squeeze_bias, excite, excite_bias, channel_matrix, bias, fuse_bias, matrix, offset, programs, pixels,
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
    squeezing = tl.load(squeeze + inner[:, None] * C + channel[None, :], present, 0.0)
    squeezed = tl.sum(squeezing * mean[None, :], axis=1) + tl.load(squeeze_bias + inner, inner < R, 0.0)
    squeezed = tl.maximum(squeezed, 0.0)
    exciting = tl.load(excite + channel[None, :] * R + inner[:, None], present, 0.0)
    excited = tl.sum(exciting * squeezed[:, None], axis=0) + tl.load(excite_bias + channel, channel < C, 0.0)
    present = (channel < C)[:, None] & (channel < C)[None, :]
    at = channel[:, None] * C + channel[None, :]
    scaled = tl.load(channel_matrix + at, present, 0.0) * tl.sigmoid(excited)[:, None]
    tl.store(matrix + image * C * C + at, scaled.to(matrix.dtype.element_ty), present)
    shift = tl.sum(scaled * tl.load(bias + channel, channel < C, 0.0)[:, None], axis=0)
    tl.store(offset + image * C + channel, shift + tl.load(fuse_bias + channel, channel < C, 0.0), channel < C)


@triton.jit
def _attend_kernel(  # type: ignore[no-untyped-def]
    u, features, where, spatial_matrix, spatial_offset, matrix, offset, pixels,
    C: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr, BLOCK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    output = tl.arange(0, COLUMNS)
    first = (image * pixels + pixel)[:, None] * C
    spatial, channelwise = tl.zeros((BLOCK, COLUMNS), tl.float32), tl.zeros((BLOCK, COLUMNS), tl.float32)
    for start in tl.static_range(0, C, DEPTH):
        channel = start + tl.arange(0, DEPTH)
        inside = (pixel < pixels)[:, None] & (channel < C)[None, :]
        value = tl.load(u + first + channel[None, :], inside, 0.0)
        inside = (channel < C)[:, None] & (output < C)[None, :]
        at = channel[:, None] * C + output[None, :]
        weights = tl.load(spatial_matrix + at, inside, 0.0)
        spatial = tl.dot(value, weights, spatial, input_precision=PRECISION)
        weights = tl.load(matrix + image * C * C + at, inside, 0.0)
        channelwise = tl.dot(value, weights, channelwise, input_precision=PRECISION)
    spatial += tl.load(spatial_offset + output, output < C, 0.0)[None, :]
    total = channelwise + tl.load(offset + image * C + output, output < C, 0.0)[None, :]
    total += spatial * tl.load(where + image * pixels + pixel, pixel < pixels, 0.0)[:, None]
    inside = (pixel < pixels)[:, None] & (output < C)[None, :]
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
    """What `dual_attention` needs of a block, C channels and R of the bottleneck; float32 but for `spatial_matrix`.

    `conv2_bias` (C,); `kernel` (2, 3, 3) of the spatial attention; `squeeze` (R, C), `squeeze_bias` (R,), `excite`
    (C, R), `excite_bias` (C,) of the channel attention. The two halves of the 1x1 convolution (C, C), input before
    output: `spatial_matrix`, in the features' type, and `channel_matrix`; its bias `fuse_bias` (C,). `spatial_offset`
    (C,) is what `conv2_bias` becomes behind `spatial_matrix`.
    """

    conv2_bias: Tensor
    kernel: Tensor
    squeeze: Tensor
    squeeze_bias: Tensor
    excite: Tensor
    excite_bias: Tensor
    spatial_matrix: Tensor
    spatial_offset: Tensor
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
    columns, inner = triton.next_power_of_2(channels), triton.next_power_of_2(reduced)
    tiles = triton.cdiv(pixels, _PIXELS * _PROGRAMS)
    programs = triton.cdiv(pixels, _PIXELS * tiles)
    like: dict[str, Any] = {"dtype": torch.float32, "device": u.device}
    pooled, sums = torch.empty(batch, 2, pixels, **like), torch.empty(batch, programs, channels, **like)
    where, offset = torch.empty(batch, pixels, **like), torch.empty(batch, channels, **like)
    matrix = torch.empty(batch, channels, channels, dtype=u.dtype, device=u.device)
    _pool_kernel[(programs, batch)](
        u, block.conv2_bias, pooled, sums, pixels, tiles, channels, columns, _PIXELS
    )
    _locate_kernel[(triton.cdiv(pixels, 256), batch)](pooled, block.kernel, where, height, width, 256)
    _excite_kernel[(batch,)](
        sums, block.squeeze, block.squeeze_bias, block.excite, block.excite_bias, block.channel_matrix,
        block.conv2_bias, block.fuse_bias, matrix, offset, programs, pixels, channels, reduced, columns, inner, _SUMMED,
        num_warps=8,
    )  # fmt: skip
    narrow = columns > 64 or (u.dtype == torch.float32 and precision == "ieee")  # else registers run out
    count, warps = (64, 8) if narrow else (128, 4)
    _attend_kernel[(triton.cdiv(pixels, count), batch)](
        u, features, where, block.spatial_matrix, block.spatial_offset, matrix, offset, pixels,
        channels, columns, _DEPTH, count, precision, num_warps=warps,
    )  # fmt: skip
