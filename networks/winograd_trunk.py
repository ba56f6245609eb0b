"""The trunk of wide networks on a CPU without autograd, where its features fit into memory: exact, and the fastest way.

Two things beyond networks/strips.py: convolutions are Winograd's (networks/winograd.py), and every thread takes strips
of its own from a convolution to the end of its block, with operations that use one core. So nothing waits for the
slower core after each step. A step that reads rows of one map writes rows of another, or its own rows alone; therefore
strips need not know of each other. Their number depends on the image alone, so results do not depend on the threads.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from math import ceil
from types import ModuleType
from typing import Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks.blocks import DAB, RRG, DeepFeatures
from networks.feature_maps import InMemory, memory_for_maps
from networks.rows import TapSums, as_values, attention_products, convolve
from networks.strips import Begin, Finish, Rows

FEWEST_CHANNELS = 48  # for which Winograd's convolutions are faster than direct ones
FEWEST_PRODUCTS = (64 * 144) ** 2  # pixels * channels * channels, likewise: each step waits for its last strip
STRIP_BYTES = 8_000_000  # of features in a strip
Result = TypeVar("Result")
log = logging.getLogger(__name__)


class Spread(Protocol):
    """Calls a function for every strip, wherever; its results in the strips' order."""

    def __call__(self, work: Callable[[Rows], Result], strips: Sequence[Rows]) -> list[Result]: ...


def wins(deep: DeepFeatures, planes: Tensor, scale: int) -> bool:
    """Whether this is the way for these planes: see the top of the file."""
    channels = deep.conv.in_channels
    pixels = planes.shape[2] * planes.shape[3] // scale**2
    return (
        planes.device.type == "cpu"
        and planes.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and channels >= FEWEST_CHANNELS
        and pixels * channels**2 >= FEWEST_PRODUCTS
        and 3 * 4 * channels * pixels <= memory_for_maps(planes.device)
        and _winograd() is not None
    )


@cache
def _winograd() -> ModuleType | None:
    """networks/winograd.py, imported when needed, since that takes a second; None where Numba cannot be used."""
    try:
        from networks import winograd
    except (ImportError, RuntimeError) as error:  # the latter: nowhere to keep what was compiled
        log.warning("networks run without Winograd's convolutions, which would be faster: %s", error)
        return None
    return winograd


def run(
    begin: Begin, deep: DeepFeatures, finish: Finish, planes: Tensor, aligned: Sequence[Tensor], scale: int
) -> Tensor:
    """finish(deep(begin(planes)), *aligned); arguments and result as of `networks.trunk.run`."""
    images = zip(*(tensor.split(1) for tensor in (planes, *aligned)), strict=True)
    with _workers() as spread:
        return torch.cat([_one_image(spread, begin, deep, finish, image, others, scale) for image, *others in images])


