"""Small DND data sets in the true layout: v7.3 files as MATLAB writes them, arrays transposed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.dnd.scenes import Extent
from tests.support.pictures import random_picture

# Tiles as MATLAB holds them, row by row: 1 red, 2 green, 3 blue.
TILES = {
    "RGGB": [[1, 2], [2, 3]],
    "BGGR": [[3, 2], [2, 1]],
    "GRBG": [[2, 1], [3, 2]],
    "GBRG": [[2, 3], [1, 2]],
}
SMALL = Extent(images=4, boxes=3, side=16)
SHOT_NOISE, READ_NOISE = 0.01, 0.0002  # of the first image; each further one has a hundredth more
NEUTRAL = (0.5, 1.0, 0.625)
XYZ2CAM = np.array([[0.9, -0.2, -0.1], [-0.4, 1.2, 0.2], [-0.1, 0.2, 0.6]])


@dataclass
class FakeImage:
    """An image and what info.mat says of it, as MATLAB shows them. Change it before it is written.

    Attributes:
        raw: (H, W)
        srgb: (H, W, 3)
        boxes: (N, 4) are y1, x1, y2, x2, counted from 1.
        camera, nlf: as in info.mat.
    """

    raw: NDArray
    srgb: NDArray
    boxes: NDArray
    camera: dict[str, Any]
    nlf: dict[str, Any] = field(default_factory=dict)

    def crop(self, box: int, space: str) -> NDArray[np.float32]:
        """Returns box 0, 1, ... of the image, cut out by hand."""
        top, left, bottom, right = (int(edge) for edge in self.boxes[box])
        return (self.raw if space == "raw" else self.srgb)[top - 1 : bottom, left - 1 : right].astype(np.float32)


def fake_images(patterns: Sequence[str] = tuple(TILES), extent: Extent = SMALL) -> list[FakeImage]:
    """Returns an image of random smooth colours in [0, 1] for each pattern.

    The images are 1.5 boxes wide and 2 boxes high.
    """
    images = []
    for number, pattern in enumerate(patterns):
        height, width = 2 * extent.side, extent.side * 3 // 2
        rng = np.random.default_rng(number)
        room = [(height - extent.side) // 2 + 1, (width - extent.side) // 2 + 1]
        corners = 2 * rng.integers(room, size=(extent.boxes, 2)) + 1
        images.append(
            FakeImage(
                raw=random_picture(height, width, np.uint16, seed=number)[..., 0] / 65535,
                srgb=random_picture(height, width, np.uint16, seed=50 + number) / 65535,
                boxes=np.hstack([corners, corners + extent.side - 1]).astype(np.float64),
                camera={
                    "pattern": np.array(TILES.get(pattern, [[0, 0], [0, 0]]), np.float64),
                    "bayertype": pattern.lower(),
                    "blacklevel": np.full((1, 4), 512.0),
                    "whitelevel": np.full((1, 1), 16383.0),
                    "AsShotNeutral": np.array([NEUTRAL]),
                    "ColorMatrix1": np.eye(3),
                    "ColorMatrix2": XYZ2CAM,
                },
                nlf={"a": SHOT_NOISE * (1 + number / 100), "b": READ_NOISE * (1 + number / 100)},
            )
        )
    return images


def write_dnd(folder: Path, images: Sequence[FakeImage], spaces: Sequence[str] = ("raw", "srgb")) -> Path:
    """Writes info.mat, images_raw and images_srgb of a data set."""
    folder.mkdir(parents=True, exist_ok=True)
    with create_matlab_file(folder / "info.mat") as file:
        _struct(
            file,
            "info",
            boundingboxes=[image.boxes for image in images],
            camera=[image.camera for image in images],
            nlf=[image.nlf for image in images],
        )
    for number, image in enumerate(images, start=1):
        if "raw" in spaces:
            write_array(folder / "images_raw" / f"{number:04d}.mat", "Inoisy", image.raw.astype(np.float32))
        if "srgb" in spaces:
            write_array(folder / "images_srgb" / f"{number:04d}.mat", "InoisySRGB", image.srgb.astype(np.float32))
    return folder


def write_array(path: Path, name: str, array: NDArray) -> Path:
    """Writes a v7.3 file with one array, chunked and compressed as MATLAB does it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with create_matlab_file(path) as file:
        stored = file.create_dataset(name, data=array.T, chunks=True, compression="gzip", compression_opts=3)
        stored.attrs["MATLAB_class"] = np.bytes_("single")
    return path


def create_matlab_file(path: Path) -> h5py.File:
    """Opens an HDF5 file with room for MATLAB's header of 512 bytes before it."""
    return h5py.File(path, "w", userblock_size=512)


def _struct(file: h5py.File, name: str, **fields: Any) -> h5py.Group:
    group = file.create_group(name)
    group.attrs["MATLAB_class"] = np.bytes_("struct")
    for key, value in fields.items():
        if isinstance(value, list):
            _cell(file, f"{name}/{key}", value)
        else:
            _value(file, f"{name}/{key}", value)
    return group


def _cell(file: h5py.File, name: str, values: list[Any]) -> None:
    """Writes a cell array of one column, which h5py shows as one row of references into #refs#."""
    references = np.empty((1, len(values)), dtype=h5py.ref_dtype)
    for index, value in enumerate(values):
        target = f"#refs#/{name.replace('/', '_')}_{index}"
        stored = _struct(file, target, **value) if isinstance(value, dict) else _value(file, target, value)
        references[0, index] = stored.ref
    file.create_dataset(name, data=references, dtype=h5py.ref_dtype).attrs["MATLAB_class"] = np.bytes_("cell")


def _value(file: h5py.File, name: str, value: Any) -> h5py.Dataset:
    if isinstance(value, str):
        stored = file.create_dataset(name, data=np.array([list(map(ord, value))], np.uint16).T)
        stored.attrs["MATLAB_class"] = np.bytes_("char")
    else:
        stored = file.create_dataset(name, data=np.atleast_2d(value).T)
        stored.attrs["MATLAB_class"] = np.bytes_("double")
    return stored
