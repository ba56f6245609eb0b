"""A dual attention block on a GPU, as Triton kernels.

Features are stored with channels innermost, (B, H * W, C). A block written with PyTorch's
operations reads or writes such a map about twenty-five times. With these kernels it does so eleven
times, and eight times where the convolutions are kernels as well:

    activate   hidden = PReLU(hidden + bias)                             one read, one write
    pool       each pixel's maximum and mean, each channel's sum         one read
    locate     s, where to look                                          planes
    excite     c, what to look at, and W2 diag(c)                        nothing of a map's size
    attend     features + s * (W1 u) + W2 diag(c) u + bias, into u       two reads, one write

For up to 64 channels in half precision the 3x3 convolutions are kernels, too, which activate or
pool their result before they store it. For small images they are faster than cuDNN's. All other
convolutions are cuDNN's.

Every program handles pixels of one image, and sums are added up in a fixed order, so that an image
gives the same result in any batch. Sums and attention are float32 whatever type the features have.
With TRITON_INTERPRET=1 the kernels run on a CPU, slowly, for tests.
"""

# ruff: noqa: N803  (constants of kernels are written as in Triton's documentation)

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_PIXELS = 128  # that a program of `pool` handles at a time
_PROGRAMS = 1024  # at most so many programs of an image sum up its channels
_SUMMED = 256  # sums of programs that `excite` adds at a time
_CONVOLVE = (128, 4, 3)  # pixels and warps of a convolution's program, and taps that it loads ahead
# For `attend`, by the type of its products and whether there are more than 64 channels: pixels and
# warps of a program, and channels of u that it handles at a time. These were the fastest on an
# H200.
_ATTEND = {
    ("half", False): (64, 8, 64),
    ("half", True): (64, 4, 128),
    ("tf32", False): (128, 8, 64),
    ("tf32", True): (32, 4, 32),
    ("ieee", False): (64, 8, 32),
    ("ieee", True): (64, 8, 32),
}


@triton.jit
def _activate_kernel(  # type: ignore[no-untyped-def]
    values, bias, slopes, count, C: tl.constexpr, BLOCK: tl.constexpr
):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    channel = at % C
    value = tl.load(values + at, at < count).to(tl.float32) + tl.load(bias + channel)
    value = tl.where(value >= 0, value, value * tl.load(slopes + channel))
    tl.store(values + at, value.to(values.dtype.element_ty), at < count)


@triton.jit
def _add_kernel(  # type: ignore[no-untyped-def]
    values, bias, skip, count, C: tl.constexpr, BLOCK: tl.constexpr
):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(values + at, at < count).to(tl.float32) + tl.load(bias + at % C)
    value += tl.load(skip + at, at < count).to(tl.float32)
    tl.store(values + at, value.to(values.dtype.element_ty), at < count)


