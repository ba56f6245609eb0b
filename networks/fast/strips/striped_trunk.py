"""A trunk without autograd, strip by strip: exact, in place, in the memory that there is.

Two identities make it fast (networks/fast/strips/attention.py):

- Dual attention needs no concatenation.
- The mean that channel attention needs is known before the features that it is the mean of. So
  these are computed strip by strip, used while they are in the cache, and never stored.

Features are stored row by row with channels innermost, one image at a time. Maps of features that
do not fit into memory are kept elsewhere (networks/fast/strips/feature_maps.py), and hidden
features are then computed twice instead of stored. A photo of any size therefore gives what one
pass over the whole photo gives.

Strips are grouped in bands (networks/fast/strips/bands.py). With Winograd's convolutions, whose
operations use one core (networks/fast/strips/convolutions.py), each band is the work of one thread.
Otherwise there is one thread, and PyTorch's operations use all cores.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from cycleisp.networks.acceleration import Begin, Finish
from cycleisp.networks.blocks import DAB, RRG, DeepFeatures
from cycleisp.networks.fast import threads
from cycleisp.networks.fast.strips import bands, convolutions
from cycleisp.networks.fast.strips.attention import Product, TapSums, attention_products
from cycleisp.networks.fast.strips.bands import Band, Strip
from cycleisp.networks.fast.strips.convolutions import Convolution
from cycleisp.networks.fast.strips.feature_maps import FeatureMap, fits, make_maps
from cycleisp.networks.fast.strips.rows import LineBuffer, as_values, convolve, padded
from cycleisp.networks.fast.threads import Spread
from cycleisp.utils.steps import looker, steps

PLAIN_MAPS = 9  # maps of features that a plain pass holds at its peak
_MOST_VALUES = 2**31  # of a tensor that every GPU library can count

Rows = tuple[int, Tensor]  # number of the first row, and values (n * W, C)
Result = TypeVar("Result")


def run(
    begin: Begin,
    deep: DeepFeatures,
    finish: Finish,
    planes: Tensor,
    aligned: Sequence[Tensor],
    scale: int,
    winograd: bool | None = None,
) -> Tensor:
    """Returns finish(deep(begin(planes)), *aligned), computed by strips.

    The arguments are those of `cycleisp.networks.acceleration.run_trunk`, and:

    Args:
        winograd: whether to use Winograd's convolutions. None uses them where they are faster.
    """
    if winograd is None:
        pixels = planes.shape[2] * planes.shape[3] // scale**2
        winograd = convolutions.winograd_wins(planes, deep.conv.in_channels, pixels)
    images = zip(*(tensor.split(1) for tensor in (planes, *aligned)), strict=True)
    with threads.threads() if winograd else threads.caller() as spread:
        results = [_one_image(begin, deep, finish, image, others, scale, winograd, spread) for image, *others in images]
    return results[0] if len(results) == 1 else torch.cat(results)  # which would copy a large image


def suits(deep: DeepFeatures, planes: Tensor, scale: int) -> bool:
    """Returns whether a trunk without autograd is computed by strips.

    On a CPU it is, in float32. On a CUDA GPU it is where the features do not fit otherwise.
    """
    kind = planes.device.type
    if kind == "cpu":
        return planes.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    batch, _, height, width = planes.shape
    if kind != "cuda":
        return False
    values = batch * deep.conv.in_channels * height * width // scale**2
    # a block's concatenation has twice as many values as its features
    size = PLAIN_MAPS * values * features_like(planes).element_size()
    return 2 * values >= _MOST_VALUES or not fits(size, planes.device)


def features_like(planes: Tensor) -> Tensor:
    """Returns an empty tensor with the device and type that features of these planes have.

    The type is autocast's where autocast is on.
    """
    kind = planes.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else planes.dtype
    return planes.new_empty(0, dtype=dtype)


def _one_image(
    begin: Begin,
    deep: DeepFeatures,
    finish: Finish,
    planes: Tensor,
    aligned: Sequence[Tensor],
    scale: int,
    winograd: bool,
    spread: Spread,
) -> Tensor:
    height, width = (side // scale for side in planes.shape[2:])
    size = height, width, deep.conv.in_channels
    features, hidden, group_input = make_maps(*size, features_like(planes))
    divide = bands.in_turn if hidden is None else bands.apart
    convolution = _stoppable(convolutions.winograd if winograd else convolutions.direct)
    trunk = _Trunk(features, hidden, group_input, divide(*size, planes.device, winograd), convolution, spread)

    def start(strip: Strip) -> None:
        top, bottom = strip.around(height)
        shallow = begin(planes[:, :, top * scale : bottom * scale])
        features.store(strip.first, as_values(shallow[:, :, strip.first - top : strip.end - top]))

    trunk.each_strip(start)
    with steps(sum(isinstance(module, DAB) for module in deep.modules())) as step:
        for group in deep.groups:
            assert isinstance(group, RRG)
            trunk.open_group()
            for block in group.blocks:
                assert isinstance(block, DAB)
                trunk.dual_attention(block)
                step()
            trunk.close_group(group.conv)
    closing, result = trunk.convolution(deep.conv), _Result(height)

    def end(strip: Strip) -> None:
        top, bottom = strip.around(height)
        deepest = closing(trunk.features.rows(top - 1, bottom + 1))
        rows = finish(deepest, *(image[:, :, top:bottom] for image in aligned))
        result.store(strip, rows[:, :, strip.first - top : strip.end - top])

    trunk.each_strip(end)
    return result.image


def _stoppable(convolution: Callable[..., Convolution]) -> Callable[..., Convolution]:
    """Returns the same convolutions, which first ask whether the computation shall go on."""
    look = looker()

    def make(*weights: Tensor | nn.Conv2d) -> Convolution:
        convolve_rows = convolution(*weights)

        def looked(*rows: Tensor | None) -> Tensor:
            look()
            return convolve_rows(*rows)

        return looked

    return make


class _Result:
    """An image that strips are copied into, by any thread. Joined ones take twice the memory."""

    image: Tensor

    def __init__(self, height: int) -> None:
        self._height, self._lock, self._begun = height, threading.Lock(), False

    def store(self, strip: Strip, rows: Tensor) -> None:
        """Copies rows (1, C, n, W) to their place."""
        with self._lock:
            if not self._begun:  # now channels, width and type are known
                self.image = rows.new_empty(1, rows.shape[1], self._height, rows.shape[3])
                self._begun = True
        self.image[:, :, strip.first : strip.end] = rows


@dataclass
class _Trunk:
    """The features of one image and the steps of a trunk on them."""

    features: FeatureMap
    hidden: FeatureMap | None  # None: hidden features are computed twice
    group_input: FeatureMap
    bands: list[Band]
    convolution: Callable[..., Convolution]
    spread: Spread

    def each_strip(self, work: Callable[[Strip], Result]) -> list[Result]:
        """Runs work on strips that are independent of each other, and returns the results."""
        return self.spread(work, [strip for band in self.bands for strip in band])

    def open_group(self) -> None:
        """Computes group_input = features."""
        self.each_strip(lambda strip: self.group_input.store(strip.first, self.features.values(strip.first, strip.end)))

    def close_group(self, conv: nn.Conv2d) -> None:
        """Computes features = group_input + conv(features)."""
        convolution = self.convolution(conv)

        def convolved(strip: Strip) -> Tensor:
            return as_values(convolution(self.features.rows(strip.first - 1, strip.end + 1)))

        def add(strip: Strip) -> None:
            self.group_input.values(strip.first, strip.end).add_(convolved(strip))

        def close(band: Band) -> list[Rows]:
            """Works in place: it stores a strip once the next one no longer needs the old rows."""
            later: list[Rows] = []
            above: Rows | None = None
            for strip in band:
                rows = strip.first, convolved(strip).add_(self.group_input.values(strip.first, strip.end))
                if above is not None:
                    self.features.store(*above)
                above = None if strip.shared else rows
                if strip.shared:
                    later.append(rows)
            if above is not None:
                self.features.store(*above)
            return later

        if self.hidden is None:
            self._store(self.spread(close, self.bands))
        else:  # all maps are in memory: what was the input becomes the result
            self.each_strip(add)
            self.features, self.group_input = self.group_input, self.features

    def dual_attention(self, block: DAB) -> None:
        """Computes features = DAB(features)."""
        conv1 = self.convolution(block.conv1, block.activation.weight)
        conv2 = self.convolution(block.conv2)
        spatial, channel = self._products(block, conv1)
        height = self.features.height

        def attend(band: Band) -> list[Rows]:
            later: list[Rows] = []
            u = LineBuffer(self._second(conv1, conv2))
            for strip in band:
                first, end, shared = strip
                top, bottom = strip.around(height)
                around = u.rows(top, bottom)
                pooled = torch.cat([around.amax(1, keepdim=True), around.mean(1, keepdim=True)], dim=1)
                pooled = padded(pooled, first == 0, end == height)
                where = convolve(block.spatial_attention.conv, pooled).sigmoid_().view(-1, 1)
                inside = as_values(around[:, :, first - top : end - top])
                values = self.features.values(first, end)
                values = values.clone() if shared else values
                values.add_(channel(inside)).addcmul_(spatial(inside), where)
                if shared:
                    later.append((first, values))
                else:
                    self.features.changed(first, values)
            return later

        self._store(self.spread(attend, self.bands))

    def _products(self, block: DAB, conv1: Convolution) -> tuple[Product, Product]:
        """Returns the block's attention products.

        Their mean needs a pass over the hidden features, which are stored where there is room for
        them.
        """
        height = self.features.height

        def hide(band: Band) -> TapSums:
            sums = TapSums(block.conv1.in_channels, block.fuse.weight.device)
            for first, end, _ in band:
                place = None if self.hidden is None else self.hidden.values(first, end)
                rows = conv1(self.features.rows(first - 1, end + 1), place)
                sums.add(rows, first == 0, end == height)
            return sums

        sums = TapSums.together(self.spread(hide, self.bands))
        width = self.features.rows(0, 1).shape[3]
        longest = max(end - first for band in self.bands for first, end, _ in band)
        return attention_products(block, sums.mean_of(block.conv2, height * width), longest * width)

    def _second(self, conv1: Convolution, conv2: Convolution) -> Callable[[int, int, Tensor | None], Tensor]:
        """Returns a function that computes rows of u = conv2(hidden features) for one band."""
        if self.hidden is not None:
            hidden = self.hidden
            return lambda first, end, out: conv2(hidden.rows(first - 1, end + 1), out)
        again = LineBuffer(lambda first, end, out: conv1(self.features.rows(first - 1, end + 1), out))
        height = self.features.height

        def make(first: int, end: int, out: Tensor | None) -> Tensor:
            top, bottom = Strip(first, end).around(height)
            return conv2(padded(again.rows(top, bottom), first == 0, end == height), out)

        return make

    def _store(self, of_bands: list[list[Rows]]) -> None:
        """Stores rows that bands held back while their neighbours still read the old ones."""
        for band in of_bands:
            for first, values in band:
                self.features.store(first, values)
