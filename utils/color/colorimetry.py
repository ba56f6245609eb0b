"""Colour: display curves, primaries, white balance and the matrices between camera and display.

Directions are in the names: `cam2rgb` takes white-balanced camera colours to linear sRGB. Arrays are numpy, colours in
the last axis.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Linear sRGB to CIE XYZ under D65 (IEC 61966-2-1).
RGB2XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)

# Display-encoded RGB to luma and two colour differences (BT.601, as in JPEG); of grey the differences are 0.
RGB2YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])


def srgb_encode(linear: NDArray) -> NDArray:
    """Linear [0, 1] -> sRGB [0, 1] (IEC 61966-2-1). Values outside are clipped."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def srgb_decode(encoded: NDArray) -> NDArray:
    """sRGB [0, 1] -> linear [0, 1]; the inverse of `srgb_encode`."""
    encoded = np.clip(encoded, 0, 1)
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def bt709_encode(linear: NDArray) -> NDArray:
    """Linear [0, 1] -> the BT.709 curve [0, 1], LibRaw's default (gamma 2.222, toe slope 4.5). Clips."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear < _BT709_TOE, 4.5 * linear, (1 + _BT709_OFFSET) * linear**0.45 - _BT709_OFFSET)


def bt709_decode(encoded: NDArray) -> NDArray:
    """The BT.709 curve [0, 1] -> linear [0, 1]; the inverse of `bt709_encode`."""
    encoded = np.clip(encoded, 0, 1)
    power = ((encoded + _BT709_OFFSET) / (1 + _BT709_OFFSET)) ** (1 / 0.45)
    return np.where(encoded < 4.5 * _BT709_TOE, encoded / 4.5, power)


_BT709_OFFSET, _BT709_TOE = 0.09929682680944, 0.018053968510807  # where both pieces meet smoothly (ITU-R BT.2020)


def smoothstep(linear: NDArray) -> NDArray:
    """The S-shaped tone curve 3x^2 - 2x^3 of Brooks et al. (arXiv 1811.11127), [0, 1] -> [0, 1]. Clips."""
    linear = np.clip(linear, 0, 1)
    return linear**2 * (3 - 2 * linear)


def inverse_smoothstep(toned: NDArray) -> NDArray:
    """The inverse of `smoothstep`, [0, 1] -> [0, 1]."""
    return 0.5 - np.sin(np.arcsin(1 - 2 * np.clip(toned, 0, 1)) / 3)


def cam2rgb_from_xyz2cam(xyz2cam: ArrayLike) -> NDArray:
    """Matrix from white-balanced camera colours to linear sRGB.

    As dcraw, LibRaw and Brooks et al. do it: sRGB -> XYZ -> camera, rows scaled so that white stays white, inverted.

    Args:
        xyz2cam: (3, 3) the D65 matrix that camera files and Adobe's tables give (DNG ColorMatrix2).

    Returns:
        (3, 3) whose rows sum to 1.
    """
    rgb2cam = np.asarray(xyz2cam, dtype=np.float64) @ RGB2XYZ
    rgb2cam = rgb2cam / rgb2cam.sum(axis=1, keepdims=True)
    return np.linalg.inv(rgb2cam)


def apply_matrix(colors: NDArray, matrix: NDArray) -> NDArray:
    """Multiply every colour (..., 3) by a (3, 3) matrix."""
    return colors @ np.asarray(matrix, dtype=colors.dtype).T


def illuminant_xyz(temperature: float) -> NDArray:
    """XYZ of white at Y = 1 for a light of the given correlated colour temperature in kelvin, 1667 to 25000.

    From 4000 K the CIE daylight locus, below it the Planckian locus in the cubic approximation of Kim et al. (US patent
    7,024,034).

    Raises:
        ValueError: temperature outside the range.
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
    """Gains (3,) that make a light of `temperature` kelvin neutral for a camera, green = 1."""
    neutral = np.asarray(xyz2cam, dtype=np.float64) @ illuminant_xyz(temperature)
    return neutral[1] / neutral
