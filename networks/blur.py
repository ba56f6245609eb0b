"""Gaussian blur, for the colour branch and for photos whose own noise must go."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cycleisp.utils.gaussian import gaussian_taps
from cycleisp.utils.padding import reflect_pad


def blur_planes(image: Tensor, taps: Tensor) -> Tensor:
    """Blurs every channel of (B, C, H, W) with its own taps (C, 2 * radius + 1).

    The image is reflected at its borders.
    """
    channels, radius = image.shape[1], taps.shape[1] // 2
    image = reflect_pad(image, (radius, radius, radius, radius))
    image = F.conv2d(image, taps.view(channels, 1, -1, 1), groups=channels)
    return F.conv2d(image, taps.view(channels, 1, 1, -1), groups=channels)


class GaussianBlur(nn.Module):
    """A fixed Gaussian blur of images (B, C, H, W). It has no parameters."""

    taps: Tensor

    def __init__(self, sigma: float, radius: int) -> None:
        super().__init__()
        # On the CPU where a network is built on `meta`, which is slow at all but plain layers.
        place = "cpu" if torch.empty(0).is_meta else None
        taps = gaussian_taps(torch.full((), sigma, dtype=torch.float64, device=place), radius).float()
        self.register_buffer("taps", taps, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        return blur_planes(image, self.taps.to(image.dtype).repeat(image.shape[1], 1))
