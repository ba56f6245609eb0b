"""The Bayer colour filter array: patterns, mosaics and packed RAW.

A `pattern` is the 2x2 tile read row by row from the top-left pixel. The functions take torch
tensors of any leading shape (..., H, W) and return views or copies of the same type and range.
`pack`, `unpack` and `pad_to_rggb` take arrays, too, since files are worked on without PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # processes that read files (utils/processes/apart.py) need no PyTorch, whose import takes seconds
    from torch import Tensor

Values = TypeVar("Values", "Tensor", NDArray)
PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")

# Rows and columns to skip so that a mosaic of the pattern begins with the red pixel of an RGGB
# tile.
_RED_AT = {"RGGB": (0, 0), "GRBG": (0, 1), "GBRG": (1, 0), "BGGR": (1, 1)}


def check_pattern(pattern: str) -> str:
    """Returns `pattern` if it is one of PATTERNS, and raises a ValueError otherwise."""
    if pattern not in PATTERNS:
        raise ValueError(f"unknown Bayer pattern {pattern!r}; expected one of {', '.join(PATTERNS)}")
    return pattern


def _check_even(height: int, width: int) -> None:
    if height % 2 or width % 2:
        raise ValueError(f"a Bayer mosaic has even sides, got {height}x{width}; crop first")


def mosaic(rgb: Tensor, pattern: str) -> Tensor:
    """Keeps at every pixel the one colour that its filter lets through.

    Args:
        rgb: (..., 3, H, W) camera colours, H and W even.
        pattern: the Bayer tile of the mosaic.

    Returns:
        (..., 1, H, W)

    Raises:
        ValueError: unknown pattern, odd sides or not three channels.
    """
    check_pattern(pattern)
    if rgb.shape[-3] != 3:
        raise ValueError(f"expected (..., 3, H, W) camera colours, got {tuple(rgb.shape)}")
    _check_even(*rgb.shape[-2:])
    sampled = rgb.new_empty(rgb[..., :1, :, :].shape)
    for site, color in enumerate(pattern):
        row, column = divmod(site, 2)
        sampled[..., 0, row::2, column::2] = rgb[..., "RGB".index(color), row::2, column::2]
    return sampled


def pack(mosaic: Values) -> Values:
    """Packs an RGGB mosaic (..., 1, H, W) into planes R, G_r, G_b, B (..., 4, H/2, W/2).

    Raises:
        ValueError: an odd side.
    """
    _check_even(*mosaic.shape[-2:])
    if isinstance(mosaic, np.ndarray):
        return np.concatenate([mosaic[..., row::2, column::2] for row in (0, 1) for column in (0, 1)], axis=-3)
    from torch.nn.functional import pixel_unshuffle

    return pixel_unshuffle(mosaic, 2)


def unpack(packed: Values) -> Values:
    """Inverts `pack`: planes R, G_r, G_b, B (..., 4, H, W) -> RGGB mosaic (..., 1, 2H, 2W)."""
    if isinstance(packed, np.ndarray):
        *leading, _, height, width = packed.shape
        mosaic = np.empty((*leading, 1, 2 * height, 2 * width), packed.dtype)
        for site in range(4):
            mosaic[..., 0, site // 2 :: 2, site % 2 :: 2] = packed[..., site, :, :]
        return mosaic
    from torch.nn.functional import pixel_shuffle

    return pixel_shuffle(packed, 2)


def rggb_window(height: int, width: int, pattern: str) -> tuple[slice, slice]:
    """Returns the largest window of a mosaic that is an RGGB mosaic with even sides.

    CycleISP unifies its training data in this way: by cropping, which moves no pixel. Crop the
    rendered photo by the same window.

    Args:
        height, width: of the mosaic.
        pattern: of the mosaic.

    Returns:
        Rows and columns of the window.

    Raises:
        ValueError: unknown pattern, or a mosaic too small to hold one tile.
    """
    top, left = _RED_AT[check_pattern(pattern)]
    rows, columns = (height - top) // 2 * 2, (width - left) // 2 * 2
    if rows < 2 or columns < 2:
        raise ValueError(f"a {height}x{width} mosaic of {pattern} holds no whole RGGB tile")
    return slice(top, top + rows), slice(left, left + columns)


def rggb_planes(mosaic: NDArray[np.float32], pattern: str) -> NDArray[np.float32]:
    """Returns the planes R, G_r, G_b, B (4, h, w) of a mosaic (H, W) of any size and pattern.

    They are those of the whole RGGB tiles in it.

    Raises:
        ValueError: as `rggb_window`.
    """
    height, width = mosaic.shape
    rows, columns = rggb_window(height, width, pattern)
    tiles = mosaic[rows, columns]
    return np.stack([tiles[row::2, column::2] for row in (0, 1) for column in (0, 1)])


def pad_to_rggb(mosaic: Values, pattern: str, multiple: int) -> tuple[Values, tuple[slice, slice]]:
    """Pads a mosaic of any size by reflection to an RGGB one whose sides are multiples of a number.

    Reflection about a pixel keeps every colour on its sites, so that the padding consists of true
    neighbours. No pixel is lost: `padded[..., rows, columns]` with the returned window is the
    mosaic again. (A side of one pixel has no neighbours, so it is repeated.)

    Args:
        mosaic: (..., H, W).
        pattern: of the mosaic.
        multiple: even number that divides the padded sides.

    Returns:
        (..., H', W') with H', W' multiples of `multiple`, and the window (rows, columns) of the
        mosaic
        in it.

    Raises:
        ValueError: unknown pattern, or an odd `multiple`.
    """
    if multiple % 2:
        raise ValueError(f"expected an even multiple, got {multiple}")
    height, width = mosaic.shape[-2:]
    top, left = _RED_AT[check_pattern(pattern)]
    padding = (left, -(width + left) % multiple, top, -(height + top) % multiple)
    window = slice(top, top + height), slice(left, left + width)
    if isinstance(mosaic, np.ndarray):
        around: list[tuple[int, int]] = [(0, 0)] * (mosaic.ndim - 2) + [padding[2:], padding[:2]]
        return np.pad(mosaic, around, mode="reflect"), window
    from cycleisp.utils.padding import reflect_pad

    return reflect_pad(mosaic, padding), window


def flip_to_rggb(mosaic: Tensor, pattern: str) -> Tensor:
    """Mirrors a mosaic (..., H, W) with even sides so that it becomes RGGB.

    The same call undoes it, so no pixel is lost. GBRG becomes RGGB by a vertical flip, GRBG by a
    horizontal one, BGGR by both. Benchmarks are unified in this way, since every pixel is scored.

    Raises:
        ValueError: unknown pattern, or an odd side.
    """
    _check_even(*mosaic.shape[-2:])
    vertical, horizontal = _RED_AT[check_pattern(pattern)]
    dims = [-2] * vertical + [-1] * horizontal
    return mosaic.flip(dims) if dims else mosaic


def augment(
    mosaic: Tensor, image: Tensor, flip_rows: bool, flip_columns: bool, transpose: bool
) -> tuple[Tensor, Tensor]:
    """Mirrors and transposes an RGGB mosaic and its photo together, so that it stays RGGB.

    A flip of an even mosaic moves red by one pixel. Therefore one pixel is cut from either end of a
    flipped side, and two from the far end of a side that is not flipped, so that the size is the
    same in all eight cases.

    Args:
        mosaic: (..., H, W) RGGB, even sides.
        image: (..., H, W) pixel-aligned with the mosaic.

    Returns:
        Both, (..., H - 2, W - 2), or (..., W - 2, H - 2) if transposed.
    """
    _check_even(*mosaic.shape[-2:])
    dims = [-2] * flip_rows + [-1] * flip_columns
    rows = slice(1, -1) if flip_rows else slice(0, -2)
    columns = slice(1, -1) if flip_columns else slice(0, -2)

    def apply(array: Tensor) -> Tensor:
        array = array.flip(dims)[..., rows, columns]
        return array.transpose(-2, -1) if transpose else array

    return apply(mosaic), apply(image)
