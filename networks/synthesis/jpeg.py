"""JPEG as tensor code: what compression leaves of a batch of images, without leaving the device.

The steps and their roundings are those of a baseline encoder and decoder: Y'CbCr in 8 bits, colour
differences at half resolution if wanted, the 8x8 DCT, quantisation, and all of it backwards (ITU-T
T.81; colours as in JFIF, ITU-T T.871). What needs no arithmetic, the coding of the coefficients, is
left out, since it loses nothing. The intermediate results of both transforms are rounded where
libjpeg's accurate integer transform ("islow") rounds them, so that few coefficients differ from the
library's; tests/networks/synthesis/test_jpeg.py says how few.
"""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

# Quantisation tables for luma and for colour differences, T.81 Annex K.1, at quality 50.
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
_FRACTION = 1 << 16  # of the fixed-point numbers of the colour conversions
_HALF = _FRACTION // 2
_BETWEEN = 4.0  # how much finer than whole numbers the results between rows and columns are


def compressed(images: Tensor, qualities: list[int], half: bool) -> Tensor:
    """Returns what JPEG compression leaves of images.

    Args:
        images: (B, 3, H, W) uint8 RGB, on any device that computes in float64.
        qualities: of each image, 1 to 100, as libjpeg counts.
        half: whether colour differences are stored at half resolution (4:2:0) or at full (4:4:4).

    Returns:
        (B, 3, H, W) uint8 RGB.
    """
    luma_steps, chroma_steps = quantization_tables(qualities).to(images.device).unbind(1)
    luma, *differences = _to_ycc(images.int())
    luma = _coded(luma, luma_steps)
    both = torch.stack(differences, dim=1)  # (B, 2, H, W)
    height, width = both.shape[2:]
    if half:
        both = _halved(both)
    coded = _coded(both.flatten(0, 1), chroma_steps.repeat_interleave(2, 0)).view_as(both)
    if half:
        coded = _doubled(coded[..., : -(-height // 2), : -(-width // 2)])[..., :height, :width]
    return _to_rgb(luma, coded[:, 0], coded[:, 1]).clamp(0, 255).to(torch.uint8)


def quantization_tables(qualities: list[int]) -> Tensor:
    """Returns the steps of luma and colour differences, (B, 2, 8, 8), as libjpeg scales them."""
    base = torch.tensor([_LUMA, _CHROMA])
    percent = torch.tensor([5000 // quality if quality < 50 else 200 - 2 * quality for quality in qualities])
    scaled = (base[None] * percent.view(-1, 1, 1, 1) + 50) // 100
    return scaled.clamp(1, 255).double()  # baseline files have 8 bits for a step


# ---------------------------------------------------- colours, (B, H, W) int32 in [0, 255]


def _fixed(value: float) -> int:
    return round(value * _FRACTION)


def _to_ycc(rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    red, green, blue = rgb.unbind(1)
    luma = _fixed(0.299) * red + _fixed(0.587) * green + _fixed(0.114) * blue + _HALF
    middle = 128 * _FRACTION + _HALF - 1
    to_blue = -_fixed(0.168735892) * red - _fixed(0.331264108) * green + _HALF * blue + middle
    to_red = _HALF * red - _fixed(0.418687589) * green - _fixed(0.081312411) * blue + middle
    return luma >> 16, to_blue >> 16, to_red >> 16


def _to_rgb(luma: Tensor, to_blue: Tensor, to_red: Tensor) -> Tensor:
    to_blue, to_red = to_blue - 128, to_red - 128
    red = luma + ((_fixed(1.402) * to_red + _HALF) >> 16)
    green = luma + ((-_fixed(0.344136286) * to_blue - _fixed(0.714136286) * to_red + _HALF) >> 16)
    blue = luma + ((_fixed(1.772) * to_blue + _HALF) >> 16)
    return torch.stack([red, green, blue], dim=1)


def _halved(planes: Tensor) -> Tensor:
    """Returns the means of 2x2 pixels, whose halves go down and up in turn.

    The result has half the height, rounded up, and whole blocks in a row.
    """
    planes = _extended(planes, 2, 16)
    sums = planes[..., ::2, ::2] + planes[..., ::2, 1::2] + planes[..., 1::2, ::2] + planes[..., 1::2, 1::2]
    return (sums + _alternating(sums, 1, 2)) >> 2


def _doubled(planes: Tensor) -> Tensor:
    """Returns planes at twice the resolution, linearly interpolated between the pixels' middles."""
    for dim, rounding in ((-2, None), (-1, (8, 7))):
        length = planes.shape[dim]
        index = torch.arange(length, device=planes.device)
        before, after = index.sub(1).clamp(min=0), index.add(1).clamp(max=length - 1)
        near = [3 * planes + planes.index_select(dim, neighbour) for neighbour in (before, after)]
        if rounding is not None:
            near = [(side + half) >> 4 for side, half in zip(near, rounding, strict=True)]
        shape = list(planes.shape)
        shape[dim] *= 2
        planes = torch.stack(near, dim=planes.dim() + dim + 1).view(shape)
    return planes


def _alternating(like: Tensor, even: int, odd: int) -> Tensor:
    """Returns (W,): `even` in columns 0, 2, 4 ... and `odd` in the others."""
    return even + (odd - even) * (torch.arange(like.shape[-1], device=like.device, dtype=like.dtype) % 2)


def _extended(planes: Tensor, high: int, wide: int) -> Tensor:
    """Repeats the last row and column until the sides are multiples of `high` and of `wide`."""
    rows, columns = (
        torch.arange(-(-side // multiple) * multiple, device=planes.device).clamp(max=side - 1)
        for side, multiple in zip(planes.shape[-2:], (high, wide), strict=True)
    )
    return planes[..., rows[:, None], columns]


# ---------------------------------------------------------------- transform and quantisation


def _coded(planes: Tensor, steps: Tensor) -> Tensor:
    """Quantises the coefficients of planes (B, H, W) in [0, 255] by steps (B, 8, 8)."""
    height, width = planes.shape[1:]
    blocks = F.unfold(_extended(planes, 8, 8)[:, None].double() - 128, 8, stride=8)  # (B, 64, N)
    blocks = blocks.transpose(1, 2).unflatten(2, (8, 8))  # (B, N, 8, 8)
    cosines, steps = _cosines().to(blocks.device), steps[:, None]
    coefficients = _rounded(blocks @ cosines.T * _BETWEEN)
    coefficients = _rounded(cosines @ coefficients / _BETWEEN) / 8
    levels = coefficients / steps
    levels = levels.sign() * _rounded(levels.abs())  # halves go away from zero
    between = _rounded(cosines.T @ (levels * steps) * _BETWEEN)
    decoded = _rounded(between @ cosines / (8 * _BETWEEN)) + 128
    decoded = decoded.clamp(0, 255).flatten(2).transpose(1, 2)
    size = tuple(-(-side // 8) * 8 for side in (height, width))
    return F.fold(decoded, size, 8, stride=8)[:, 0, :height, :width].int()


def _rounded(values: Tensor) -> Tensor:
    """Rounds to whole numbers, halves up. The small number keeps a half that float64 has missed."""
    return (values + (0.5 + 1e-9)).floor()


@cache
@torch.inference_mode(False)  # else it would be of no use to autograd later
def _cosines() -> Tensor:
    """Returns the matrix of the DCT of 8 numbers, times the root of 8, as the library scales it."""
    frequency, place = torch.arange(8.0, dtype=torch.float64)[:, None], torch.arange(8.0, dtype=torch.float64)
    matrix = 2 * torch.cos((2 * place + 1) * frequency * math.pi / 16)
    matrix[0] /= math.sqrt(2)
    return matrix / 2 * math.sqrt(2)
