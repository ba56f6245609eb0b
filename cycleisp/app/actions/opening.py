"""Opens a photo or camera file: what it is, how noisy, and a small picture of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.photos import read_photo, width_x_height
from cycleisp.dataloaders.sources import Source
from cycleisp.utils.images import Space
from cycleisp.utils.orientation import upright
from cycleisp.utils.output.report.pictures import fitted
from cycleisp.utils.processes.apart import apart
from cycleisp.utils.raw.camera_files import RawImage, read_raw, render_with_libraw
from cycleisp.utils.raw.file_noise import noise_of_file

OVERVIEW = 640  # pixels of the longer side of the small picture


@dataclass(frozen=True)
class Opened:
    """A file that the page works on.

    Attributes:
        path: the file.
        space: "raw" for a camera file, "srgb" for a photo.
        height, width: of the upright picture, in pixels.
        about: what the file is, in words.
        shot_noise, read_noise: of a camera file: the variances of its noise on the [0, 1] scale,
            the mean over the planes, with three digits; None where nobody can tell.
    """

    path: Path
    space: Space
    height: int
    width: int
    about: str
    shot_noise: float | None = None
    read_noise: float | None = None


def open_file(path: Path) -> tuple[Opened, NDArray[np.uint8]]:
    """Opens a photo or a camera file.

    Returns:
        What it is, and a small picture of it, (H, W, 3) sRGB, upright.

    Raises:
        UserError: the file is damaged, too large, or neither a photo nor a camera file.
    """
    if Source(path, path.stem).space == "raw":
        return _open_raw(path)
    photo = apart(read_photo, path)
    depth = 8 * photo.dtype.itemsize
    about = f"{path.name}: a photo of {width_x_height(photo.shape)} pixels, {depth} bits"
    height, width = photo.shape[:2]
    return Opened(path, "srgb", height, width, about), fitted(photo, OVERVIEW)


def _open_raw(path: Path) -> tuple[Opened, NDArray[np.uint8]]:
    image = apart(read_raw, path, clip=False)
    picture = upright(apart(render_with_libraw, path), image.orientation)
    height, width = picture.shape[:2]
    about = f"{path.name}: a camera file of {width_x_height(picture.shape)} pixels"
    about += "" if image.iso is None else f", ISO {image.iso:g}"
    try:
        shot, read, origin = _noise_of(image)
    except ValueError:
        about += "; its noise cannot be told, so give it below"
        return Opened(path, "raw", height, width, about), fitted(picture, OVERVIEW)
    about += f"; noise from {origin}: shot {shot:g}, read {read:g}"
    return Opened(path, "raw", height, width, about, shot, read), fitted(picture, OVERVIEW)


def _noise_of(image: RawImage) -> tuple[float, float, str]:
    """Returns shot and read noise with three digits, and their origin. Raises ValueError."""
    *levels, origin = noise_of_file(image)
    shot, read = (float(f"{np.mean(level, dtype=np.float64):.3g}") for level in levels)
    return shot, read, origin