@triton.jit
def _convolve_kernel(  # type: ignore[no-untyped-def]
    features, weight, bias, slopes, result, pooled, sums, height, width,
    C: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr, STAGES: tl.constexpr, POOL: tl.constexpr,
):  # fmt: skip
    program, image, pixels = tl.program_id(0), tl.program_id(1).to(tl.int64), height * width
    pixel = program * BLOCK + tl.arange(0, BLOCK)
    y, x = pixel // width, pixel % width
    channel = tl.arange(0, COLUMNS)
    total = tl.zeros((BLOCK, COLUMNS), tl.float32)
    for tap in tl.range(0, 9, num_stages=STAGES):
        row, column = y + tap // 3 - 1, x + tap % 3 - 1
        seen = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        at = (image * pixels + row * width + column)[:, None] * C + channel[None, :]
        value = tl.load(features + at, seen[:, None] & (channel < C)[None, :], 0.0)
        at = (tap * C + channel)[:, None] * C + channel[None, :]
        matrix = tl.load(weight + at, (channel < C)[:, None] & (channel < C)[None, :], 0.0)
        total = tl.dot(value, matrix, total)
    inside = (pixel < pixels)[:, None] & (channel < C)[None, :]
    at = (image * pixels + pixel)[:, None] * C + channel[None, :]
    shifted = total + tl.load(bias + channel, channel < C, 0.0)[None, :]
    if POOL:
        tl.store(result + at, total.to(result.dtype.element_ty), inside)
        planes = pooled + image * 2 * pixels
        highest = tl.max(tl.where((channel < C)[None, :], shifted, float("-inf")), axis=1)
        shifted = tl.where(inside, shifted, 0.0)
        tl.store(planes + pixel, highest, pixel < pixels)
        tl.store(planes + pixels + pixel, tl.sum(shifted, axis=1) / C, pixel < pixels)
        row = image * tl.num_programs(0) + program
        tl.store(sums + row * C + channel, tl.sum(shifted, axis=0), channel < C)
    else:
        shifted = tl.where(shifted >= 0, shifted, shifted * tl.load(slopes + channel, channel < C, 0.0)[None, :])
        tl.store(result + at, shifted.to(result.dtype.element_ty), inside)


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
def _fold_kernel(  # type: ignore[no-untyped-def]
    sums, folded, programs, C: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr
):
    image, channel = tl.program_id(1).to(tl.int64), tl.arange(0, COLUMNS)
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    present = (row < programs)[:, None] & (channel < C)[None, :]
    value = tl.load(sums + (image * programs + row)[:, None] * C + channel[None, :], present, 0.0)
    at = image * tl.num_programs(0) + tl.program_id(0)
    tl.store(folded + at * C + channel, tl.sum(value, axis=0), channel < C)


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
    """Computes values = PReLU(values + bias), in place.

    Args:
        values: (B, C, H, W), channels innermost.
        bias, slopes: (C,) float32.
    """
    grid, block = _pieces(values.numel())
    _activate_kernel[grid](values, bias, slopes, values.numel(), values.shape[1], block)


def add(values: Tensor, bias: Tensor, skip: Tensor) -> None:
    """Computes values += bias + skip, in place.

    Args:
        values, skip: (B, C, H, W), channels innermost.
        bias: (C,) float32.
    """
    grid, block = _pieces(values.numel())
    _add_kernel[grid](values, bias, skip, values.numel(), values.shape[1], block)


def _pieces(count: int, block: int = 1024) -> tuple[tuple[int], int]:
    return (triton.cdiv(count, block),), block


@dataclass(frozen=True)
class AttentionWeights:
    """The weights of a block that `dual_attention` needs, with C channels and R in the bottleneck.

    All are float32, except for `spatial_matrix`, which has the features' type. The two halves of
    the 1x1 convolution are stored with the input before the output.
    """

    conv2_bias: Tensor  # (C,)
    kernel: Tensor  # (2, 3, 3) of spatial attention
    squeeze: Tensor  # (R, C) of channel attention, as the next three
    squeeze_bias: Tensor  # (R,)
    excite: Tensor  # (C, R)
    excite_bias: Tensor  # (C,)
    spatial_matrix: Tensor  # (C, C), first half of the 1x1 convolution
    spatial_offset: Tensor  # (C,), `conv2_bias` times `spatial_matrix`
    channel_matrix: Tensor  # (C, C), second half of the 1x1 convolution
    fuse_bias: Tensor  # (C,) of the 1x1 convolution


@dataclass(frozen=True)
class Pooled:
    """The input of the two attentions, pooled from u."""

    planes: Tensor  # (B, 2, H * W), each pixel's maximum and mean over the channels
    sums: Tensor  # (B, n, C), each channel's sums over n parts of the image


def convolves(channels: int, dtype: torch.dtype) -> bool:
    """Returns whether the convolutions of this file are faster than cuDNN's for such features."""
    return 16 <= channels <= 64 and dtype in (torch.float16, torch.bfloat16)


def convolve_activate(features: Tensor, weight: Tensor, bias: Tensor, slopes: Tensor) -> Tensor:
    """Returns the PReLU of a 3x3 convolution padded with zeros.

    Args:
        features: (B, C, H, W), channels innermost.
        weight: (9, C, C) in the features' type: rows and columns of the kernel, input, output.
        bias, slopes: (C,) float32.
    """
    batch, channels, height, width = features.shape
    pixels, warps, stages = _CONVOLVE
    result = torch.empty_like(features)
    _convolve_kernel[(triton.cdiv(height * width, pixels), batch)](
        features, weight, bias, slopes, result, result, result, height, width,
        channels, triton.next_power_of_2(channels), pixels, stages, False, num_warps=warps,
    )  # fmt: skip
    return result


