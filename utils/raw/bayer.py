"""The Bayer colour filter array: patterns, mosaics and packed RAW.

A `pattern` is the 2x2 tile read row by row from the top-left pixel. The functions take torch tensors of any leading
shape (..., H, W) and give back views or copies of the same type and range.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from cycleisp.utils.padding import reflect_pad

PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")

# Rows and columns to skip so that a mosaic of the pattern begins with the red pixel of an RGGB tile.
_RED_AT = {"RGGB": (0, 0), "GRBG": (0, 1), "GBRG": (1, 0), "BGGR": (1, 1)}


def check_pattern(pattern: str) -> str:
    """Return `pattern` if it is one of PATTERNS, else raise a ValueError."""
    if pattern not in PATTERNS:
        raise ValueError(f"unknown Bayer pattern {pattern!r}; expected one of {', '.join(PATTERNS)}")
    return pattern


def _check_even(height: int, width: int) -> None:
    if height % 2 or width % 2:
        raise ValueError(f"a Bayer mosaic has even sides, got {height}x{width}; crop first")


def mosaic(rgb: Tensor, pattern: str) -> Tensor:
    """Keep at every pixel the one colour that its filter lets through.

    Args:
        rgb: (..., 3, H, W) camera colours, H and W even.
        pattern: the tile of the mosaic to make.

    Returns:
        (..., 1, H, W)

    Raises:
        ValueError: unknown pattern, odd sides or not three channels.
    """
    check_pattern(pattern)
    if rgb.shape[-3] != 3:
        raise ValueError(f"expected (..., 3, H, W) camera colours, got {tuple(rgb.shape)}")
    _check_even(*rgb.shape[-2:])
    sampled = torch.empty_like(rgb[..., :1, :, :])
    for site, color in enumerate(pattern):
        row, column = divmod(site, 2)
        sampled[..., 0, row::2, column::2] = rgb[..., "RGB".index(color), row::2, column::2]
    return sampled


def pack(mosaic: Tensor) -> Tensor:
    """RGGB mosaic (..., 1, H, W), even sides -> planes R, G_r, G_b, B (..., 4, H/2, W/2). Raises ValueError on odd."""
    _check_even(*mosaic.shape[-2:])
    return F.pixel_unshuffle(mosaic, 2)


def unpack(packed: Tensor) -> Tensor:
    """Planes R, G_r, G_b, B (..., 4, H, W) -> RGGB mosaic (..., 1, 2H, 2W); the inverse of `pack`."""
    return F.pixel_shuffle(packed, 2)


def rggb_window(height: int, width: int, pattern: str) -> tuple[slice, slice]:
    """The largest window (rows, columns) of an H x W mosaic of `pattern` that is an RGGB mosaic with even sides.

    CycleISP unifies its training data so: by cropping, which moves nothing. Crop the rendered photo by the same window.
    Raises ValueError if the mosaic is too small to hold one tile.
    """
    top, left = _RED_AT[check_pattern(pattern)]
    rows, columns = (height - top) // 2 * 2, (width - left) // 2 * 2
    if rows < 2 or columns < 2:
        raise ValueError(f"a {height}x{width} mosaic of {pattern} holds no whole RGGB tile")
    return slice(top, top + rows), slice(left, left + columns)


def pad_to_rggb(mosaic: Tensor, pattern: str, multiple: int) -> tuple[Tensor, tuple[slice, slice]]:
    """Reflect-pad a mosaic (..., H, W) of `pattern`, any size, to an RGGB one with sides of whole multiples.

    Reflection about a pixel keeps every colour on its sites, so the padding is made of true neighbours. No pixel is
    lost: `padded[..., rows, columns]` with the window that comes back is the mosaic again. (A side of one pixel has no
    neighbours; it is repeated.)

    Returns:
        (..., H', W') with H', W' multiples of `multiple`, and the window (rows, columns) of the mosaic in it.

    Raises:
        ValueError: unknown pattern, or an odd `multiple`.
    """
    if multiple % 2:
        raise ValueError(f"expected an even multiple, got {multiple}")
    height, width = mosaic.shape[-2:]
    top, left = _RED_AT[check_pattern(pattern)]
    padding = (left, -(width + left) % multiple, top, -(height + top) % multiple)
    return reflect_pad(mosaic, padding), (slice(top, top + height), slice(left, left + width))


def flip_to_rggb(mosaic: Tensor, pattern: str) -> Tensor:
    """Mirror a mosaic (..., H, W), even sides, so that it reads RGGB. The same call undoes it: no pixel is lost.

    GBRG becomes RGGB by a vertical flip, GRBG by a horizontal one, BGGR by both. Benchmarks are unified so, since
    every pixel is scored. Raises ValueError on an unknown pattern or odd sides.
    """
    _check_even(*mosaic.shape[-2:])
    vertical, horizontal = _RED_AT[check_pattern(pattern)]
    dims = [-2] * vertical + [-1] * horizontal
    return mosaic.flip(dims) if dims else mosaic


def augment(
    mosaic: Tensor, image: Tensor, flip_rows: bool, flip_columns: bool, transpose: bool
) -> tuple[Tensor, Tensor]:
    """Mirror and transpose an RGGB mosaic and its photo together, keeping RGGB.

    A flip of an even mosaic moves red by one pixel, so one pixel is cut from either end of a flipped side; two from the
    far end of a side that is not flipped, which makes the size the same for all eight cases.

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
