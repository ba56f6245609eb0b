"""A camera of textbook steps on batches: white balance, demosaicking, colour matrix, display curve.

It has the interface of the learned camera (networks/synthesis/learned_camera.py). What it lacks in fidelity it has in
variety: every patch can be taken with another sensor, light, demosaicking and tone curve
(utils/color/simulated_camera.py).
"""

from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from cycleisp.utils.padding import reflect_pad
from cycleisp.utils.raw import bayer

# Malvar, He and Cutler, "High-quality linear interpolation for demosaicing of Bayer-patterned color images", ICASSP
# 2004: bilinear interpolation and a correction by the Laplacian of the site's own colour. Each (5, 5), times 8.
_GREEN_AT_OTHER = (
    ((0, 0, 0, 0, 0), (0, 0, 2, 0, 0), (0, 2, 0, 2, 0), (0, 0, 2, 0, 0), (0, 0, 0, 0, 0)),
    ((0, 0, -1, 0, 0), (0, 0, 0, 0, 0), (-1, 0, 4, 0, -1), (0, 0, 0, 0, 0), (0, 0, -1, 0, 0)),
)
_SAME_ROW = (
    ((0, 0, 0, 0, 0), (0, 0, 0, 0, 0), (0, 4, 0, 4, 0), (0, 0, 0, 0, 0), (0, 0, 0, 0, 0)),
    ((0, 0, 0.5, 0, 0), (0, -1, 0, -1, 0), (-1, 0, 5, 0, -1), (0, -1, 0, -1, 0), (0, 0, 0.5, 0, 0)),
)
_OPPOSITE = (
    ((0, 0, 0, 0, 0), (0, 2, 0, 2, 0), (0, 0, 0, 0, 0), (0, 2, 0, 2, 0), (0, 0, 0, 0, 0)),
    ((0, 0, -1.5, 0, 0), (0, 0, 0, 0, 0), (-1.5, 0, 6, 0, -1.5), (0, 0, 0, 0, 0), (0, 0, -1.5, 0, 0)),
)


@cache
def _filters() -> tuple[Tensor, Tensor]:
    """Bilinear part and correction, each (12, 4, 3, 3): planes R, G_r, G_b, B -> 3 colours at the 4 sites of a tile."""
    own = torch.zeros(2, 5, 5)
    own[0, 2, 2] = 8
    green, row, opposite = (torch.tensor(pair, dtype=torch.float32) for pair in (_GREEN_AT_OTHER, _SAME_ROW, _OPPOSITE))
    column = row.transpose(-2, -1)
    at_sites = (  # colour -> its filter at the sites R, G_r, G_b, B
        (own, row, column, opposite),
        (green, own, own, green),
        (opposite, column, row, own),
    )
    packed = torch.zeros(2, 12, 4, 3, 3)
    for color, filters in enumerate(at_sites):
        for site, kernel in enumerate(filters):
            for row_offset in range(-2, 3):
                for column_offset in range(-2, 3):
                    down, right = site // 2 + row_offset, site % 2 + column_offset
                    plane = 2 * (down % 2) + right % 2
                    packed[:, 4 * color + site, plane, 1 + down // 2, 1 + right // 2] = (
                        kernel[:, 2 + row_offset, 2 + column_offset] / 8
                    )
    return packed[0], packed[1]


def demosaic(packed_raw: Tensor, gradient: Tensor) -> Tensor:
    """Linear demosaicking of packed RGGB RAW (B, 4, H/2, W/2) -> camera colours (B, 3, H, W), not clipped.

    Args:
        packed_raw: any range, at least 2x2 tiles.
        gradient: (B,) part of Malvar et al.'s gradient correction: 0 is bilinear, 1 theirs.
    """
    padded = bayer.pack(reflect_pad(bayer.unpack(packed_raw), (2, 2, 2, 2)))  # reflection keeps the Bayer phase
    bilinear, correction = (F.conv2d(padded, kernel.to(padded)) for kernel in _filters())
    return F.pixel_shuffle(bilinear + gradient.view(-1, 1, 1, 1) * correction, 2)


def srgb_encode(linear: Tensor) -> Tensor:
    """Linear light -> sRGB (IEC 61966-2-1), any shape; clips to [0, 1]."""
    linear = linear.clamp(0, 1)
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp(min=1e-4) ** (1 / 2.4) - 0.055)


def srgb_decode(encoded: Tensor) -> Tensor:
    """The inverse of `srgb_encode`."""
    encoded = encoded.clamp(0, 1)
    return torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _apply_matrix(colors: Tensor, matrix: Tensor) -> Tensor:
    """(B, 3, H, W) times (B, 3, 3)."""
    return torch.einsum("bij,bjhw->bihw", matrix, colors)


@dataclass(frozen=True)
class ClassicalCamera:
    """One camera a patch.

    Attributes:
        cam2rgb: (B, 3, 3) white-balanced camera colours to linear sRGB.
        white_balance: (B, 3) gains for R, G, B, green = 1.
        demosaicking: (B,) 0 bilinear, 1 gradient-corrected.
        contrast: (B,) part of the tone curve 3x^2 - 2x^3 in the display curve; 0 is sRGB alone.
    """

    cam2rgb: Tensor
    white_balance: Tensor
    demosaicking: Tensor
    contrast: Tensor

    def camera_rgb(self, photos: Tensor) -> Tensor:
        """Camera colours at every pixel (B, 3, H, W), linear, in [0, 1], of sRGB photos (B, 3, H, W)."""
        linear = _apply_matrix(srgb_decode(photos), torch.linalg.inv(self.cam2rgb))
        return (linear / self._gains()).clamp(0, 1)

    def expose(self, photos: Tensor) -> Tensor:
        """Photos (B, 3, H, W) in [0, 1] -> clean packed RAW (B, 4, H/2, W/2) in [0, 1]."""
        return self.sample(self.camera_rgb(photos))

    @staticmethod
    def sample(camera_rgb: Tensor) -> Tensor:
        """Camera colours (B, 3, H, W) -> packed RAW (B, 4, H/2, W/2)."""
        return bayer.pack(bayer.mosaic(camera_rgb, "RGGB"))

    def develop(self, packed_raw: Tensor) -> Tensor:
        """Packed RAW (B, 4, H/2, W/2) -> sRGB (B, 3, H, W) in [0, 1]."""
        balanced = packed_raw * self._gains()[:, [0, 1, 1, 2]]  # before demosaicking, which compares the colours
        return self._render(demosaic(balanced.clamp(0, 1), self.demosaicking))

    def render(self, camera_rgb: Tensor) -> Tensor:
        """Camera colours at every pixel (B, 3, H, W), linear -> sRGB (B, 3, H, W) in [0, 1]."""
        return self._render(camera_rgb * self._gains())

    def _render(self, balanced: Tensor) -> Tensor:
        """White-balanced camera colours -> sRGB."""
        encoded = srgb_encode(_apply_matrix(balanced.clamp(0, 1), self.cam2rgb))
        toned = encoded**2 * (3 - 2 * encoded)
        return encoded + self.contrast.view(-1, 1, 1, 1) * (toned - encoded)

    def _gains(self) -> Tensor:
        """(B, 3, 1, 1), the smallest is 1: white stays within [0, 1] on the sensor."""
        return (self.white_balance / self.white_balance.amin(1, keepdim=True))[..., None, None]
