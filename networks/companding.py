"""A display-like curve for RAW inside the compact networks (ours).

The paper works on linear RAW throughout. Most values of linear RAW are near 0, where a display
curve is steepest. Networks that see RAW through such a curve, and add a correction to the picture
instead of making a new one, need far fewer steps to learn.
"""

import torch
from torch import Tensor, nn

# f(x) = (sqrt(x + e) - sqrt(e)) / (sqrt(1 + e) - sqrt(e)) has f(0) = 0 and f(1) = 1. With this e
# its slope at 0 is 5, close to the 4.5 of the BT.709 curve, so that photo and companded RAW differ
# by white balance and matrix only.
_OFFSET = 0.0123
_LOW = _OFFSET**0.5
_SPAN = (1 + _OFFSET) ** 0.5 - _LOW


def compand(linear: Tensor) -> Tensor:
    """Turns linear RAW of any shape, in [0, 1], into companded RAW; negative values count as 0."""
    return ((linear.clamp(min=0) + _OFFSET).sqrt() - _LOW) / _SPAN


def expand(companded: Tensor) -> Tensor:
    """Turns companded RAW into linear RAW, the inverse of `compand`; negative values count as 0."""
    return (companded.clamp(min=0) * _SPAN + _LOW) ** 2 - _OFFSET


class LinearDemosaic(nn.Conv2d):
    """Learned linear demosaicking of planes R, G_r, G_b, B.

    (B, 4, H, W) -> (B, 12, H, W), which a pixel-shuffle by 2 turns into colours. It begins as the
    simplest one: every pixel of a tile takes the tile's red and blue, and its own green if it has
    one, or else the mean of both greens.
    """

    def __init__(self) -> None:
        super().__init__(4, 12, kernel_size=3, padding=1, padding_mode="replicate", bias=False)
        both_greens = (0.0, 0.5, 0.5, 0.0)
        red, green_r, green_b, blue = torch.eye(4, device="cpu").tolist()  # built on `meta`, too
        nearest = [red] * 4 + [both_greens, green_r, green_b, both_greens] + [blue] * 4
        with torch.no_grad():
            self.weight.zero_()
            self.weight[:, :, 1, 1] = torch.tensor(nearest)
