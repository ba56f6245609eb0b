"""The files of RAW pairs, DIR/raw/NAME.h5 (store.py): encoding, reading and checking.

The check runs in processes that import no PyTorch, and so does everything that this module imports.
"""

import io
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py._objects import phil  # the lock behind which h5py calls HDF5
from numpy.typing import NDArray

from cycleisp.utils.errors import UserError, reading
from cycleisp.utils.limits import check_pixels

_COMPRESSED = 1100  # bytes that one byte of zlib can stand for, at most


def encode_raw_pair(planes: Mapping[str, NDArray | None], record: Mapping[str, Any]) -> bytes:
    """Returns the bytes of the file of a RAW pair.

    Args:
        planes: `clean` and `noisy` (4, H/2, W/2) uint16, and `variance` (4, H/2, W/2) float32, or
            None without it.
        record: the pair's line in the manifest; what is known of noise, seed, weights and version
            becomes attributes.
    """
    content = io.BytesIO()  # in memory, since HDF5 crashes the process when a disk is full
    with h5py.File(content, "w") as file:
        for key, plane in planes.items():
            if plane is not None:
                _write_planes(file, key, plane)
        file.attrs["pattern"] = "RGGB"
        for key in ("shot_noise", "read_noise", "seed", "weights_sha256", "version"):
            if record.get(key) is not None:
                file.attrs[key] = record[key]
    return content.getvalue()


def _write_planes(file: h5py.File, key: str, planes: NDArray) -> None:
    """Writes a dataset (C, H, W), compressed plane by plane as HDF5's `shuffle` and `gzip` would.

    Compressing here is faster with several threads: HDF5 lets one of them work at a time, zlib all.
    """
    dataset = file.create_dataset(
        key, planes.shape, planes.dtype, chunks=(1, *planes.shape[1:]), compression="gzip", shuffle=True
    )
    for index, plane in enumerate(planes):
        bytes_of_values = np.ascontiguousarray(plane).view(np.uint8).reshape(-1, plane.itemsize)
        shuffled = np.ascontiguousarray(bytes_of_values.T)
        compressor = zlib.compressobj(1, strategy=zlib.Z_RLE)
        content = compressor.compress(shuffled.data) + compressor.flush()
        with phil:  # h5py before 3.16 does not take its lock in this function, and crashes
            dataset.id.write_direct_chunk((index, 0, 0), content)


def read_raw_pair(path: Path) -> tuple[NDArray[np.uint16], NDArray[np.uint16], dict[str, Any]]:
    """Reads clean and noisy RAW (4, H/2, W/2) uint16 of a pair, and the attributes of its file.

    Raises:
        UserError: the file is missing, damaged, or none of generate_data.py.
    """
    with reading(path, advice="remove the file, and generate_data.py makes it again"), h5py.File(path) as file:
        return _read_planes(file, "clean", path), _read_planes(file, "noisy", path), dict(file.attrs)


def read_raw_planes(path: Path) -> dict[str, NDArray]:
    """Reads all planes of a pair, (4, H/2, W/2): `clean`, `noisy`, and `variance` if it is there.

    Raises:
        UserError: as `read_raw_pair`.
    """
    with reading(path, advice="remove the file, and generate_data.py makes it again"), h5py.File(path) as file:
        planes = {key: _read_planes(file, key, path) for key in ("clean", "noisy")}
        if "variance" in file:
            planes["variance"] = _read_planes(file, "variance", path, np.float32)
        return planes


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


def _read_planes(file: h5py.File, key: str, path: Path, dtype: type = np.uint16) -> NDArray:
    """Reads a data set (4, H/2, W/2), whose claims are compared with what is stored first."""
    planes = file[key]
    if planes.dtype != dtype or planes.ndim != 3 or planes.shape[0] != 4:
        expected = f"{np.dtype(dtype)} (4, H/2, W/2)"
        raise UserError(f"{path}: {key} is {planes.dtype} {planes.shape}, expected {expected}; make it again")
    check_pixels(path, 2 * planes.shape[1], 2 * planes.shape[2])
    if planes.is_virtual or planes.external or planes.nbytes > _COMPRESSED * planes.id.get_storage_size():
        raise UserError(f"{path}: {key} holds less than it claims to; remove the file, and generate_data.py makes it")
    return planes[()]
