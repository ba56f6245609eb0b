"""How far small parts of two pictures are apart, to a fraction of a pixel."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-4)
_NO_FILTER = 1  # the pictures are smoothed as a whole, since a tile's border would bend the result
_LEAST_LIKENESS = 0.8  # correlation of a tile with where it was found
_LEAST_CONTRAST = 3.0  # levels of 255: standard deviation of a tile
_LEAST_ROUNDNESS = 0.02  # of the gradients: a tile with edges of one direction slides along them


@dataclass(frozen=True)
class TileShifts:
    """What was measured on the tiles of a picture.

    Attributes:
        centres: (N, 2) centres of the tiles that were found, x before y.
        shifts: (N, 2) how far their content has moved, in pixels.
        lost: (M, 2) centres of tiles with detail that were not found.
    """

    centres: NDArray[np.float64]
    shifts: NDArray[np.float64]
    lost: NDArray[np.float64]


def tile_shifts(
    reference: NDArray[np.float32],
    view: NDArray[np.float32],
    detail: NDArray[np.float32],
    side: int,
    reach: int,
    across: int,
) -> TileShifts:
    """Measures how far the content of tiles has moved in another picture of the same size.

    OpenCV's ECC (Evangelidis and Psarakis, PAMI 2008) maximizes the correlation of each tile with
    the other picture, whatever the brightness and contrast of the two.

    Args:
        reference: (H, W), smooth enough to be looked up between its pixels.
        view: (H, W) likewise.
        detail: (H, W), where to look for detail; tiles without are left out. In levels of 255.
        side: pixels of a tile's side.
        reach: how far a tile may have moved, in pixels.
        across: the largest number of tiles along the longer side.
    """
    centres, shifts, lost = [], [], []
    for top, left in _corners(reference.shape, side, reach, across):
        window = np.s_[top : top + side, left : left + side]
        if not _has_detail(detail[window]):
            continue
        centre = left + (side - 1) / 2, top + (side - 1) / 2
        around = view[top - reach : top + side + reach, left - reach : left + side + reach]
        shift = _shift(reference[window], around, reach)
        if shift is None:
            lost.append(centre)
        else:
            centres.append(centre)
            shifts.append(shift)
    found = (np.array(values, np.float64).reshape(-1, 2) for values in (centres, shifts, lost))
    return TileShifts(*found)


def _shift(tile: NDArray[np.float32], around: NDArray[np.float32], reach: int) -> NDArray[np.float64] | None:
    """Returns the shift (2,) of a tile against the middle of `around`; None if it is not there."""
    warp = np.array([[1, 0, reach], [0, 1, reach]], np.float32)
    try:
        likeness, warp = cv2.findTransformECC(  # type: ignore[call-overload]
            tile, around, warp, cv2.MOTION_TRANSLATION, _STEPS, None, _NO_FILTER
        )
    except cv2.error:  # it does not converge
        return None
    shift = np.asarray(warp, np.float64)[:, 2] - reach
    return shift if likeness >= _LEAST_LIKENESS and np.abs(shift).max() <= reach else None


def _corners(shape: tuple[int, ...], side: int, reach: int, across: int) -> Iterator[tuple[int, int]]:
    """Yields the top-left corners of tiles that are spread evenly, and overlap by half at most."""
    spaces = [length - side - 2 * reach for length in shape]
    if min(spaces) < 0:
        return
    step = max(max(spaces) / max(across - 1, 1), side / 2)
    rows, columns = (
        np.rint(reach + np.linspace(0, space, 1 + int(space / step))).astype(int).tolist() for space in spaces
    )
    for top in rows:
        for left in columns:
            yield top, left


def _has_detail(tile: NDArray[np.float32]) -> bool:
    """Tells whether a tile has contrast, and edges of more than one direction."""
    if tile.std() < _LEAST_CONTRAST:
        return False
    down, right = np.gradient(tile)
    tensor = np.array([[np.sum(right * right), np.sum(right * down)], [np.sum(right * down), np.sum(down * down)]])
    least, most = np.linalg.eigvalsh(tensor)
    return bool(least >= _LEAST_ROUNDNESS * most)