def convolve_pool(features: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Pooled]:
    """Returns a 3x3 convolution without its bias, and what is pooled from it with its bias.

    It is padded with zeros.

    Args:
        features, weight, bias: as for `convolve_activate`.
    """
    batch, channels, height, width = features.shape
    pixels, warps, stages = _CONVOLVE
    result, programs = torch.empty_like(features), triton.cdiv(height * width, pixels)
    pooled = _empty_pooled(features, programs)
    _convolve_kernel[(programs, batch)](
        features, weight, bias, bias, result, pooled.planes, pooled.sums, height, width,
        channels, triton.next_power_of_2(channels), pixels, stages, True, num_warps=warps,
    )  # fmt: skip
    if programs <= _PROGRAMS:
        return result, pooled
    sums = pooled.sums.new_empty(batch, triton.cdiv(programs, _SUMMED), channels)
    _fold_kernel[(sums.shape[1], batch)](
        pooled.sums, sums, programs, channels, triton.next_power_of_2(channels), _SUMMED, num_warps=8
    )
    return result, Pooled(pooled.planes, sums)


def pool(u: Tensor, bias: Tensor) -> Pooled:
    """Pools u + bias, where u is (B, C, H, W) with channels innermost."""
    batch, channels, height, width = u.shape
    pixels = height * width
    tiles = triton.cdiv(pixels, _PIXELS * _PROGRAMS)
    programs = triton.cdiv(pixels, _PIXELS * tiles)
    pooled = _empty_pooled(u, programs)
    _pool_kernel[(programs, batch)](
        u, bias, pooled.planes, pooled.sums, pixels, tiles, channels, triton.next_power_of_2(channels), _PIXELS
    )
    return pooled


def _empty_pooled(u: Tensor, programs: int) -> Pooled:
    batch, channels, height, width = u.shape
    like: dict[str, Any] = {"dtype": torch.float32, "device": u.device}
    return Pooled(torch.empty(batch, 2, height * width, **like), torch.empty(batch, programs, channels, **like))


def dual_attention(u: Tensor, features: Tensor, pooled: Pooled, block: AttentionWeights, precision: str) -> None:
    """Computes u = features + fuse(spatial attention of u, channel attention of u), in place.

    Args:
        u: (B, C, H, W), channels innermost: the second convolution's result without its bias.
        features: (B, C, H, W), channels innermost: the block's input.
        pooled: pooled from u with its bias.
        block: the weights.
        precision: of float32 products: ieee or tf32.
    """
    batch, channels, height, width = u.shape
    pixels, reduced, programs = height * width, len(block.squeeze_bias), pooled.sums.shape[1]
    columns, inner = triton.next_power_of_2(channels), triton.next_power_of_2(reduced)
    like: dict[str, Any] = {"dtype": torch.float32, "device": u.device}
    where, offset = torch.empty(batch, pixels, **like), torch.empty(batch, channels, **like)
    matrix = torch.empty(batch, channels, channels, dtype=u.dtype, device=u.device)
    _locate_kernel[(triton.cdiv(pixels, 256), batch)](pooled.planes, block.kernel, where, height, width, 256)
    _excite_kernel[(batch,)](
        pooled.sums, block.squeeze, block.squeeze_bias, block.excite, block.excite_bias, block.channel_matrix,
        block.conv2_bias, block.fuse_bias, matrix, offset, programs, pixels, channels, reduced, columns, inner, _SUMMED,
        num_warps=8,
    )  # fmt: skip
    count, warps, depth = _ATTEND["half" if u.element_size() == 2 else precision, channels > 64]
    _attend_kernel[(triton.cdiv(pixels, count), batch)](
        u, features, where, block.spatial_matrix, block.spatial_offset, matrix, offset, pixels,
        channels, columns, depth, count, precision, num_warps=warps,
    )  # fmt: skip
