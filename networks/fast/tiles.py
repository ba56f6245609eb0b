"""Blocks that see only direct neighbours, on a CPU: computed in tiles that stay in the cache.

Such a block reads and writes its features a dozen times. An image does not fit into the processor's
cache, and then memory, not arithmetic, is what takes the time. So the block is computed for one
small tile after the other, all its steps while the tile is in the cache.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

# Values of features in a tile. Tried on two cores of an AMD EPYC with 512 KiB of second-level cache
# each: from 2^15 to 2^18, the time changed by a third, and was least here.
TILE_VALUES = 1 << 17


def run(mix: Callable[[Tensor], Tensor], refine: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
    """Returns refine(mix(features)), in tiles.

    Args:
        mix: of (B, C, H, W), keeps the shape; a pixel of its result depends on the 3x3 pixels
            around it, those beyond the image counting as zeros.
        refine: keeps the shape; a pixel of its result depends on that pixel.
        features: (B, C, H, W) on a CPU.
    """
    height, width = features.shape[2:]
    side = max(8, math.isqrt(TILE_VALUES // (features.shape[0] * features.shape[1])))
    result = torch.empty_like(features)  # with channels innermost if the features have them so
    for rows in _parts(height, side):
        for columns in _parts(width, side):
            top, left = max(0, rows.start - 1), max(0, columns.start - 1)
            mixed = mix(features[:, :, top : rows.stop + 1, left : columns.stop + 1])
            inside = mixed[:, :, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
            result[:, :, rows, columns] = refine(inside)
    return result


def _parts(length: int, side: int) -> list[slice]:
    """Returns slices of nearly equal length, at most `side`, that cover a length once."""
    count = -(-length // side)
    ends = [length * index // count for index in range(count + 1)]
    return [slice(first, end) for first, end in pairwise(ends)]