def _one_image(
    spread: Spread,
    begin: Begin,
    deep: DeepFeatures,
    finish: Finish,
    planes: Tensor,
    aligned: Sequence[Tensor],
    scale: int,
) -> Tensor:
    height, width = (side // scale for side in planes.shape[2:])
    channels = deep.conv.in_channels
    strips = _strips(height, width, channels)
    shallow, hidden, other = (InMemory(height, width, channels, planes) for _ in range(3))

    def start(strip: Rows) -> None:
        first, end = strip
        top, bottom = max(first - 1, 0), min(end + 1, height)
        rows = begin(planes[:, :, top * scale : bottom * scale])
        shallow.store(first, as_values(rows[:, :, first - top : end - top]))

    spread(start, strips)
    features, result = shallow, other
    for group in deep.groups:
        assert isinstance(group, RRG)
        _copy(spread, features, result, strips)
        for block in group.blocks:
            assert isinstance(block, DAB)
            _dual_attention(spread, block, features, hidden, strips)
        _close_group(spread, group.conv, features, result, strips)
        features, result = result, features
    closing, deepest = _convolution(deep.conv), features

    def end_with(strip: Rows) -> Tensor:
        first, end = strip
        top, bottom = max(first - 1, 0), min(end + 1, height)
        rows = finish(closing(deepest.rows(top - 1, bottom + 1)), *(image[:, :, top:bottom] for image in aligned))
        return rows[:, :, first - top : end - top]

    return torch.cat(spread(end_with, strips), dim=2)


def _strips(height: int, width: int, channels: int) -> list[Rows]:
    """Four or a multiple of that, about equal; two rows more than a multiple of four, since tiles have four rows and
    the second convolution computes a row above and one below."""
    count = 4 * ceil(height * width * channels * 4 / (4 * STRIP_BYTES))
    rows = ceil((height / count - 2) / 4) * 4 + 2
    return [(first, min(first + rows, height)) for first in range(0, height, rows)]


def _convolution(conv: nn.Conv2d, slopes: Tensor | None = None) -> Callable[..., Tensor]:
    winograd = _winograd()
    assert winograd is not None and conv.bias is not None
    convolution: Callable[..., Tensor] = winograd.convolution(conv.weight, conv.bias, slopes)
    return convolution


def _copy(spread: Spread, source: InMemory, target: InMemory, strips: list[Rows]) -> None:
    spread(lambda strip: target.store(strip[0], source.values(*strip)), strips)


def _close_group(spread: Spread, conv: nn.Conv2d, features: InMemory, result: InMemory, strips: list[Rows]) -> None:
    """result += conv(features)"""
    convolution = _convolution(conv)

    def add(strip: Rows) -> None:
        first, end = strip
        result.values(first, end).add_(as_values(convolution(features.rows(first - 1, end + 1))))

    spread(add, strips)


def _dual_attention(spread: Spread, block: DAB, features: InMemory, hidden: InMemory, strips: list[Rows]) -> None:
    """features = DAB(features), in place."""
    height, channels = features.height, block.conv1.in_channels
    width = features.rows(0, 1).shape[3]
    conv1 = _convolution(block.conv1, block.activation.weight)
    conv2 = _convolution(block.conv2)

    def hide(strip: Rows) -> TapSums:
        first, end = strip
        sums = TapSums(channels)
        rows = conv1(features.rows(first - 1, end + 1), hidden.values(first, end))
        sums.add(rows, first == 0, end == height)
        return sums

    sums = TapSums.together(spread(hide, strips))
    mean = sums.mean_of(block.conv2, height * width)
    spatial, channel = attention_products(block, mean, strips[0][1] * width)

    def attend(strip: Rows) -> None:
        first, end = strip
        top, bottom = max(first - 1, 0), min(end + 1, height)
        u = conv2(hidden.rows(top - 1, bottom + 1))
        pooled = torch.cat([u.amax(1, keepdim=True), u.mean(1, keepdim=True)], dim=1)
        pooled = F.pad(pooled, (0, 0, int(first == 0), int(end == height)))
        where = convolve(block.spatial_attention.conv, pooled).sigmoid_().view(-1, 1)
        u = as_values(u[:, :, first - top : end - top])
        features.values(first, end).add_(channel(u)).addcmul_(spatial(u), where)

    spread(attend, strips)


# ---------------------------------------------------------------- threads


@contextmanager
def _workers() -> Iterator[Spread]:
    """Inside, strips are spread over as many threads as PyTorch's operations take, each of which then takes one."""
    threads = torch.get_num_threads()
    if threads == 1:
        yield lambda work, strips: [work(strip) for strip in strips]
        return
    inference = torch.is_inference_mode_enabled()
    torch.set_num_threads(1)  # of this thread, and of those that have yet to compute for the first time

    def spread(work: Callable[[Rows], Result], strips: Sequence[Rows]) -> list[Result]:
        def without_gradient(strip: Rows) -> Result:
            with torch.inference_mode() if inference else torch.no_grad():
                return work(strip)

        return list(_pool(threads, os.getpid()).map(without_gradient, strips))

    try:
        yield spread
    finally:
        torch.set_num_threads(threads)


@cache
def _pool(threads: int, _process: int) -> ThreadPoolExecutor:
    """Threads that stay; a forked process makes its own."""
    return ThreadPoolExecutor(threads, thread_name_prefix="trunk", initializer=torch.get_num_threads)
