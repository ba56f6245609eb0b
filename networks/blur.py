"""A fixed Gaussian blur, for the colour branch and for photos whose own noise must go."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cycleisp.utils.padding import reflect_pad


def gaussian_taps(sigma: float, radius: int) -> Tensor:
    """(2 * radius + 1,) Gaussian weights that sum to 1; sigma and radius in pixels."""
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    return (weights / weights.sum()).float()


class GaussianBlur(nn.Module):
    """Fixed separable blur of an image (B, C, H, W), reflected at the borders. Holds no parameters."""

    taps: Tensor

    def __init__(self, sigma: float, radius: int) -> None:
        super().__init__()
        self.register_buffer("taps", gaussian_taps(sigma, radius), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        channels, radius = image.shape[1], self.taps.numel() // 2
        image = reflect_pad(image, (radius, radius, radius, radius))
        taps = self.taps.to(image.dtype).repeat(channels, 1)
        image = F.conv2d(image, taps.view(channels, 1, -1, 1), groups=channels)
        return F.conv2d(image, taps.view(channels, 1, 1, -1), groups=channels)
