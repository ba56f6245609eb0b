"""Conversion of photos to sRGB by their ICC profiles.

LittleCMS, which Pillow brings along, converts 8 bits, whatever the kind of profile. Pillow gives it
no RGB of 16 bits. These go through curves and matrix in floating point (utils/color/spaces.py),
where that agrees with LittleCMS on a grid of colours.
"""

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from cycleisp.utils.color.icc import ProfileError, TablesError, codes_of, colors_of, space_of_profile
from cycleisp.utils.color.spaces import HDR_TRANSFERS, color_grid, to_srgb

CHANNELS = {"GRAY": 1, "RGB": 3, "CMYK": 4}
_MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}
_AGREE = 2  # levels of 255: LittleCMS computes matrices with 14 bits
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
_EXACT = ImageCms.Flags.NOOPTIMIZE  # six times slower; without it, grey shadows of a linear profile are 10 levels off


class HdrError(ProfileError):
    """Colours of high dynamic range, which no conversion brings into sRGB without loss."""


def profile_to_srgb(pixels: NDArray, profile: bytes) -> NDArray:
    """Converts a photo to sRGB by its profile.

    The intent is relative colorimetric with black point compensation, as in photo editors.

    Args:
        pixels: (H, W) grey, (H, W, 3) RGB, or (H, W, 4) CMYK of 8 bits; uint8 or uint16.
        profile: an ICC profile of these colours.

    Returns:
        (H, W, 3) of the same type. Pixels of RGB and grey come back exactly as they were where the
        profile moves no colour by more than one level of 255.

    Raises:
        HdrError: the profile describes PQ or HLG.
        TablesError: the photo has 16 bits, and the profile tables.
        ProfileError: the profile is damaged, or describes other colours.
    """
    kind, channels = colors_of(profile), 1 if pixels.ndim == 2 else pixels.shape[2]
    codes = codes_of(profile)
    if codes is not None and codes[1] in HDR_TRANSFERS:
        raise HdrError(f"describes HDR ({HDR_TRANSFERS[codes[1]]})")
    if CHANNELS.get(kind) != channels:
        raise ProfileError(f"describes {kind} colours, which the picture has not")
    if kind != "CMYK" and _is_srgb(profile):
        return _as_rgb(pixels)
    if pixels.dtype == np.uint8:
        if kind == "GRAY":
            levels = np.arange(256, dtype=np.uint8)[:, None]
            return _with_littlecms(levels, profile, _EXACT)[:, 0][pixels]
        return _with_littlecms(pixels, profile)
    colors = space_of_profile(profile)
    grid = _grid_of(kind)
    difference = _with_littlecms(grid, profile, _EXACT).astype(int) - to_srgb(_as_rgb(grid), colors)
    if np.abs(difference).max() > _AGREE:
        raise TablesError("is of a kind that is converted in 8 bits only")
    shown = to_srgb(_as_rgb(pixels), colors)
    return _as_rgb(shown[..., 1]) if kind == "GRAY" else shown  # equal channels, whatever the last digit


@lru_cache(maxsize=64)
def _is_srgb(profile: bytes) -> bool:
    """Tells whether a profile leaves all colours where they are, to one level of 255."""
    grid = _grid_of(colors_of(profile))
    return bool(np.abs(_with_littlecms(grid, profile, _EXACT).astype(int) - _as_rgb(grid)).max() <= 1)


def _grid_of(kind: str) -> NDArray[np.uint8]:
    grid = color_grid()
    return np.ascontiguousarray(grid[..., 0]) if kind == "GRAY" else grid


def _as_rgb(pixels: NDArray) -> NDArray:
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def _with_littlecms(pixels: NDArray, profile: bytes, flags: ImageCms.Flags = _FLAGS) -> NDArray[np.uint8]:
    mode = _MODES[colors_of(profile)]
    try:
        source = ImageCms.getOpenProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        transform = ImageCms.buildTransform(source, target, mode, "RGB", intent, _FLAGS | flags)
        return np.asarray(ImageCms.applyTransform(Image.fromarray(pixels, mode), transform))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        raise ProfileError(f"cannot be used ({error})") from None
