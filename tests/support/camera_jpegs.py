"""RAW files with the JPEG that a camera has made of them, by a rendering that is known."""

import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from cycleisp.utils.raw.dng.tiff_writer import BYTE, RATIONAL, SHORT, SRATIONAL, number_tag, text_tag
from tests.support.camera_files import XYZ2CAM, write_raw

BLACK, WHITE = 512, 16383
NEUTRAL = (0.5, 1.0, 0.625)
FILTERS = {"R": 0, "G": 1, "B": 2}
HEIGHT, WIDTH = 192, 256


@dataclass(frozen=True)
class Geometry:
    """Where the pixels of a JPEG come from.

    Attributes:
        top, left: first row and column of the mosaic that the JPEG shows.
        height, width: of the JPEG.
        barrel: share by which the corners of the mosaic are moved, a lens correction.
    """

    top: float = 4
    left: float = 8
    height: int = HEIGHT - 10
    width: int = WIDTH - 16
    barrel: float = 0.0

    def source(self, places: NDArray, size: tuple[int, int] = (HEIGHT, WIDTH)) -> NDArray[np.float64]:
        """Returns where in the mosaic places (..., 2) of the JPEG come from, x before y."""
        centre = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
        moved = places + np.array([self.left, self.top]) - centre
        radius = (moved**2).sum(axis=-1, keepdims=True) / (centre**2).sum()
        return np.asarray(centre + moved * (1 - self.barrel * radius))


@cache
def dead_leaves(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> NDArray[np.float32]:
    """Returns linear light (H, W, 3) in [0, 1]: discs of all sizes that hide each other.

    Such pictures have the statistics of photos (Lee, Mumford and Huang, IJCV 2001). The array is
    shared, so do not change it.
    """
    rng = np.random.default_rng(seed)
    scene = np.full((height, width, 3), 0.2, np.float32)
    for _ in range(500):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        radius, colour = int(3 / rng.uniform(0.06, 1)), rng.uniform(0.1, 0.85) ** 2 * rng.uniform(0.6, 1.4, 3)
        cv2.circle(scene, centre, radius, colour.tolist(), -1)
    return np.asarray(cv2.GaussianBlur(scene, (0, 0), 0.8), np.float32)


def camera_look(linear: NDArray[np.float32]) -> NDArray[np.float32]:
    """Renders linear light as a camera does: a tone curve, more saturation, sharpening."""
    encoded = np.clip(linear, 0, 1) ** np.float32(1 / 2.2)
    toned = encoded * encoded * (3 - 2 * encoded)
    grey = toned.mean(axis=-1, keepdims=True)
    vivid = grey + 1.25 * (toned - grey)
    return np.clip(vivid + 0.6 * (vivid - cv2.GaussianBlur(vivid, (0, 0), 1.0)), 0, 1)


def camera_jpeg(scene: NDArray[np.float32], geometry: Geometry) -> NDArray[np.uint8]:
    """Returns what the camera's JPEG of a scene shows, (H', W', 3)."""
    places = np.stack(np.meshgrid(np.arange(geometry.width), np.arange(geometry.height)), axis=-1)
    source = geometry.source(places.astype(np.float64), scene.shape[:2]).astype(np.float32)
    shown = cv2.remap(camera_look(scene), source, None, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT)  # type: ignore[call-overload]
    return np.rint(255 * np.clip(shown, 0, 1)).astype(np.uint8)


def write_shot(
    folder: Path,
    name: str,
    seed: int = 0,
    geometry: Geometry | None = None,
    pattern: str = "RGGB",
    place: Literal["beside", "embedded", "nowhere"] = "beside",
    jpeg: NDArray[np.uint8] | None = None,
    exif: Image.Exif | None = None,
) -> Path:
    """Writes a RAW file of `dead_leaves`, and the camera's JPEG of it.

    Args:
        folder: for the files.
        name: of the files, without suffix.
        seed: of the scene.
        geometry: of the JPEG.
        pattern: the Bayer tile.
        place: where the JPEG is put.
        jpeg: a picture to take in place of the camera's.
        exif: of the JPEG.
    """
    scene = dead_leaves(seed=seed)
    signal = scene * np.array(NEUTRAL, np.float32)
    rows, columns = np.indices(scene.shape[:2])
    filters = np.array([FILTERS[letter] for letter in pattern]).reshape(2, 2)[rows % 2, columns % 2]
    mosaic = np.take_along_axis(signal, filters[..., None], axis=2)[..., 0]
    levels = np.rint(BLACK + mosaic * (WHITE - BLACK)).astype(np.uint16)
    picture = camera_jpeg(scene, geometry or Geometry()) if jpeg is None else jpeg
    content = encode_jpeg(picture, exif)
    tags = [
        text_tag("<", 271, "Fabricated"), text_tag("<", 272, "Camera"), text_tag("<", 50708, "Fabricated Camera"),
        number_tag("<", 50706, BYTE, 1, 4, 0, 0), number_tag("<", 33421, SHORT, 2, 2),
        number_tag("<", 33422, BYTE, *(FILTERS[letter] for letter in pattern)),
        number_tag("<", 50714, SHORT, BLACK), number_tag("<", 50717, SHORT, WHITE),
        number_tag("<", 50721, SRATIONAL, *XYZ2CAM), number_tag("<", 50728, RATIONAL, *NEUTRAL),
        number_tag("<", 50778, SHORT, 21),
    ]  # fmt: skip
    path = write_raw(folder / f"{name}.dng", levels, tags, about=False, preview=content if place == "embedded" else b"")
    if place == "beside":
        (folder / f"{name}.JPG").write_bytes(content)
    return path


def encode_jpeg(picture: NDArray[np.uint8], exif: Image.Exif | None = None) -> bytes:
    """Returns a picture (H, W) or (H, W, 3) as JPEG."""
    file = io.BytesIO()
    options: dict[str, Any] = {} if exif is None else {"exif": exif}
    Image.fromarray(picture).save(file, "JPEG", quality=95, subsampling=0, **options)
    return file.getvalue()


def adobe_rgb_exif() -> Image.Exif:
    """Returns what a camera says of a JPEG in Adobe RGB."""
    tags = Image.Exif()
    tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ColorSpace] = 2
    return tags
