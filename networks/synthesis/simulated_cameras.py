"""Batches of simulated cameras, which compute by formulas what the learned camera has learned.

The formulas are white balance, demosaicking, colour matrix and display curve. The matrix and the
light of each camera are those of a `SimulatedCamera` (utils/color/simulated_camera.py), and the
methods are those of the learned camera (networks/synthesis/learned_camera.py). Simulated cameras
are less faithful than the learned one, but more varied: every patch can be taken with another
sensor, light, demosaicking and tone curve.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from cycleisp.utils.color.colorimetry import smoothstep, srgb_decode, srgb_encode
from cycleisp.utils.padding import reflect_pad
from cycleisp.utils.raw import bayer

# Malvar, He and Cutler, "High-quality linear interpolation for demosaicing of Bayer-patterned color
# images", ICASSP 2004: bilinear interpolation and a correction by the Laplacian of the site's own
# colour. Each (5, 5), times 8.
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
@torch.inference_mode(False)  # else filters made in that mode would be of no use to autograd later
def _malvar_filters() -> tuple[Tensor, Tensor]:
    """Returns the bilinear filters and their corrections, each (12, 4, 3, 3).

    They take the planes R, G_r, G_b, B to three colours at the four sites of a tile.
    """
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


def demosaic_malvar(packed_raw: Tensor, gradient: Tensor) -> Tensor:
    """Interpolates the missing colours by the linear filters of Malvar et al.

    Args:
        packed_raw: (B, 4, H/2, W/2) RGGB, any range, at least 2x2 tiles.
        gradient: (B,) part of Malvar et al.'s gradient correction: 0 is bilinear, 1 is theirs.

    Returns:
        (B, 3, H, W) camera colours, not clipped.
    """
    padded = bayer.pack(reflect_pad(bayer.unpack(packed_raw), (2, 2, 2, 2)))  # reflection keeps the Bayer phase
    bilinear, correction = (F.conv2d(padded, kernel.to(padded)) for kernel in _malvar_filters())
    return F.pixel_shuffle(bilinear + gradient.view(-1, 1, 1, 1) * correction, 2)


def _apply_matrices(images: Tensor, matrices: Tensor) -> Tensor:
    """Multiplies the colours of every image (B, 3, H, W) by the image's own matrix (B, 3, 3)."""
    return torch.einsum("bij,bjhw->bihw", matrices, images)


@dataclass(frozen=True)
class SimulatedCameras:
    """A batch of simulated cameras, one for each image.

    Attributes:
        cam2rgb: (B, 3, 3) white-balanced camera colours to linear sRGB, as in `SimulatedCamera`.
        white_balance: (B, 3) gains for R, G, B, green = 1, as in `SimulatedCamera`.
        demosaicking: (B,) 0 bilinear, 1 gradient-corrected.
        contrast: (B,) part of the tone curve 3x^2 - 2x^3 in the display curve; 0 is sRGB alone.
    """

    cam2rgb: Tensor
    white_balance: Tensor
    demosaicking: Tensor
    contrast: Tensor

    @classmethod
    def from_batch(cls, batch: Mapping[str, Tensor]) -> "SimulatedCameras":
        """Returns the cameras of a batch of patches, whose keys are named as the attributes."""
        return cls(**{field.name: batch[field.name] for field in fields(cls)})

    def camera_rgb(self, photos: Tensor) -> Tensor:
        """Sends sRGB photos (B, 3, H, W) backwards to the sensors.

        Unlike `SimulatedCamera.unprocess` this inverts the sRGB curve, and clips highlights as a
        sensor does.

        Returns:
            (B, 3, H, W) camera colours at every pixel, linear, in [0, 1].
        """
        linear = _apply_matrices(srgb_decode(photos), torch.linalg.inv(self.cam2rgb))
        return (linear / self._gains()).clamp(0, 1)

    def expose(self, photos: Tensor) -> Tensor:
        """Converts photos (B, 3, H, W) in [0, 1] to clean packed RAW (B, 4, H/2, W/2) in [0, 1]."""
        return self.sample(self.camera_rgb(photos))

    @staticmethod
    def sample(camera_rgb: Tensor) -> Tensor:
        """Samples camera colours (B, 3, H, W) to packed RAW (B, 4, H/2, W/2)."""
        return bayer.pack(bayer.mosaic(camera_rgb, "RGGB"))

    def develop(self, packed_raw: Tensor) -> Tensor:
        """Renders packed RAW (B, 4, H/2, W/2) as sRGB (B, 3, H, W) in [0, 1]."""
        balanced = packed_raw * self._gains()[:, [0, 1, 1, 2]]  # before demosaicking, which compares the colours
        return self._render_balanced(demosaic_malvar(balanced.clamp(0, 1), self.demosaicking))

    def render(self, camera_rgb: Tensor) -> Tensor:
        """Renders linear camera colours at every pixel (B, 3, H, W) as sRGB in [0, 1]."""
        return self._render_balanced(camera_rgb * self._gains())

    def _render_balanced(self, balanced: Tensor) -> Tensor:
        """Renders white-balanced camera colours as sRGB."""
        encoded = srgb_encode(_apply_matrices(balanced.clamp(0, 1), self.cam2rgb))
        return encoded + self.contrast.view(-1, 1, 1, 1) * (smoothstep(encoded) - encoded)

    def _gains(self) -> Tensor:
        """Returns gains (B, 3, 1, 1) whose smallest is 1, so that white fits into [0, 1]."""
        return (self.white_balance / self.white_balance.amin(1, keepdim=True))[..., None, None]
