"""The trunk of every network without autograd: exact, in place, and in the memory that there is.

Two identities make it fast (docs/performance.md has the figures):

- A 1x1 convolution over [s * u, c * u] is s * (W1 u) + (W2 diag(c)) u: nothing is concatenated, spatial attention is a
  factor a pixel, channel attention a matrix an image.
- The mean of u = conv2(h) that channel attention needs follows from sums of h: a convolution is linear, so its mean is
  its weights times the means of h under each of its nine taps. So c is known before u is computed, and u is made strip
  by strip, used while it is in the cache, and never stored.

Features lie row by row with channels innermost, one image at a time. Maps that do not fit into memory lie elsewhere
(networks/feature_maps.py), and hidden features are then computed twice instead of stored: a photo of any size gives
what a pass over the whole of it gives.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks.blocks import DAB, RRG, DeepFeatures
from networks.feature_maps import FeatureMap, fits, make_maps
from networks.rows import TapSums, as_values, attention_products, convolve

PLAIN_MAPS = 9  # maps of features that a plain pass has at its peak
_MOST_VALUES = 2**31  # of a tensor that every GPU library can count
STRIP_BYTES = 8_000_000  # of features in a strip: small enough for the cache
GPU_STRIP_BYTES = 256_000_000  # on a GPU: large enough to keep it busy
FEWEST_ROWS = 8  # of a strip, of which one is computed twice

Rows = tuple[int, int]  # first, and one behind the last
Begin = Callable[[Tensor], Tensor]  # rows of planes -> rows of shallow features
Finish = Callable[..., Tensor]  # rows of deep features, and the same rows of what is aligned -> rows of the result


def run(
    begin: Begin, deep: DeepFeatures, finish: Finish, planes: Tensor, aligned: Sequence[Tensor], scale: int
) -> Tensor:
    """finish(deep(begin(planes)), *aligned), by strips; arguments and result as of `networks.trunk.run`."""
    images = zip(*(tensor.split(1) for tensor in (planes, *aligned)), strict=True)
    return torch.cat([_one_image(begin, deep, finish, image, others, scale) for image, *others in images])


def wins(deep: DeepFeatures, planes: Tensor, scale: int) -> bool:
    """Without a gradient: on a CPU always; on a CUDA GPU where the features do not fit otherwise."""
    kind = planes.device.type
    if kind == "cpu":
        return planes.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    batch, _, height, width = planes.shape
    if kind != "cuda":
        return False
    values = batch * deep.conv.in_channels * height * width // scale**2
    # a block's concatenation has twice as many values as its features
    size = PLAIN_MAPS * values * _like(planes).element_size()
    return 2 * values >= _MOST_VALUES or not fits(size, planes.device)


def _like(planes: Tensor) -> Tensor:
    """Device and type of the features: autocast's where it is on."""
    kind = planes.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else planes.dtype
    return planes.new_empty(0, dtype=dtype)


