"""Estimation of a RAW image's noise level from the image itself, for files that do not state it."""

import torch
from torch import Tensor

from cycleisp.utils.raw.noise import FixedNoise

BINS, FEWEST = 24, 64  # levels of brightness; 2x2 squares that a level needs
BRIGHTEST = 0.9  # highlights are clipped, which hides their noise
PARTS, MOST_CLIPPED = 4 * BINS, 0.1  # parts by brightness; share of a part's squares that may touch black or white


def estimate_noise(packed_raw: Tensor) -> FixedNoise:
    """Estimates shot and read noise (variances) of packed RAW, one pair for all planes.

    In every 2x2 square of a plane, (a + d - b - c) / 2 has the noise's variance and ignores slopes.
    The squares are sorted by brightness. In each of BINS levels of brightness, the median of the
    absolute difference, which edges hardly change, gives a deviation. The result is a line through
    variance against brightness, in which each level is weighted by the precision of its variance.
    Brightnesses at which many squares are clipped are left out as a whole, since dropping the
    clipped squares alone would leave those with little noise. Squares that touch the lowest value
    of their plane count as clipped: many do where the camera, or the caller, has clipped at black,
    and hardly any do where both halves of the noise are there. Texture as fine as pixels counts as
    noise, so the estimate is too high on images full of it.

    Args:
        packed_raw: (4, H, W) RGGB planes, linear, nominally in [0, 1]. Dark pictures need the
            values below black, which `read_raw(path, clip=False)` keeps.

    Raises:
        ValueError: fewer than two levels of brightness have enough squares between black and
            saturation.
    """
    _, height, width = packed_raw.shape
    planes = packed_raw[:, : height // 2 * 2, : width // 2 * 2].double()
    a, b, c, d = (planes[:, row::2, column::2] for row in (0, 1) for column in (0, 1))
    difference, brightness = ((a + d - b - c) / 2).abs().flatten(), ((a + b + c + d) / 4).flatten()
    corners = torch.stack([a, b, c, d])
    lowest = planes.flatten(1).amin(dim=1)[:, None, None] if planes.numel() else 0
    clipped = ((corners <= lowest) | (corners >= 1)).any(0).flatten().double()
    order = brightness.argsort()
    order = order[brightness[order] < BRIGHTEST]
    parts = torch.tensor_split(order, PARTS)
    order = torch.cat([order[:0], *(part for part in parts if clipped[part].mean() <= MOST_CLIPPED)])
    levels: list[tuple[float, float, float]] = []  # brightness, variance, number of squares
    for part in torch.tensor_split(order, BINS):
        if len(part) >= FEWEST:
            deviation = difference[part].median().item() / 0.67449  # of a normal distribution
            levels.append((brightness[part].mean().item(), deviation**2, float(len(part))))
    if len(levels) < 2 or levels[-1][0] - levels[0][0] < 1e-6:
        raise ValueError(
            "the picture is too small, too dark or too uniform to tell its noise level; give --noise shot=..,read=.."
        )
    shot, read = _line(levels)
    return FixedNoise(shot, read)


def _line(levels: list[tuple[float, float, float]]) -> tuple[float, float]:
    """Returns slope and offset, neither of them negative, of the weighted least-squares line."""
    x, y, count = (torch.tensor(column, dtype=torch.float64) for column in zip(*levels, strict=True))
    weight = count / y.clamp(min=1e-12) ** 2  # the error of a variance is proportional to it
    mean_x, mean_y = (weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()
    slope = (weight * (x - mean_x) * (y - mean_y)).sum() / (weight * (x - mean_x) ** 2).sum()
    offset = mean_y - slope * mean_x
    if slope < 0:
        return 0.0, float(mean_y)
    if offset < 0:
        return float((weight * x * y).sum() / (weight * x**2).sum()), 0.0
    return min(float(slope), 1.0), float(offset)
