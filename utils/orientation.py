"""The orientation of a stored picture, one of eight, as TIFF, EXIF and DNG number them.

| orientation | what turns the stored rows and columns upright |
|---|---|
| 1 | nothing |
| 2 | a mirror, left to right |
| 3 | half a turn |
| 4 | a mirror, top to bottom |
| 5 | exchanged rows and columns |
| 6 | a quarter turn clockwise |
| 7 | exchanged rows and columns, then half a turn |
| 8 | a quarter turn counter-clockwise |
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

ORIENTATIONS = range(1, 9)
UPRIGHT = 1  # the orientation of a picture that is stored as it is seen
_STEPS = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}  # through rows and columns
_INVERSE = {6: 8, 8: 6}  # every other orientation undoes itself


def upright(stored: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turns and mirrors a stored picture so that it stands upright.

    Args:
        stored: (H, W, ...) of any type.
        orientation: 1 to 8. Any other value counts as 1, as readers of TIFF and EXIF take it.

    Returns:
        (H, W, ...), or (W, H, ...) for the orientations 5 to 8; contiguous, a copy where something
        moves.
    """
    turned = stored.swapaxes(0, 1) if exchanges_sides(orientation) else stored
    rows, columns = _STEPS.get(orientation, (1, 1))
    return np.ascontiguousarray(turned[::rows, ::columns])


def as_stored(shown: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Inverts `upright`: returns the rows and columns in which an upright picture is stored."""
    return upright(shown, _INVERSE.get(orientation, orientation))


def exchanges_sides(orientation: int) -> bool:
    """Tells whether a picture of this orientation is stored lying on its side."""
    return 5 <= orientation <= 8
