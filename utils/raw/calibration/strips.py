"""Walks through the frames of a group in strips of rows, so that memory does not grow with them."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.raw.calibration.frames import Frame, Site

VALUES = 2_000_000  # of all frames that a strip holds, in double precision: 16 MB an array


def strips(frames: Sequence[Frame], site: Site, multiple: int = 1) -> Iterator[tuple[int, NDArray[np.integer]]]:
    """Yields the photosites of one colour of all frames of a group, strip by strip.

    Args:
        frames: of one group, of equal size.
        site: the colour.
        multiple: strips have a multiple of this number of rows, but for the last one.

    Yields:
        The strip's first row in the plane of this colour, and its integers (frames, rows, w).
    """
    planes = [frame.site(site) for frame in frames]
    height, width = planes[0].shape
    rows = max(VALUES // (len(planes) * max(width, 1)) // multiple, 1) * multiple
    for start in range(0, height, rows):
        yield start, np.stack([plane[start : start + rows] for plane in planes])


def count_strips(frames: Sequence[Frame], site: Site) -> int:
    """Returns how many strips `strips` yields, about."""
    height, width = frames[0].site(site).shape
    return -(-height // max(VALUES // (len(frames) * max(width, 1)), 1))
