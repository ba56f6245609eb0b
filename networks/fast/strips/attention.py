"""The two identities behind the fast way: no concatenation, and a mean before its image.

- A 1x1 convolution with weights [W1 W2] of the concatenation [s * u, c * u] is s * (W1 u) + (W2
  diag(c)) u. So spatial attention s becomes one factor for each pixel, and channel attention c one
  matrix for each image.
- Channel attention needs the mean of u = conv2(h). A convolution is linear, so its mean is its
  weights times the means of h under each of its nine taps. So c is known before u is computed.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cycleisp.networks.blocks import DAB

Product = Callable[[Tensor], Tensor]  # (n, C) -> (n, C)


def attention_products(block: DAB, mean: Tensor, pixels: int) -> tuple[Product, Product]:
    """Returns the two products with u that a block's 1x1 convolution consists of.

    Args:
        mean: of u over the image, (C,).
        pixels: about how many rows n the products will be given at a time.

    Returns:
        Two functions of u (n, C). The first one computes W1 u, yet to be multiplied by spatial
        attention. The second one computes W2 diag(c) u + bias, where c is channel attention.
    """
    attention, fuse = block.channel_attention, block.fuse.weight[:, :, 0, 0]
    weights = attention.excite(attention.squeeze(mean.view(1, -1, 1, 1)).relu()).sigmoid().flatten()
    spatial, channelwise = fuse.chunk(2, dim=1)
    return (
        _packed_product(spatial.contiguous(), None, pixels),
        _packed_product(channelwise * weights, block.fuse.bias, pixels),
    )


def _packed_product(weight: Tensor, bias: Tensor | None, pixels: int) -> Product:
    """Returns F.linear of (n, C), n about `pixels`, with a weight that is packed once.

    oneDNN's product with a packed matrix runs twice as fast as the one that F.linear takes. PyTorch
    has it for its own compiler. Where it is missing, F.linear is used.
    """
    packs = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    if not packs or weight.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return lambda values: F.linear(values, weight, bias)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, pixels)
    return lambda values: torch.ops.mkldnn._linear_pointwise(values, packed, bias, "none", [], "")


class TapSums:
    """Sums of hidden features (1, C, H, W) under each of the nine taps of a 3x3 convolution.

    The convolution is padded with zeros. The tap that looks up never sees the last row, and the one
    that looks left never sees the last column. So a sum is the total less a border row, less a
    border column, plus the corner where both meet.
    """

    def __init__(self, channels: int, device: torch.device | None = None) -> None:
        zeros = partial(torch.zeros, dtype=torch.float64, device=device)
        self._total = zeros(channels)
        self._columns = zeros(2, channels)  # first, last
        self._rows = zeros(2, channels)
        self._corners = zeros(2, 2, channels)  # row, column

    def add(self, rows: Tensor, first: bool, last: bool) -> None:
        """Adds a strip; `first` and `last` say whether it holds the image's first and last row."""
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
        """Adds up the sums of an image's bands."""
        total, *others = parts
        for part in others:
            for name in ("_total", "_columns", "_rows", "_corners"):
                getattr(total, name).add_(getattr(part, name))
        return total

    def mean_of(self, conv: nn.Conv2d, count: int) -> Tensor:
        """Returns the mean of the convolution's output over the image's `count` pixels, (C,)."""
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
