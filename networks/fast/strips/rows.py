"""Row-wise operations on features. Those that need adjacent rows expect them in their input.

Rows are (1, C, n, W) with channels innermost. Their values, pixel by pixel, are (n * W, C).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def as_values(rows: Tensor) -> Tensor:
    """Returns rows (1, C, n, W) as values (n * W, C)."""
    return rows.permute(0, 2, 3, 1).reshape(-1, rows.shape[1])


def convolve(conv: nn.Conv2d, rows: Tensor) -> Tensor:
    """Applies a 3x3 convolution to rows that come with a row above and one below.

    Columns are padded with zeros.
    """
    return F.conv2d(rows, conv.weight, conv.bias, padding=(0, 1))


def padded(rows: Tensor, above: bool, below: bool) -> Tensor:
    """Adds a row of zeros above or below, where the image ends."""
    if not above and not below:
        return rows
    return F.pad(rows, (0, 0, int(above), int(below))).contiguous(memory_format=torch.channels_last)


class LineBuffer:
    """Rows of a map that is computed from top to bottom, the last of which are needed once more.

    Args:
        make: computes rows `first` to `end`, (1, C, n, W). It writes their values to its third
            argument (n * W, C) if there is one.
    """

    def __init__(self, make: Callable[[int, int, Tensor | None], Tensor]) -> None:
        self._make = make
        self._rows: Tensor | None = None
        self._end = 0

    def rows(self, first: int, end: int) -> Tensor:
        """Returns (1, C, end - first, W).

        Neither number may be less than in the call before, and `first` not more than its `end`.
        """
        if self._rows is None:
            self._rows = self._make(first, end, None)
        else:
            kept = self._rows[:, :, self._rows.shape[2] - (self._end - first) :]
            rows = kept.new_empty(end - first, kept.shape[3], kept.shape[1])
            rows[: kept.shape[2]] = kept[0].permute(1, 2, 0)
            if end > self._end:
                self._make(self._end, end, rows[kept.shape[2] :].flatten(0, 1))
            self._rows = rows[None].permute(0, 3, 1, 2)
        self._end = end
        return self._rows
