"""A display-like curve for RAW inside the compact networks (ours; the paper works on linear RAW throughout).

Linear RAW keeps most of its values near 0, where a display curve is steepest. Networks that see RAW through a curve of
that shape, and add to the picture instead of making it anew, learn in a small part of the steps.
"""

import torch
from torch import Tensor, nn

# f(x) = (sqrt(x + e) - sqrt(e)) / (sqrt(1 + e) - sqrt(e)) has f(0) = 0, f(1) = 1, and with this e a slope of 5 at 0,
# close to the BT.709 curve's 4.5, so that photo and companded RAW differ by white balance and matrix only.
_OFFSET = 0.0123
_LOW = _OFFSET**0.5
_SPAN = (1 + _OFFSET) ** 0.5 - _LOW


def compand(linear: Tensor) -> Tensor:
    """Linear RAW -> companded RAW, any shape; [0, 1] to [0, 1]. Negative values count as 0."""
    return ((linear.clamp(min=0) + _OFFSET).sqrt() - _LOW) / _SPAN


def expand(companded: Tensor) -> Tensor:
    """Companded RAW -> linear RAW, the inverse of `compand`; negative values count as 0."""
    return (companded.clamp(min=0) * _SPAN + _LOW) ** 2 - _OFFSET


class LinearDemosaic(nn.Conv2d):
    """Learned linear demosaicking: planes R, G_r, G_b, B, (B, 4, H, W) -> (B, 12, H, W), to be pixel-shuffled by 2.

    Begins as the crudest one: every pixel of a tile takes the tile's red and blue, and its own green where it has one,
    else the mean of both.
    """

    def __init__(self) -> None:
        super().__init__(4, 12, kernel_size=3, padding=1, padding_mode="replicate", bias=False)
        both_greens = (0.0, 0.5, 0.5, 0.0)
        red, green_r, green_b, blue = torch.eye(4).tolist()
        nearest = [red] * 4 + [both_greens, green_r, green_b, both_greens] + [blue] * 4
        with torch.no_grad():
            self.weight.zero_()
            self.weight[:, :, 1, 1] = torch.tensor(nearest)
