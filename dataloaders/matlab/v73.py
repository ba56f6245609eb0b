"""MATLAB v7.3 files, which are HDF5. DND and SIDD-Medium are stored in them.

MATLAB counts the axes of an array from the fastest, HDF5 from the slowest. h5py therefore shows
every MATLAB array transposed: an image (H, W, 3) has the shape (3, W, H).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
from numpy.typing import NDArray

from cycleisp.utils.errors import UserError

_FARTHEST = 1.0  # from [0, 1]; values farther away are not on that scale at all


@contextmanager
def open_v73(path: Path, complaint: Callable[[str], UserError]) -> Iterator[h5py.File]:
    """Opens a MATLAB v7.3 file for reading.

    Whatever goes wrong inside the `with` block counts as the fault of the file: a damaged file, a
    missing variable, another shape than expected.

    Args:
        path: the file.
        complaint: makes the error to raise from the reason.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise complaint(str(error) or type(error).__name__) from None


def wrong_scale(values: NDArray) -> str | None:
    """Returns what is wrong with values that are nominally in [0, 1], or None.

    Noise and black levels carry values a little outside of [0, 1]. NaN and values that are far away
    tell that the file is on another scale.
    """
    low, high = values.min(), values.max()
    if low >= -_FARTHEST and high <= 1 + _FARTHEST:  # NaN is neither
        return None
    return f"expected values in [0, 1], got {low:.3g}..{high:.3g}"
