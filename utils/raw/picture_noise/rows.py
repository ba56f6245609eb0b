"""Noise that the photosites of a row of the sensor share, told from flat blocks of a picture."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.raw.picture_noise.blocks import Blocks

Values = NDArray[np.float64]

_FEWEST_BLOCKS = 8  # flat ones that a row of blocks needs
_FEWEST_STRIPS = 16  # rows of blocks that have them
_LEAST = 1e-40  # variance, far below rounding
_TOLD = 3.0  # standard errors by which row noise must differ from none


@dataclass(frozen=True)
class RowNoise:
    """The variance of what a row shares.

    Attributes:
        variance: of the offset of a row.
        error: its standard error; what columns share by chance of the scene is in it.
        told: whether it is more than chance, and more than columns share.
        reason: why not; empty if so.
    """

    variance: float
    error: float
    told: bool
    reason: str = ""


def row_noise(blocks: list[Blocks], flat: list[NDArray[np.bool_]]) -> RowNoise:
    """Returns the row noise of the planes of a picture.

    Differences of neighbouring rows, averaged over all flat blocks at that height, hold the offsets
    of the rows. The scene has lines of its own, which run along columns as often as along rows, so
    that what columns share is a measure of it.

    Args:
        blocks: those of the planes.
        flat: (rows, columns) which blocks of each plane are flat.
    """
    rows, row_error, strips = _shared([_steps(one.row_steps, one.edges, mask) for one, mask in _each(blocks, flat)])
    columns, column_error, _ = _shared(
        [_steps(one.column_steps.swapaxes(0, 1), one.edges.T, mask.T) for one, mask in _each(blocks, flat)]
    )
    if strips < _FEWEST_STRIPS:
        return RowNoise(0.0, math.inf, False, "too few flat places beside each other")
    error = math.hypot(row_error, column_error, columns)
    if rows > _TOLD * error:
        return RowNoise(rows, error, True)
    reason = "columns of the picture share as much" if columns > row_error else "less than chance makes"
    return RowNoise(rows, error, False, reason)


def _each(blocks: list[Blocks], flat: list[NDArray[np.bool_]]) -> list[tuple[Blocks, NDArray[np.bool_]]]:
    return list(zip(blocks, flat, strict=True))


def _steps(steps: Values, edges: Values, flat: NDArray[np.bool_]) -> tuple[Values, Values]:
    """Returns squares of differences of a plane's rows, and what white noise alone adds to them.

    Args:
        steps: (rows, columns, 4) of blocks.
        edges: (rows, columns) variance of a single difference.
        flat: (rows, columns).

    Returns:
        Each (strips, 2): a row of blocks has four steps, which make two differences of steps, so
        that a slope is no noise.
    """
    count = flat.sum(axis=1)
    strips = count >= _FEWEST_BLOCKS
    weight = flat[strips][..., None]
    mean = (steps[strips] * weight).sum(axis=1) / count[strips, None]
    white = (edges[strips] * flat[strips]).sum(axis=1) / count[strips] / (4 * count[strips])
    second = (mean[:, 0::2] - mean[:, 1::2]) ** 2 / 2
    return second, np.repeat(white[:, None], 2, axis=1)


def _shared(parts: list[tuple[Values, Values]]) -> tuple[float, float, int]:
    """Returns the variance of an offset, its standard error, and how many strips it is from.

    A square is that of a normal number of variance 2 * offset + white. The median does not see the
    few places where the scene has a line.
    """
    squares = np.concatenate([part.mean(axis=1) for part, _ in parts]) if parts else np.zeros(0)
    white = np.concatenate([part.mean(axis=1) for _, part in parts]) if parts else np.zeros(0)
    white = np.maximum(white, _LEAST)
    if len(squares) < _FEWEST_STRIPS:
        return 0.0, math.inf, len(squares)

    def excess(offset: float) -> float:
        return float(np.median(squares / (2 * offset + white))) - math.log(2)  # of an exponential distribution

    # two of four planes lie in the same rows
    independent = len(squares) / 2
    if excess(0.0) <= 0:
        return 0.0, 1.44 * float(white.mean()) / 2 / math.sqrt(independent), len(squares)
    low, high = 0.0, float(squares.max()) + float(white.max())
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    error = 1.44 * (2 * low + float(white.mean())) / 2 / math.sqrt(independent)
    return low, error, len(squares)
