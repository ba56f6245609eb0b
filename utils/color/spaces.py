"""RGB colour spaces by their primaries and curves, and the way from them to sRGB.

Photos come in Adobe RGB, Display P3, ProPhoto and others, while the networks expect sRGB. A space
is described as ICC does it: a curve for each channel, then a matrix to CIE XYZ under D50.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cycleisp.utils.color.colorimetry import bt709_decode, srgb_decode, srgb_encode

Curve = Callable[[NDArray], NDArray]  # encoded [0, 1] -> linear, elementwise

D50 = np.array([0.9642, 1.0, 0.8249])  # the white of ICC's connection space
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
LEVEL = 1 / 255  # colours that move by no more than this stay as they are
_STRIP = 1 << 22  # pixels that are converted at a time

_D65, _C, _DCI = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)
_WIDE_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
_NTSC = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65)
BT709 = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65)
# Chromaticities of red, green, blue and white, by the code points of ITU-T H.273.
PRIMARIES = {
    1: BT709,
    4: ((0.670, 0.330), (0.210, 0.710), (0.140, 0.080), _C),
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), _D65),
    6: _NTSC,
    7: _NTSC,
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: (*_WIDE_P3, _DCI),
    12: (*_WIDE_P3, _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}  # of H.273; they hold more light than sRGB can


@dataclass(frozen=True)
class ColorSpace:
    """An RGB colour space.

    Attributes:
        name: for messages.
        to_xyz: (3, 3) linear RGB to XYZ under D50, so that (1, 1, 1) becomes D50.
        curves: what makes R, G and B linear.
    """

    name: str
    to_xyz: NDArray
    curves: tuple[Curve, Curve, Curve]


def gamma(power: float) -> Curve:
    """Returns the curve x ** power."""
    return lambda encoded: np.clip(encoded, 0, 1) ** power


def space(name: str, primaries: ArrayLike, curve: Curve) -> ColorSpace:
    """Returns a colour space with one curve for all channels.

    Args:
        name: for messages.
        primaries: (4, 2) chromaticities x, y of red, green, blue and white.
        curve: encoded to linear.

    Raises:
        ValueError: no colours have these primaries.
    """
    return ColorSpace(name, _to_xyz(np.asarray(primaries, np.float64)), (curve, curve, curve))


def space_of_codes(primaries: int, transfer: int) -> ColorSpace | None:
    """Returns the colour space of two code points of ITU-T H.273, as cICP and HEIF hold them.

    Returns:
        The space; None for codes that describe none that sRGB could show: unspecified and reserved
        codes, and the curves of HDR.
    """
    curves: dict[int, Curve] = {
        **dict.fromkeys((1, 6, 14, 15), bt709_decode),
        4: gamma(2.2),
        5: gamma(2.8),
        8: gamma(1.0),
        13: srgb_decode,
        17: gamma(2.6),
    }
    if primaries not in PRIMARIES or transfer not in curves:
        return None
    return space(f"colour codes {primaries} and {transfer}", PRIMARIES[primaries], curves[transfer])


def _to_xyz(primaries: NDArray) -> NDArray:
    """Returns the matrix of primaries (4, 2), with white adapted to D50 as Bradford does it."""
    x, y = primaries.T
    if primaries.shape != (4, 2) or not (np.isfinite(primaries).all() and (np.abs(y) > 1e-6).all()):
        raise ValueError("these chromaticities are not of colours")
    colors = np.stack([x / y, np.ones(4), (1 - x - y) / y])  # columns: red, green, blue, white
    if abs(np.linalg.det(colors[:, :3])) < 1e-4:
        raise ValueError("these primaries lie on one line")
    white = colors[:, 3]
    linear = colors[:, :3] * np.linalg.solve(colors[:, :3], white)
    cones, target = BRADFORD @ white, BRADFORD @ D50
    if (np.abs(cones) < 1e-6).any():
        raise ValueError("this white is none")
    return np.linalg.inv(BRADFORD) @ np.diag(target / cones) @ BRADFORD @ linear


SRGB = space("sRGB", BT709, srgb_decode)
ADOBE_RGB = space("Adobe RGB", ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), _D65), gamma(563 / 256))
DISPLAY_P3 = space("Display P3", PRIMARIES[12], srgb_decode)
_FROM_XYZ = np.linalg.inv(SRGB.to_xyz)


def to_srgb(photo: NDArray, colors: ColorSpace) -> NDArray:
    """Converts a photo to sRGB. Colours that sRGB lacks are clipped, channel by channel.

    Args:
        photo: (H, W, 3) uint8 or uint16.
        colors: the space that it is in.

    Returns:
        A new array like `photo`, rounded; or `photo` itself, if no colour of the space moves by
        more than one level of 255.
    """
    top = np.iinfo(photo.dtype).max
    grid = color_grid()
    if np.abs(_converted(grid / 255, colors) - grid / 255).max() <= LEVEL:
        return photo
    levels = np.arange(top + 1) / top
    tables = [np.asarray(curve(levels), np.float32) for curve in colors.curves]
    matrix = (_FROM_XYZ @ colors.to_xyz).astype(np.float32)
    converted = np.empty_like(photo)
    rows = max(1, _STRIP // photo.shape[1])
    for start in range(0, len(photo), rows):
        strip = photo[start : start + rows]
        linear = np.stack([table[strip[..., channel]] for channel, table in enumerate(tables)], axis=-1)
        converted[start : start + rows] = np.rint(srgb_encode(linear @ matrix.T) * top)
    return converted


def color_grid() -> NDArray[np.uint8]:
    """Returns colours (N, 1, 3) by which two conversions are compared: a cube and all greys."""
    steps = np.linspace(0, 255, 9)
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    greys = np.repeat(np.arange(256)[:, None, None], 3, axis=2)
    return np.concatenate([cube, greys]).round().astype(np.uint8)


def _converted(encoded: NDArray, colors: ColorSpace) -> NDArray:
    """Converts colours (..., 3) in [0, 1] to sRGB, in double precision."""
    linear = np.stack([curve(encoded[..., channel]) for channel, curve in enumerate(colors.curves)], axis=-1)
    return srgb_encode(linear @ (_FROM_XYZ @ colors.to_xyz).T)
