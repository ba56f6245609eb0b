"""How large DND is, and what info.mat says of each scene: pattern, noise level, boxes, colours.

    info.camera         pattern, bayertype, AsShotNeutral, ColorMatrix2
    info.nlf            a and b, the shot and read noise
    info.boundingboxes  the boxes, whose content is to be denoised

Each of the three is a cell array with one cell for each image. RAW is scaled to [0, 1] already, so
that the cameras' black and white levels are not needed.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.matlab.v73 import open_v73
from cycleisp.utils.color.colorimetry import cam2rgb_from_xyz2cam
from cycleisp.utils.errors import UserError
from cycleisp.utils.raw import bayer

if TYPE_CHECKING:
    from cycleisp.utils.images import Space  # which imports PyTorch

Orientation = Literal["corrected", "released"]
ORIENTATIONS: tuple[Orientation, ...] = ("corrected", "released")
Window = tuple[slice, slice]  # rows and columns of an image
INFO_FILE = "info.mat"
_LETTERS = {1: "R", 2: "G", 3: "B"}


class DndError(UserError):
    """DND data that are missing or not as DND has them. The message says what to get or mend."""

    is_list = True


@dataclass(frozen=True)
class Extent:
    """How large DND is. Only tests use another one.

    Attributes:
        images: how many images there are.
        boxes: how many boxes, and so crops, each image has.
        side: the side of a box in pixels.
    """

    images: int = 50
    boxes: int = 20
    side: int = 512

    @property
    def numbers(self) -> range:
        """Returns the numbers of the images, which begin with 1."""
        return range(1, self.images + 1)

    def crop_shape(self, space: "Space") -> tuple[int, ...]:
        """Returns the shape of one crop: (512, 512) of RAW, or (512, 512, 3) of sRGB."""
        return (self.side, self.side) if space == "raw" else (self.side, self.side, 3)


DND = Extent()


@dataclass(frozen=True)
class Scene:
    """What info.mat says of an image.

    Attributes:
        number: 1 to 50.
        pattern: the Bayer tile of the image and of each of its crops.
        unified_as: the pattern by which crops are mirrored to RGGB; it differs from `pattern` only
            in the orientation `released`.
        shot_noise, read_noise: variances on the [0, 1] scale.
        windows: rows and columns of the crops.
    """

    number: int
    pattern: str
    unified_as: str
    shot_noise: float
    read_noise: float
    windows: tuple[Window, ...]


def read_scene(folder: Path, number: int, orientation: Orientation, extent: Extent) -> Scene:
    """Reads what info.mat says of an image.

    Raises:
        DndError: info.mat is damaged, or says what cannot be.
    """
    path = folder / INFO_FILE
    with open_dnd(path, number) as file:
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
        windows = tuple(_windows(boxes, extent))
        return Scene(number, pattern, bayer_pattern(tile, orientation), shot_noise, read_noise, windows)
    except ValueError as error:
        raise DndError(f"{path}: image {number:04d}: {error}; get it again") from None


def read_colors(folder: Path, number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Reads what is needed to render the RAW of an image.

    Returns:
        The white balance (3,), gains from AsShotNeutral; and `cam2rgb` (3, 3), from ColorMatrix2.

    Raises:
        DndError: the camera in info.mat has none.
    """
    with open_dnd(folder / INFO_FILE, number) as file:
        camera = _cell(file, "camera", number)
        neutral = np.asarray(camera["AsShotNeutral"], np.float64).reshape(3)
        # ColorMatrix1 is for incandescent light. The way to sRGB leads over XYZ under D65, which
        # ColorMatrix2 is for.
        xyz2cam = np.asarray(camera["ColorMatrix2"], np.float64)
        if xyz2cam.shape == (3, 3):
            xyz2cam = xyz2cam.T
        xyz2cam = xyz2cam.reshape(3, 3)  # a vector of nine is stored row by row, as in DNG
        if not (neutral > 0).all():
            raise ValueError(f"AsShotNeutral is {neutral}")
        return 1 / neutral, cam2rgb_from_xyz2cam(xyz2cam)


def bayer_pattern(stored: NDArray, orientation: Orientation = "corrected") -> str:
    """Returns the Bayer tile of a camera in info.mat.

    Args:
        stored: (2, 2) `pattern` as h5py shows it, which is transposed; 1 is R, 2 is G, 3 is B.
        orientation: `corrected` transposes it back. `released` leaves it as it is, as the
            evaluation scripts of CycleISP and of Brooks et al. do, so that GBRG counts as GRBG and
            GRBG as GBRG. docs/reference/dnd_orientation.md has the details.

    Raises:
        ValueError: the orientation is unknown, or the tile is not one of `bayer.PATTERNS`.
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


def open_dnd(path: Path, number: int) -> AbstractContextManager[h5py.File]:
    """Opens a file of DND. Whatever goes wrong with it is raised as DndError, with the image."""
    return open_v73(
        path,
        lambda reason: DndError(f"{path}: not a whole file of DND, at image {number:04d} ({reason}); get it again"),
    )


def _windows(boxes: NDArray, extent: Extent) -> Iterator[Window]:
    """Returns rows and columns of boxes (20, 4): y1, x1, y2, x2, counted from 1, ends included."""
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
    """Returns the content of an image's cell in info.NAME.

    MATLAB's 50x1 cell array appears as (1, 50) references.
    """
    return file[file["info"][name][0, number - 1]]
