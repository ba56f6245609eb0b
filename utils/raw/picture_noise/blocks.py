"""Small blocks of a plane of packed RAW: their brightness, and their variation at several scales.

The differences are coefficients of Haar's wavelets, which white noise of variance s^2 gives the
variance s^2 at every scale and direction, all of them uncorrelated (Haar, "Zur Theorie der
orthogonalen Funktionensysteme", 1910). So blocks without texture can be chosen by one scale, and
their noise be measured at another one, and the choice does not make the noise smaller.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIDE = 8  # samples of a block's side
SAMPLES = SIDE * SIDE
FINE, EDGES, COARSE = 16, 24, 9  # independent numbers in each of a block's three mean squares

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Blocks:
    """Statistics of the blocks of a plane, each (rows, columns) of blocks.

    Attributes:
        mean: of the samples.
        fine: mean square of diagonal differences of neighbours. No slope, no row and no column
            that differs as a whole shows in it, and less of texture than in the others.
        edges: mean square of differences of neighbours along rows and along columns, less what
            they have in common along the edge, as a slope or the noise of a row.
        coarse: mean square of the same at twice and four times the distance.
        lowest, highest: share of the samples that lie at the ends of the plane's range.
        row_steps, column_steps: (rows, columns, 4) means of the differences between neighbouring
            rows and columns of the block, each over a pair of them.
    """

    mean: Values
    fine: Values
    edges: Values
    coarse: Values
    lowest: Values
    highest: Values
    row_steps: Values
    column_steps: Values


def blocks_of(plane: NDArray[np.floating], low: float, high: float) -> Blocks:
    """Returns the statistics of a plane's blocks; what is left at the far ends is not used.

    Args:
        plane: (H, W) linear values.
        low, high: the ends of its range, beyond which values are clipped; may be infinite.
    """
    rows, columns = plane.shape[0] // SIDE, plane.shape[1] // SIDE
    samples = np.clip(plane[: rows * SIDE, : columns * SIDE].astype(np.float64), low, high)

    def cut(values: Values) -> Values:
        """Returns (rows, columns, side, side) of values that lie on a grid of blocks."""
        side = values.shape[0] // max(rows, 1)
        return values.reshape(rows, side, columns, side).swapaxes(1, 2)

    def mean(values: Values) -> Values:
        return cut(values).mean(axis=(2, 3))

    sums, row_steps, column_steps, diagonal = _haar(samples)
    fine = mean(diagonal**2)
    along_rows, along_columns = cut(row_steps), cut(column_steps)
    edges = (_varying(along_rows, 3) + _varying(along_columns, 2)) / EDGES
    sums, second_rows, second_columns, second_diagonal = _haar(sums)
    *_, third_diagonal = _haar(sums)
    coarse = _varying(cut(second_rows), 3) + _varying(cut(second_columns), 2)
    coarse = (coarse + 4 * mean(second_diagonal**2) + mean(third_diagonal**2)) / COARSE
    return Blocks(
        mean=mean(samples),
        fine=fine,
        edges=edges,
        coarse=coarse,
        lowest=mean((samples <= low).astype(np.float64)),
        highest=mean((samples >= high).astype(np.float64)),
        row_steps=along_rows.mean(axis=3),
        column_steps=along_columns.mean(axis=2),
    )


def _haar(values: Values) -> tuple[Values, Values, Values, Values]:
    """Returns sums, and differences of rows, of columns and diagonal ones, of 2x2 values."""
    a, b, c, d = values[0::2, 0::2], values[0::2, 1::2], values[1::2, 0::2], values[1::2, 1::2]
    return (a + b + c + d) / 2, (a + b - c - d) / 2, (a - b + c - d) / 2, (a - b - c + d) / 2


def _varying(steps: Values, axis: int) -> Values:
    """Returns the sum of squares in each block, less that of the means along an axis."""
    squares: Values = ((steps - steps.mean(axis=axis, keepdims=True)) ** 2).sum(axis=(2, 3))
    return squares
