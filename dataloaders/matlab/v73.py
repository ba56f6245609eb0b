"""MATLAB v7.3 files, which are HDF5. DND and SIDD-Medium are stored in them.

MATLAB counts the axes of an array from the fastest, HDF5 from the slowest. h5py therefore shows
every MATLAB array transposed: an image (H, W, 3) has the shape (3, W, H).
"""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
from numpy.typing import NDArray

from cycleisp.utils.errors import UserError, reason
from cycleisp.utils.limits import check_bytes

log = logging.getLogger(__name__)

_COMPRESSED = 1032  # the most that deflate makes of a byte
_ALWAYS = 1 << 20  # bytes that a variable may have without storing them, as MATLAB's empty ones do
_FARTHEST = 1.0  # from [0, 1]; values farther away are not on that scale at all


@contextmanager
def open_v73(path: Path, complaint: Callable[[str], UserError]) -> Iterator[h5py.File]:
    """Opens a MATLAB v7.3 file for reading.

    Whatever goes wrong inside the `with` block counts as the fault of the file: a damaged file, a
    missing variable, another shape than expected. No variable may claim more than the file stores,
    or more than `utils.limits` allows; this is checked before anything of it is read.

    Args:
        path: the file.
        complaint: makes the error to raise from the reason.
    """
    try:
        with h5py.File(path, "r") as file:
            file.visititems(lambda name, item: _check_claims(path, name, item))
            yield file
    except UserError:
        raise
    except Exception as error:  # damaged bytes can make a parser stumble anywhere
        log.debug("%s: cannot be read", path, exc_info=True)
        raise complaint(reason(error)) from None


def _check_claims(path: Path, name: str, item: h5py.Group | h5py.Dataset) -> None:
    """Raises an error unless a variable holds what it claims to, and memory can take it."""
    if not isinstance(item, h5py.Dataset):
        return
    chunk = math.prod(item.chunks or ()) * item.dtype.itemsize
    check_bytes(path, max(item.nbytes, chunk))
    stored = item.id.get_storage_size()
    if item.is_virtual or item.external or max(item.nbytes, chunk) > max(_ALWAYS, _COMPRESSED * stored):
        raise ValueError(f"{name} claims {max(item.nbytes, chunk):,} bytes, the file holds {stored:,} of it")


def wrong_scale(values: NDArray) -> str | None:
    """Returns what is wrong with values that are nominally in [0, 1], or None.

    Noise and black levels carry values a little outside of [0, 1]. NaN and values that are far away
    tell that the file is on another scale.
    """
    if not values.size:
        return "holds no values"
    low, high = values.min(), values.max()
    if low >= -_FARTHEST and high <= 1 + _FARTHEST:  # NaN is neither
        return None
    return f"expected values in [0, 1], got {low:.3g}..{high:.3g}"
