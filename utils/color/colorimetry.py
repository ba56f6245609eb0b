"""Colour: display curves, primaries, white balance and the matrices between camera and display.

Directions are in the names: `cam2rgb` takes white-balanced camera colours to linear sRGB. The
curves take numpy arrays and tensors, and return what they were given; the rest is numpy, with the
colours in the last axis.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:  # processes that read files (utils/processes/apart.py) need no PyTorch, whose import takes seconds
    from torch import Tensor

# Linear sRGB to CIE XYZ under D65 (IEC 61966-2-1).
RGB2XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)

# Display-encoded RGB to luma and two colour differences (BT.601, as in JPEG). Grey has differences
# of 0.
RGB2YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])

Values = TypeVar("Values", NDArray, "Tensor")


def srgb_encode(linear: Values) -> Values:
    """Applies the sRGB curve (IEC 61966-2-1): linear [0, 1] -> sRGB [0, 1]. Clips the rest."""
    backend = backend_of(linear)
    linear = backend.clip(linear, 0, 1)
    power = backend.clip(linear, 1e-4, None) ** (1 / 2.4)  # at 0 its slope is infinite, which autograd would see
    return backend.where(linear <= 0.0031308, 12.92 * linear, 1.055 * power - 0.055)


def srgb_decode(encoded: Values) -> Values:
    """Inverts `srgb_encode`: sRGB [0, 1] -> linear [0, 1]. Clips the rest."""
    backend = backend_of(encoded)
    encoded = backend.clip(encoded, 0, 1)
    return backend.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def bt709_decode(encoded: Values) -> Values:
    """Inverts the BT.709 curve: encoded [0, 1] -> linear [0, 1]. Clips the rest.

    This is the curve of LibRaw's default rendering (gamma 2.222, toe slope 4.5).
    """
    backend = backend_of(encoded)
    encoded = backend.clip(encoded, 0, 1)
    power = ((encoded + BT709_OFFSET) / (1 + BT709_OFFSET)) ** (1 / 0.45)
    return backend.where(encoded < 4.5 * BT709_TOE, encoded / 4.5, power)


BT709_OFFSET, BT709_TOE = 0.09929682680944, 0.018053968510807  # where both pieces meet smoothly (ITU-R BT.2020)


def smoothstep(linear: Values) -> Values:
    """Applies the S-shaped tone curve 3x^2 - 2x^3 of Brooks et al. to [0, 1]. Clips the rest.

    Brooks et al.: CVPR 2019, arXiv 1811.11127.
    """
    linear = backend_of(linear).clip(linear, 0, 1)
    return linear**2 * (3 - 2 * linear)


def backend_of(values: NDArray | Tensor) -> Any:
    """Returns the module, torch or numpy, whose functions take these values."""
    torch = sys.modules.get("torch")  # without it, nothing is a tensor
    return torch if torch is not None and isinstance(values, torch.Tensor) else np


def cam2rgb_from_xyz2cam(xyz2cam: ArrayLike) -> NDArray:
    """Returns the matrix from white-balanced camera colours to linear sRGB.

    It is computed as by dcraw, LibRaw and Brooks et al.: sRGB -> XYZ -> camera, with the rows
    scaled so that white stays white, inverted.

    Args:
        xyz2cam: (3, 3) the D65 matrix that camera files and Adobe's tables hold (DNG ColorMatrix2).

    Returns:
        (3, 3) with rows that sum to 1.
    """
    rgb2cam = np.asarray(xyz2cam, dtype=np.float64) @ RGB2XYZ
    rgb2cam = rgb2cam / rgb2cam.sum(axis=1, keepdims=True)
    return np.linalg.inv(rgb2cam)


def apply_matrix(colors: NDArray, matrix: NDArray) -> NDArray:
    """Multiplies every colour (..., 3) by a (3, 3) matrix."""
    return colors @ np.asarray(matrix, dtype=colors.dtype).T


def illuminant_xyz(temperature: float) -> NDArray:
    """Returns the XYZ of white, at Y = 1, under a light of a correlated colour temperature.

    From 4000 K on this is the CIE daylight locus, below it the Planckian locus in the cubic
    approximation of Kim et al. (US patent 7,024,034).

    Args:
        temperature: kelvin, 1667 to 25000.

    Raises:
        ValueError: the temperature is outside the range.
    """
    if not 1667 <= temperature <= 25000:
        raise ValueError(f"colour temperature must lie in 1667..25000 K, got {temperature}")
    inverse = 1000.0 / temperature
    if temperature >= 4000:
        warm, cool = (-4.6070, 2.9678, 0.09911, 0.244063), (-2.0064, 1.9018, 0.24748, 0.237040)
        x = np.polyval(warm if temperature <= 7000 else cool, inverse)
        y = -3.0 * x**2 + 2.870 * x - 0.275
    else:
        lowest = (-1.1063814, -1.34811020, 2.18555832, -0.20219683)
        low = (-0.9549476, -1.37418593, 2.09137015, -0.16748867)
        x = np.polyval((-0.2661239, -0.2343589, 0.8776956, 0.179910), inverse)
        y = np.polyval(lowest if temperature <= 2222 else low, x)
    return np.array([x / y, 1.0, (1 - x - y) / y])


def white_balance_gains(xyz2cam: ArrayLike, temperature: float) -> NDArray:
    """Returns the gains (3,), green = 1, that make a light neutral for a camera.

    Args:
        xyz2cam: (3, 3) XYZ to the camera's colours.
        temperature: of the light, kelvin.
    """
    neutral = np.asarray(xyz2cam, dtype=np.float64) @ illuminant_xyz(temperature)
    return neutral[1] / neutral
