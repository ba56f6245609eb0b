"""The files of the Darmstadt Noise Dataset (DND), and the crops to denoise.

    DIR/info.mat                           what is known of the images, see scenes.py
    DIR/images_raw/0001.mat ... 0050.mat   Inoisy, linear RAW mosaic in [0, 1]
    DIR/images_srgb/0001.mat ... 0050.mat  InoisySRGB, in [0, 1]

All are MATLAB v7.3.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cycleisp.dataloaders.denoisers import Denoise, denoise_mosaics
from cycleisp.dataloaders.dnd.scenes import (
    DND,
    INFO_FILE,
    DndError,
    Extent,
    Orientation,
    Scene,
    open_dnd,
    read_colors,
    read_scene,
)
from cycleisp.dataloaders.matlab.v73 import wrong_scale
from cycleisp.dataloaders.near_misses import near_misses
from cycleisp.utils.images import Space

HOME_PAGE = "https://noise.visinf.tu-darmstadt.de"
_FOLDERS: dict[Space, str] = {"raw": "images_raw", "srgb": "images_srgb"}
_ARRAYS: dict[Space, str] = {"raw": "Inoisy", "srgb": "InoisySRGB"}
_CHANNELS: dict[Space, tuple[int, ...]] = {"raw": (), "srgb": (3,)}


def file_name(number: int) -> str:
    """Returns the file name of an image, in the data set and in a submission: `0001.mat`."""
    return f"{number:04d}.mat"


def listed(numbers: Iterable[int], name: Callable[[int], str] = str) -> str:
    """Returns ascending numbers in words, with runs shortened: `1 ... 3, 7`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(name(run[0]) if len(run) == 1 else f"{name(run[0])} ... {name(run[-1])}" for run in runs)


class DndData:
    """The images of DND in one space. Everything is checked at once, except for the pixels.

    Args:
        folder: the folder with DND's files; only the images of `space` need be there.
        space: which images.
        orientation: how the Bayer pattern is read, see `bayer_pattern` in scenes.py.
        extent: how large the data set is.

    Attributes:
        scenes: what is known of each image.

    Raises:
        DndError: files are missing or damaged, a Bayer pattern is unknown, or the boxes are not as
            DND has them.
    """

    def __init__(
        self, folder: Path, space: Space, orientation: Orientation = "corrected", extent: Extent = DND
    ) -> None:
        self.folder, self.space, self.extent = folder, space, extent
        self._check_presence()
        self.scenes = [read_scene(folder, number, orientation, extent) for number in extent.numbers]
        for scene in self.scenes:
            with self._stored(scene):
                pass  # so that damaged files are reported before hours of work

    def crops(self, scene: Scene, count: int | None = None) -> NDArray[np.float32]:
        """Reads the noisy crops of an image, all or the first `count`.

        Returns:
            (20, 1, 512, 512) of RAW in the image's Bayer order, or (20, 3, 512, 512) of sRGB,
            nominally in [0, 1], not clipped.

        Raises:
            DndError: the file is damaged, or its values are NaN or on another scale.
        """
        windows, side = scene.windows[:count], self.extent.side
        crops = np.empty((len(windows), *(_CHANNELS[self.space] or (1,)), side, side), np.float32)
        with self._stored(scene) as stored:
            for crop, (rows, columns) in zip(crops, windows, strict=True):
                crop[:] = stored[..., columns, rows].swapaxes(-2, -1)  # only the crop is read
        if problem := wrong_scale(crops):
            raise DndError(f"{self._path(scene)}: {problem}; get it again")
        return crops

    def denoise(self, denoise: Denoise, crops: Tensor, scene: Scene) -> Tensor:
        """Passes noisy crops of one image through a denoiser.

        RAW is mirrored to RGGB on its way in and back on its way out. The denoiser also receives
        the variance of the noise.

        Args:
            denoise: a denoiser of the space of the data.
            crops: (B, 1, H, W) mosaics or (B, 3, H, W) sRGB, in [0, 1].
            scene: the image.

        Returns:
            Denoised crops of the same shape on the CPU, on the scale [0, 1], not clipped.
        """
        if self.space == "srgb":
            return denoise(crops).cpu()
        levels = torch.tensor([scene.shot_noise]), torch.tensor([scene.read_noise])  # for all crops
        return denoise_mosaics(denoise, crops, [scene.unified_as] * len(crops), *levels)

    def colors(self, scene: Scene) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Returns white balance (3,) and `cam2rgb` (3, 3) of an image, as `read_colors` does."""
        return read_colors(self.folder, scene.number)

    def _path(self, scene: Scene) -> Path:
        return self.folder / _FOLDERS[self.space] / file_name(scene.number)

    def _check_presence(self) -> None:
        numbers, part = self.extent.numbers, _FOLDERS[self.space]
        absent = [number for number in numbers if not (self.folder / part / file_name(number)).is_file()]
        missing = [] if (self.folder / INFO_FILE).is_file() else [INFO_FILE]
        missing += [f"{part}/: {listed(absent, file_name)}"] if absent else []
        if missing:
            wanted = f"{self.folder / part}/{listed(numbers, file_name)}"
            names = [*missing[: INFO_FILE in missing], *(f"{part}/{file_name(number)}" for number in absent)]
            raise DndError(
                f"{self.folder}: files of DND are missing: {', '.join(missing)}\n"
                + "".join(f"{line}\n" for line in near_misses(self.folder, names))
                + f"Get the data set from its home page, {HOME_PAGE}, and lay it out as\n"
                f"    {self.folder / INFO_FILE}\n"
                f"    {wanted}    {_ARRAYS[self.space]}, for --space {self.space}"
            )

    @contextmanager
    def _stored(self, scene: Scene) -> Iterator[h5py.Dataset]:
        """Opens the array of an image as h5py shows it: (W, H) of RAW or (3, W, H) of sRGB."""
        name = _ARRAYS[self.space]
        with open_dnd(self._path(scene), scene.number) as file:
            stored = file[name]
            channels, (width, height) = stored.shape[:-2], stored.shape[-2:]
            if channels != _CHANNELS[self.space] or stored.dtype.kind != "f":
                layout = "(W, H)" if self.space == "raw" else "(3, W, H)"
                raise ValueError(f"expected {name} as {layout} of floats, got {stored.dtype} {stored.shape}")
            for number, (rows, columns) in enumerate(scene.windows, start=1):
                if rows.stop > height or columns.stop > width:
                    raise ValueError(f"box {number} of info.mat ends beyond the {height}x{width} pixels")
            yield stored
