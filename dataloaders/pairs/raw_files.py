"""The files of RAW pairs, DIR/raw/NAME.h5 (store.py): reading and checking.

The check runs in processes that import no PyTorch, and so does everything that this module imports.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.errors import UserError, reading
from cycleisp.utils.limits import check_pixels

_COMPRESSED = 1100  # bytes that one byte of zlib can stand for, at most


def read_raw_pair(path: Path) -> tuple[NDArray[np.uint16], NDArray[np.uint16], dict[str, Any]]:
    """Reads clean and noisy RAW (4, H/2, W/2) uint16 of a pair, and the attributes of its file.

    Raises:
        UserError: the file is missing, damaged, or none of generate_data.py.
    """
    with reading(path, advice="remove the file, and generate_data.py makes it again"), h5py.File(path) as file:
        return _read_planes(file, "clean", path), _read_planes(file, "noisy", path), dict(file.attrs)


def check_raw_pair(path: Path, side: int) -> None:
    """Reads a pair and forgets it.

    Args:
        path: the file.
        side: the shorter side in pixels of the photo, by the manifest.

    Raises:
        UserError: as `read_raw_pair`; or as `check_shapes`.
    """
    clean, noisy, _ = read_raw_pair(path)
    check_shapes(path, clean.shape, noisy.shape, side)


def check_shapes(path: Path, clean: tuple[int, ...], noisy: tuple[int, ...], side: int) -> None:
    """Compares the shapes of a pair's planes (4, H/2, W/2) with each other and with the manifest.

    Raises:
        UserError: the two differ, or are smaller than the manifest says.
    """
    if clean != noisy or min(clean[1:]) < side // 2:
        raise UserError(
            f"{path}: clean is {clean} and noisy {noisy}, expected equal shapes (4, H/2, W/2) of a photo whose "
            f"shorter side is {side}; remove the file, and generate_data.py makes it again"
        )


def _read_planes(file: h5py.File, key: str, path: Path) -> NDArray[np.uint16]:
    """Reads a data set (4, H/2, W/2), whose claims are compared with what is stored first."""
    planes = file[key]
    if planes.dtype != np.uint16 or planes.ndim != 3 or planes.shape[0] != 4:
        raise UserError(f"{path}: {key} is {planes.dtype} {planes.shape}, expected uint16 (4, H/2, W/2); make it again")
    check_pixels(path, 2 * planes.shape[1], 2 * planes.shape[2])
    if planes.is_virtual or planes.external or planes.nbytes > _COMPRESSED * planes.id.get_storage_size():
        raise UserError(f"{path}: {key} holds less than it claims to; remove the file, and generate_data.py makes it")
    return planes[()]
