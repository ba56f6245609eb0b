"""How an image is divided: into strips that fit into a cache, and bands of strips for threads.

The division depends on the image alone, never on the number of threads. So results do not depend on
it either.
"""

from itertools import pairwise
from math import ceil
from typing import NamedTuple

import torch

STRIP_BYTES = 8_000_000  # of features in a strip: small enough for the cache
GPU_STRIP_BYTES = 256_000_000  # on a GPU: large enough to keep it busy
FEWEST_ROWS = 8  # of a strip
TILE = 4  # rows that Winograd's convolutions compute at once
THREADS = 4  # independent strips are a multiple of it: the most usual numbers of cores divide 4
LONG_BANDS = 8  # of an image whose strips depend on each other
EDGE = 3  # rows that a block looks at above and below its own


class Strip(NamedTuple):
    """Rows of an image."""

    first: int
    end: int
    shared: bool = False  # another band reads them as they were before a step that changes them

    def around(self, height: int) -> tuple[int, int]:
        """Returns first and end with a row above and one below, where the image has them."""
        return max(self.first - 1, 0), min(self.end + 1, height)


Band = list[Strip]  # from top to bottom


def apart(height: int, width: int, channels: int, device: torch.device, in_tiles: bool) -> list[Band]:
    """Returns bands of one strip each, for strips that are independent of each other.

    Args:
        in_tiles: whether convolutions are Winograd's, which compute tiles of rows. The second one
            of a block also computes a row above and one below the strip. So strips have two rows
            less than whole tiles.
    """
    if in_tiles:
        count = THREADS * ceil(height * width * channels * 4 / (THREADS * STRIP_BYTES))
        rows = ceil((height / count - 2) / TILE) * TILE + 2
    else:
        rows = _rows(width, channels, device)
    return [[strip] for strip in _strips(0, height, rows)]


def in_turn(height: int, width: int, channels: int, device: torch.device, in_tiles: bool) -> list[Band]:
    """Returns bands for strips that need what the strip above has computed.

    There is one band, or several for Winograd's convolutions, whose bands are spread over threads.
    """
    rows = _rows(width, channels, device)
    if not in_tiles:
        return [_strips(0, height, rows)]
    rows -= rows % TILE
    count = max(1, min(LONG_BANDS, height // (2 * EDGE)))
    borders = [height * index // count for index in range(count + 1)]
    bands = []
    for top, bottom in pairwise(borders):
        first, end = (top + EDGE if top > 0 else 0), (bottom - EDGE if bottom < height else height)
        above, below = [Strip(top, first, shared=True)], [Strip(end, bottom, shared=True)]
        bands.append(above * (first > top) + _strips(first, end, rows) + below * (end < bottom))
    return bands


def _rows(width: int, channels: int, device: torch.device) -> int:
    size = STRIP_BYTES if device.type == "cpu" else GPU_STRIP_BYTES
    return max(FEWEST_ROWS, size // (4 * width * channels))


def _strips(top: int, bottom: int, rows: int) -> Band:
    return [Strip(first, min(first + rows, bottom)) for first in range(top, bottom, rows)]
