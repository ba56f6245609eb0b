"""Operations on some rows of features, of which those that see neighbours are given them.

Rows are (1, C, n, W) with channels innermost; their values, pixel by pixel, are (n * W, C).
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cycleisp.networks.blocks import DAB


def as_values(rows: Tensor) -> Tensor:
    """(1, C, n, W) -> (n * W, C)."""
    return rows.permute(0, 2, 3, 1).reshape(-1, rows.shape[1])


def convolve(conv: nn.Conv2d, rows: Tensor) -> Tensor:
    """A 3x3 convolution of rows that have their neighbours above and below; columns are padded with zeros."""
    return F.conv2d(rows, conv.weight, conv.bias, padding=(0, 1))


def padded(rows: Tensor, above: bool, below: bool) -> Tensor:
    """With a row of zeros where the image ends."""
    if not above and not below:
        return rows
    return F.pad(rows, (0, 0, int(above), int(below))).contiguous(memory_format=torch.channels_last)


def packed_product(weight: Tensor, bias: Tensor | None, pixels: int) -> Callable[[Tensor], Tensor]:
    """F.linear with a weight that is packed once, for (n, C) with n about `pixels`.

    oneDNN's product of a packed matrix runs twice as fast as the one that F.linear takes. PyTorch has it for its own
    compiler; where it is missing F.linear does.
    """
    packs = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    if not packs or weight.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return lambda values: F.linear(values, weight, bias)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, pixels)
    return lambda values: torch.ops.mkldnn._linear_pointwise(values, packed, bias, "none", [], "")


def attention_products(block: DAB, mean: Tensor, pixels: int) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """What a block's 1x1 convolution makes of u (n, C), n about `pixels`, behind either attention.

    Args:
        mean: of u over the image, (C,).

    Returns:
        W1 u, yet to be multiplied with where to look, and W2 diag(c) u + bias, c being what to look at.
    """
    attention, fuse = block.channel_attention, block.fuse.weight[:, :, 0, 0]
    weights = attention.excite(attention.squeeze(mean.view(1, -1, 1, 1)).relu()).sigmoid().flatten()
    spatial, channelwise = fuse.chunk(2, dim=1)
    return (
        packed_product(spatial.contiguous(), None, pixels),
        packed_product(channelwise * weights, block.fuse.bias, pixels),
    )


class LineBuffer:
    """Rows of a map that is made from top to bottom, the last of which are needed once more.

    Args:
        make: rows first to end, (1, C, n, W), whose values are written to a third argument (n * W, C) if there is one.
    """

    def __init__(self, make: Callable[[int, int, Tensor | None], Tensor]) -> None:
        self._make = make
        self._rows: Tensor | None = None
        self._end = 0

    def rows(self, first: int, end: int) -> Tensor:
        """(1, C, end - first, W). Neither may be less than before, and the first not more than the last end."""
        if self._rows is None:
            self._rows = self._make(first, end, None)
        else:
            kept = self._rows[:, :, self._rows.shape[2] - (self._end - first) :]
            rows = kept.new_empty(end - first, kept.shape[3], kept.shape[1])
            rows[: kept.shape[2]] = kept[0].permute(1, 2, 0)
            if end > self._end:
                self._make(self._end, end, rows[kept.shape[2] :].flatten(0, 1))
            self._rows = rows[None].permute(0, 3, 1, 2)
        self._end = end
        return self._rows


class TapSums:
    """Sums of hidden features (1, C, H, W) under each of the nine taps of a 3x3 convolution padded with zeros.

    Under the tap that looks up, the last row is never seen; under the one that looks left, the last column: so the sums
    are the total less a border row, less a border column, plus the corner where both meet.
    """

    def __init__(self, channels: int, device: torch.device | None = None) -> None:
        zeros = partial(torch.zeros, dtype=torch.float64, device=device)
        self._total = zeros(channels)
        self._columns = zeros(2, channels)  # first, last
        self._rows = zeros(2, channels)
        self._corners = zeros(2, 2, channels)  # row, column

    def add(self, rows: Tensor, first: bool, last: bool) -> None:
        """Count a strip; `first` and `last` say whether it holds the image's first and last row."""
        values = rows[0].permute(1, 2, 0)  # (n, W, C)
        self._total += values.sum(dim=1, dtype=torch.float32).double().sum(dim=0)
        self._columns += values[:, [0, -1]].double().sum(dim=0)
        for index, present in enumerate((first, last)):
            if present:
                border = values[0 if index == 0 else -1]
                self._rows[index] = border.double().sum(dim=0)
                self._corners[index] = border[[0, -1]].double()

    @classmethod
    def together(cls, parts: Sequence["TapSums"]) -> "TapSums":
        """Of an image whose strips were counted by several."""
        total, *others = parts
        for part in others:
            for name in ("_total", "_columns", "_rows", "_corners"):
                getattr(total, name).add_(getattr(part, name))
        return total

    def mean_of(self, conv: nn.Conv2d, count: int) -> Tensor:
        """Mean over the image of the convolution's output, (C,)."""
        sums = self._total.expand(3, 3, -1).clone()
        for row, border_row in ((0, 1), (2, 0)):  # a tap that looks up misses the last row
            sums[row] -= self._rows[border_row]
        for column, border_column in ((0, 1), (2, 0)):
            sums[:, column] -= self._columns[border_column]
            for row, border_row in ((0, 1), (2, 0)):
                sums[row, column] += self._corners[border_row, border_column]
        mean = torch.einsum("oiyx,yxi->o", conv.weight.double(), sums) / count
        assert conv.bias is not None
        return (mean + conv.bias.double()).float()