def _strips(height: int, width: int, channels: int, device: torch.device) -> list[Rows]:
    size = STRIP_BYTES if device.type == "cpu" else GPU_STRIP_BYTES
    count = max(FEWEST_ROWS, size // (4 * width * channels))
    return [(first, min(first + count, height)) for first in range(0, height, count)]


# ---------------------------------------------------------------- the trunk


def _one_image(
    begin: Begin, deep: DeepFeatures, finish: Finish, planes: Tensor, aligned: Sequence[Tensor], scale: int
) -> Tensor:
    height, width = (side // scale for side in planes.shape[2:])
    channels = deep.conv.in_channels
    strips = _strips(height, width, channels, planes.device)
    features, hidden, group_input = make_maps(height, width, channels, _like(planes))
    for first, end in strips:
        top, bottom = max(first - 1, 0), min(end + 1, height)
        shallow = begin(planes[:, :, top * scale : bottom * scale])
        features.store(first, as_values(shallow[:, :, first - top : end - top]))
    for group in deep.groups:
        assert isinstance(group, RRG)
        for first, end in strips:
            group_input.store(first, features.values(first, end))
        for block in group.blocks:
            assert isinstance(block, DAB)
            _dual_attention(block, features, hidden, strips)
        _close_group(group.conv, features, group_input, strips)
    results = []
    for first, end in strips:
        top, bottom = max(first - 1, 0), min(end + 1, height)
        others = (image[:, :, top:bottom] for image in aligned)
        rows = finish(convolve(deep.conv, features.rows(top - 1, bottom + 1)), *others)
        results.append(rows[:, :, first - top : end - top])
    return torch.cat(results, dim=2)


def _close_group(conv: nn.Conv2d, features: FeatureMap, group_input: FeatureMap, strips: list[Rows]) -> None:
    """features = group_input + conv(features), in place: the row above a strip is remembered as it was."""
    above = features.rows(-1, 0).clone()
    for first, end in strips:
        rows = torch.cat([above, features.rows(first, end + 1)], dim=2).contiguous(memory_format=torch.channels_last)
        above = rows[:, :, -2:-1].clone()
        features.store(first, as_values(convolve(conv, rows)).add_(group_input.values(first, end)))


def _dual_attention(block: DAB, features: FeatureMap, hidden: FeatureMap | None, strips: list[Rows]) -> None:
    """features = DAB(features), in place."""
    width = features.rows(0, 1).shape[3]
    sums = TapSums(block.conv1.in_channels, block.fuse.weight.device)
    for first, end in strips:
        rows = _hidden(block, features.rows(first - 1, end + 1))
        sums.add(rows, first == 0, end == features.height)
        if hidden is not None:
            hidden.store(first, as_values(rows))
    mean = sums.mean_of(block.conv2, features.height * width)
    spatial, channel = attention_products(block, mean, strips[0][1] * width)

    before = features.rows(-1, 1)[:, :, :0]  # rows of the features as they were, above those that still are
    above = mean.new_zeros(1, 2, 1, width)  # the pooled row above the strip
    for first, end in strips:
        bottom = min(end + 1, features.height)  # one row more, for the spatial attention of the last one
        if hidden is not None:
            rows = hidden.rows(first - 1, bottom + 1)
        else:
            rows, before = _hidden_again(block, features, before, first, end, bottom)
        u = convolve(block.conv2, rows)
        pooled = torch.cat([above, torch.cat([u.amax(1, keepdim=True), u.mean(1, keepdim=True)], dim=1)], dim=2)
        above = pooled[:, :, end - first : end - first + 1]
        if bottom == end:  # the image's last strip
            pooled = F.pad(pooled, (0, 0, 0, 1))
        where = convolve(block.spatial_attention.conv, pooled).sigmoid_().view(-1, 1)
        u = as_values(u[:, :, : end - first])
        values = features.values(first, end)
        values.add_(channel(u)).addcmul_(spatial(u), where)
        features.changed(first, values)


def _hidden(block: DAB, rows: Tensor) -> Tensor:
    return F.prelu(convolve(block.conv1, rows), block.activation.weight)


def _hidden_again(
    block: DAB, features: FeatureMap, before: Tensor, first: int, end: int, bottom: int
) -> tuple[Tensor, Tensor]:
    """Hidden rows first - 1 to bottom + 1 from the features as they were, and what the next strip needs of those.

    Args:
        before: the last two rows above `first` as they were before this block changed them; none at the image's top.
    """
    height = features.height
    top, last = max(first - 1, 0), min(bottom + 1, height)  # hidden rows inside the image
    below = features.rows(first if first else -1, last + 1)
    old = torch.cat([before, below], dim=2).contiguous(memory_format=torch.channels_last)
    rows = _hidden(block, old)
    assert rows.shape[2] == last - top
    kept = end - 2 - (first - 2 if first else -1)  # old row number of row end - 2
    rows = F.pad(rows, (0, 0, int(first == 0), int(bottom == height)))
    return rows.contiguous(memory_format=torch.channels_last), old[:, :, kept : kept + 2].clone()
