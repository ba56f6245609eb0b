"""A first look at a frame: what is kept of its mosaic to tell what it shows, and whether it can be
used. A look has less than a megabyte, so that those of a hundred frames are compared in memory.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.raw.calibration.frames import SITES, Tile, place_in

BLOCKS = 32  # of the map of means along the shorter side of the mosaic, at most
SMALLEST_BLOCK = 8  # photosites of a site, along a side of a block
CENTRE = 256  # photosites of a site, along a side of the part that is kept as it is
_SPIKE = 1e-3  # share of the photosites at the highest value, from which it is that of saturation
_SOFT = 0.02  # of the range below its end, in which photosites saturate one by one
_FEWEST_VALUES = 4  # different values, from which the step between them can be told
_DENSE = 3  # photosites a value, from which nearly every possible value occurs
LEVELS = 1 << 16


@dataclass(frozen=True)
class Header:
    """What a file says about its frame.

    Attributes:
        path: the file.
        camera: maker and model; empty where the file does not say.
        shape: height and width of the mosaic, both even.
        sites: the tile at its top-left photosite.
        black: nominal black levels of R, G_r, G_b, B, in digital numbers (DN).
        white: nominal saturation, in DN.
        iso: sensitivity.
        exposure: in seconds; 0 where the file does not say.
        lossy: how its values were compressed with loss; empty where the file does not say so.
    """

    path: Path
    camera: str
    shape: tuple[int, int]
    sites: Tile
    black: tuple[float, float, float, float]
    white: float
    iso: float
    exposure: float
    lossy: str = ""


@dataclass(frozen=True, eq=False)
class Look:
    """What is kept of a frame.

    Attributes:
        header: what its file says.
        means: (4, n, m) means of the sites R, G_r, G_b, B over blocks of the whole mosaic, in DN.
        block: photosites of a site in such a block.
        centre: (4, k, l) the values of the sites in the middle of the mosaic, in DN.
        clipped: share of each site's photosites that are saturated.
        step: distance in DN between neighbouring values that occur; 0 where that cannot be told.
    """

    header: Header
    means: NDArray[np.float32]
    block: int
    centre: NDArray[np.uint16]
    clipped: tuple[float, float, float, float]
    step: float

    @property
    def black(self) -> NDArray[np.float64]:
        """Returns the nominal black levels (4,)."""
        return np.array(self.header.black)

    @property
    def signal(self) -> NDArray[np.float64]:
        """Returns the mean of each site (4,) above its nominal black level."""
        return self.means.mean(axis=(1, 2), dtype=np.float64) - self.black


def look_at(header: Header, mosaic: NDArray[np.uint16]) -> Look:
    """Returns what is kept of a mosaic (H, W), both even."""
    places = [place_in(header.sites, name) for name in SITES]
    planes = [mosaic[row::2, column::2] for row, column in places]
    side = max(SMALLEST_BLOCK, -(-min(planes[0].shape) // BLOCKS))
    counts = [np.bincount(plane.reshape(-1), minlength=1) for plane in planes]
    first, second, third, fourth = (
        _clipped(count, black, header.white) for count, black in zip(counts, header.black, strict=True)
    )
    return Look(
        header,
        np.stack([block_means(plane, side) for plane in planes]).astype(np.float32),
        side**2,
        np.stack([_middle(plane) for plane in planes]),
        (first, second, third, fourth),
        min((step for step in map(_step, counts) if step), default=0.0),
    )


def block_means(plane: NDArray, side: int) -> NDArray[np.float64]:
    """Returns the means of a plane (h, w) over whole blocks, without what is left at its ends."""
    rows, columns = (length // side for length in plane.shape)
    whole = plane[: rows * side, : columns * side]
    return whole.reshape(rows, side, columns, side).mean(axis=(1, 3), dtype=np.float64)


def _middle(plane: NDArray[np.uint16]) -> NDArray[np.uint16]:
    top, left = (max((length - CENTRE) // 2, 0) for length in plane.shape)
    return np.array(plane[top : top + CENTRE, left : left + CENTRE])


def _clipped(counts: NDArray[np.int64], black: float, white: float) -> float:
    """Returns the share of photosites at saturation.

    Saturation is not always where the file says. It shows as values that pile up at the upper end,
    which those of noise never do. What lies at or above nominal white counts in any case.
    """
    total, highest = int(counts.sum()), len(counts) - 1
    at_white = int(counts[min(int(np.ceil(white)), len(counts)) :].sum())
    piled = 0
    if highest > (black + white) / 2:
        near = int(counts[max(highest - int(_SOFT * (white - black)), 0) :].sum())
        piled = near if counts[highest] >= _SPIKE * total else 0
    return max(at_white, piled) / total


def _step(counts: NDArray[np.int64]) -> float:
    """Returns the mean distance between values that occur, or 0 where there are too few of them.

    Of n photosites over R neighbouring values, R * (1 - exp(-n / R)) values are expected to occur
    if all are possible. Only the middle of the distribution is dense enough to tell.
    """
    running = np.cumsum(counts)
    for part in (0.25, 0.05):
        low, high = (int(np.searchsorted(running, share * running[-1])) for share in (part, 1 - part))
        middle = counts[low : high + 1]
        occurring, density = np.count_nonzero(middle), middle.sum() / len(middle)
        if occurring >= _FEWEST_VALUES:
            # both ends occur
            return float((high - low) * (1 - np.exp(-density)) / (occurring - 1)) if density >= _DENSE else 0.0
    return 0.0
