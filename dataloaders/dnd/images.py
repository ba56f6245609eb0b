"""The Darmstadt Noise Dataset (DND): the crops to denoise, and what info.mat says of the images.

    DIR/info.mat                           info.camera, info.boundingboxes, info.nlf: cells, one an image
    DIR/images_raw/0001.mat ... 0050.mat   Inoisy, linear RAW mosaic in [0, 1]
    DIR/images_srgb/0001.mat ... 0050.mat  InoisySRGB, in [0, 1]

All are MATLAB v7.3, which is HDF5, and h5py hands over every MATLAB array transposed. RAW is scaled already, so the
cameras' black and white levels are not used.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.dnd.submission import DND, HOME_PAGE, Extent, file_name, listed
from cycleisp.utils.color.colorimetry import cam2rgb_from_xyz2cam
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from cycleisp.utils.raw import bayer

Orientation = Literal["corrected", "released"]
ORIENTATIONS: tuple[Orientation, ...] = ("corrected", "released")
Window = tuple[slice, slice]

_FOLDERS = {"raw": "images_raw", "srgb": "images_srgb"}
_ARRAYS = {"raw": "Inoisy", "srgb": "InoisySRGB"}
_CHANNELS: dict[Space, tuple[int, ...]] = {"raw": (), "srgb": (3,)}
_LETTERS = {1: "R", 2: "G", 3: "B"}
_FARTHEST = 1.0  # from [0, 1]; values farther off are not on that scale at all


class DndError(UserError):
    """DND data that are missing or not as they should be; the message says which file and what to do."""


@dataclass(frozen=True)
class DndImage:
    """What info.mat says of an image.

    Attributes:
        number: 1 to 50.
        pattern: Bayer tile of the image and of each of its crops.
        unified_as: the pattern that its flips to RGGB suppose: `pattern`, unless as released.
        shot_noise, read_noise: variances on the [0, 1] scale.
        windows: rows and columns of the crops.
    """

    number: int
    pattern: str
    unified_as: str
    shot_noise: float
    read_noise: float
    windows: tuple[Window, ...]


class DndImages:
    """The images of DND, everything checked at once but the pixels.

    Args:
        folder: of the data set, as above; only the images of `space` need be there.
        space: which images.
        orientation: how the Bayer pattern is read, see `bayer_pattern`.
        extent: of the data set.

    Raises:
        DndError: missing or damaged files, unknown Bayer patterns, or boxes that are not as DND's.
    """

    def __init__(
        self, folder: Path, space: Space, orientation: Orientation = "corrected", extent: Extent = DND
    ) -> None:
        self.folder, self.space, self.orientation, self.extent = folder, space, orientation, extent
        self._check_presence()
        self.images = [self._read_image(number) for number in extent.numbers]
        for image in self.images:
            with self._stored(image):
                pass  # damaged files are told before hours of work

    def crops(self, image: DndImage, count: int | None = None) -> NDArray[np.float32]:
        """The noisy crops, or the first `count`: (20, 1, 512, 512) RAW in the image's Bayer order, (20, 3, ...) sRGB.

        Nominally in [0, 1], not clipped.

        Raises:
            DndError: the file is damaged, holds NaN or values that are not on that scale.
        """
        windows, side = image.windows[:count], self.extent.side
        crops = np.empty((len(windows), *(_CHANNELS[self.space] or (1,)), side, side), np.float32)
        with self._stored(image) as stored:
            for crop, (rows, columns) in zip(crops, windows, strict=True):
                crop[:] = stored[..., columns, rows].swapaxes(-2, -1)  # of the file, only the crop is read
        if not (crops.min() >= -_FARTHEST and crops.max() <= 1 + _FARTHEST):  # NaN is neither
            span = f"{crops.min():.3g}..{crops.max():.3g}"
            raise DndError(f"{self._path(image)}: expected values in [0, 1], got {span}; get it again")
        return crops

    def colors(self, image: DndImage) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """For rendering: white balance (3,), the gains of AsShotNeutral, and `cam2rgb` (3, 3), from ColorMatrix2.

        Raises:
            DndError: the camera in info.mat has none.
        """
        with _reading(self.folder / "info.mat", image.number) as file:
            camera = _cell(file, "camera", image.number)
            neutral = np.asarray(camera["AsShotNeutral"], np.float64).reshape(3)
            # ColorMatrix1 is for incandescent light; the way to sRGB goes by XYZ under D65, which ColorMatrix2 is for.
            xyz2cam = np.asarray(camera["ColorMatrix2"], np.float64)
            if xyz2cam.shape == (3, 3):
                xyz2cam = xyz2cam.T
            xyz2cam = xyz2cam.reshape(3, 3)  # a vector of nine goes row by row, as in DNG
            if not (neutral > 0).all():
                raise ValueError(f"AsShotNeutral is {neutral}")
            return 1 / neutral, cam2rgb_from_xyz2cam(xyz2cam)

    def _path(self, image: DndImage) -> Path:
        return self.folder / _FOLDERS[self.space] / file_name(image.number)

    def _check_presence(self) -> None:
        numbers, part = self.extent.numbers, _FOLDERS[self.space]
        absent = [number for number in numbers if not (self.folder / part / file_name(number)).is_file()]
        missing = [] if (self.folder / "info.mat").is_file() else ["info.mat"]
        missing += [f"{part}/: {listed(absent, file_name)}"] if absent else []
        if missing:
            wanted = f"{self.folder / part}/{listed(numbers, file_name)}"
            raise DndError(
                f"{self.folder}: files of DND are missing: {', '.join(missing)}\n"
                f"Get the data set from its home page, {HOME_PAGE}, and lay it out as\n"
                f"    {self.folder / 'info.mat'}\n"
                f"    {wanted}    {_ARRAYS[self.space]}, for --space {self.space}"
            )

    def _read_image(self, number: int) -> DndImage:
        path = self.folder / "info.mat"
        with _reading(path, number) as file:
            camera = _cell(file, "camera", number)
            tile = np.asarray(camera["pattern"])
            bayertype = "".join(map(chr, np.asarray(camera["bayertype"]).flatten())).upper()
            nlf = _cell(file, "nlf", number)
            shot_noise, read_noise = (float(np.asarray(nlf[name]).item()) for name in ("a", "b"))
            boxes = np.asarray(_cell(file, "boundingboxes", number)).T
        try:
            pattern = bayer_pattern(tile)
            if pattern != bayertype:
                raise ValueError(f"pattern says {pattern}, bayertype {bayertype}; one of them is wrong")
            if not (0 <= shot_noise < 1 and 0 <= read_noise < 1 and shot_noise + read_noise > 0):
                raise ValueError(f"nlf: expected variances on the [0, 1] scale, got a={shot_noise:g}, b={read_noise:g}")
            return DndImage(
                number,
                pattern,
                bayer_pattern(tile, self.orientation),
                shot_noise,
                read_noise,
                tuple(_windows(boxes, self.extent)),
            )
        except ValueError as error:
            raise DndError(f"{path}: image {number:04d}: {error}; get it again") from None

    @contextmanager
    def _stored(self, image: DndImage) -> Iterator[h5py.Dataset]:
        """The array of an image as h5py shows it: (W, H) RAW or (3, W, H) sRGB."""
        path, name = self._path(image), _ARRAYS[self.space]
        with _reading(path, image.number) as file:
            stored = file[name]
            channels, (width, height) = stored.shape[:-2], stored.shape[-2:]
            if channels != _CHANNELS[self.space] or stored.dtype.kind != "f":
                layout = "(W, H)" if self.space == "raw" else "(3, W, H)"
                raise ValueError(f"expected {name} as {layout} of floats, got {stored.dtype} {stored.shape}")
            for number, (rows, columns) in enumerate(image.windows, start=1):
                if rows.stop > height or columns.stop > width:
                    raise ValueError(f"box {number} of info.mat ends beyond the {height}x{width} pixels")
            yield stored


def bayer_pattern(stored: NDArray, orientation: Orientation = "corrected") -> str:
    """The Bayer tile of a camera in info.mat.

    Args:
        stored: (2, 2) `pattern` as h5py hands it over, which is transposed; 1 is R, 2 is G, 3 is B.
        orientation: `corrected` transposes it back; `released` leaves it as it is, as the evaluation scripts of
            CycleISP and of Brooks et al. do, which takes GBRG for GRBG and GRBG for GBRG: docs/dnd_orientation.md.

    Raises:
        ValueError: no such orientation, or the tile is none of bayer.PATTERNS.
    """
    if orientation not in ORIENTATIONS:
        raise ValueError(f"unknown orientation {orientation!r}; expected one of {', '.join(ORIENTATIONS)}")
    tile = stored.T if orientation == "corrected" else stored
    letters = "".join(_LETTERS.get(code, "?") for code in tile.flatten().tolist())
    if stored.shape != (2, 2) or letters not in bayer.PATTERNS:
        raise ValueError(
            f"unknown Bayer pattern {tile.tolist()}; expected one of {', '.join(bayer.PATTERNS)} "
            "as a 2x2 tile of 1 (R), 2 (G) and 3 (B)"
        )
    return letters


def _windows(boxes: NDArray, extent: Extent) -> Iterator[Window]:
    """Rows and columns of boxes (20, 4): y1, x1, y2, x2, from 1, both ends belonging to them."""
    if boxes.shape != (extent.boxes, 4):
        raise ValueError(f"expected {extent.boxes} boxes of 4 numbers, got an array of {boxes.shape}")
    for number, (top, left, bottom, right) in enumerate(boxes.tolist(), start=1):
        box = f"box {number}, rows {top:g}..{bottom:g}, columns {left:g}..{right:g}"
        if bottom - top + 1 != extent.side or right - left + 1 != extent.side or min(top, left) < 1:
            raise ValueError(f"{box}: expected {extent.side}x{extent.side} pixels of the image")
        if top % 2 != 1 or left % 2 != 1:
            raise ValueError(f"{box}: must begin on odd ones, elsewhere the crop has another Bayer pattern")
        yield slice(int(top) - 1, int(bottom)), slice(int(left) - 1, int(right))


def _cell(file: h5py.File, name: str, number: int) -> h5py.Group | h5py.Dataset:
    """What the cell of an image in info.NAME holds: MATLAB's 50x1 cell is (1, 50) references."""
    return file[file["info"][name][0, number - 1]]


@contextmanager
def _reading(path: Path, number: int) -> Iterator[h5py.File]:
    """An open MATLAB v7.3 file; whatever goes wrong inside is told as the file's fault, at the image `number`."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        reason = str(error) or type(error).__name__
        raise DndError(f"{path}: not a whole file of DND, at image {number:04d} ({reason}); get it again") from None
