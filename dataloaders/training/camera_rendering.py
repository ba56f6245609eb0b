"""The camera's own JPEG as the rendering of a RAW file, laid onto its mosaic pixel by pixel."""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.photo_files.colors import in_srgb
from cycleisp.dataloaders.photo_files.exif import exif_of_bytes, says_adobe_rgb
from cycleisp.dataloaders.photo_files.pillow import read_jpeg
from cycleisp.dataloaders.photo_files.stored import PhotoError
from cycleisp.dataloaders.photos import read_content, width_x_height
from cycleisp.utils.camera_jpeg.lens_warp import LensWarp
from cycleisp.utils.camera_jpeg.preview import embedded_jpeg, jpegs_beside
from cycleisp.utils.camera_jpeg.registration import RegistrationError, look_up, register
from cycleisp.utils.errors import UserError, reading
from cycleisp.utils.raw.camera_files import RawFileError, render_with_libraw

_SMALL = 0.6  # of the mosaic's longer side: what is smaller is a preview, no full-size JPEG
_LEAST_SCALE, _LARGEST_SCALE = 0.9, 1.25  # pixels of the JPEG for a pixel of the mosaic
_GREY = 1.0  # levels of 255: a picture whose channels differ by less on average has no colours
_TAPS = 4  # pixels that Lanczos' filter reaches
_STEP = 2  # pixels by which a window shrinks; even, which keeps the Bayer pattern
_LEAST_SIDE = 64
_EXIF_IFD, _COLOR_SPACE = 34665, 40961


@dataclass(frozen=True)
class CameraRendering:
    """A camera's JPEG that lies on a window of the mosaic, and how that is known.

    Attributes:
        photo: (h, w, 3) sRGB, for the window's pixels.
        rows, columns: the window of the mosaic. It begins at even places.
        origin: `embedded`, or the name of the file beside the RAW file.
        warp: from places of the mosaic to places of the JPEG as it is stored upright.
        typical_error, large_error: median distance of tiles from their places after alignment, and
            what a tenth exceeds, in pixels.
    """

    photo: NDArray[np.uint8]
    rows: slice
    columns: slice
    origin: str
    warp: LensWarp
    typical_error: float
    large_error: float


def read_camera_rendering(path: Path) -> CameraRendering:
    """Reads the camera's JPEG of a RAW file, in the place and orientation of its mosaic.

    The JPEG inside of the file is taken if it has the full size, since a file beside it may be an
    edited one; or else the JPEG of the same name in the same folder. Adobe RGB becomes sRGB.

    Raises:
        UserError: the RAW file cannot be read; or it has no JPEG that is of full size, in colour,
            and fits the mosaic. The reason of each is told.
    """
    rendered = render_with_libraw(path)
    reasons = []
    for file in (path, *(beside := jpegs_beside(path))):
        is_inside = file == path
        try:
            content = embedded_jpeg(path) if is_inside else read_content(file)
        except UserError as error:
            reasons.append(str(error).removeprefix(f"{file}: "))
            continue
        try:
            return _aligned(content, path, file, rendered)
        except (UserError, RegistrationError) as error:
            words = "the JPEG inside" if is_inside else file.name
            reasons.append(f"{words} {str(error).removeprefix(f'{file}: ')}")
    if not beside:
        reasons.append(f"there is no {path.stem}.JPG beside it; set the camera to RAW and full-size JPEG")
    raise RawFileError(f"{path}: left out, without a rendering of the camera: {'; '.join(reasons)}")


def _aligned(content: bytes, path: Path, file: Path, rendered: NDArray[np.uint8]) -> CameraRendering:
    """Decodes a JPEG and lays it onto LibRaw's rendering of the mosaic (H, W, 3).

    Args:
        content: of the JPEG.
        path: the RAW file.
        file: the file that the JPEG comes from, which may be the RAW file.
        rendered: LibRaw's rendering.

    Raises:
        UserError: it is damaged, too small, or without colours.
        RegistrationError: it does not fit.
    """
    with reading(file, PhotoError):
        photo = _decoded(content, path, file)
    size = f"is {width_x_height(photo.shape)}, the mosaic {width_x_height(rendered.shape)}"
    if max(photo.shape[:2]) < _SMALL * max(rendered.shape[:2]):
        raise PhotoError(f"{size}, no full-size JPEG")
    if np.ptp(photo[::4, ::4].astype(np.int16), axis=2).mean() < _GREY:
        raise PhotoError("is black and white")
    found = register(_grey(rendered), _grey(photo))
    if not _LEAST_SCALE <= found.warp.scale <= _LARGEST_SCALE:
        raise PhotoError(f"{size}, and shows it at {found.warp.scale:.2f} of its scale, no full-size JPEG")
    rows, columns = _window(found.warp, rendered.shape[:2], photo.shape[:2])
    return CameraRendering(
        look_up(photo, found.warp, rows, columns),
        rows,
        columns,
        "embedded" if file == path else file.name,
        found.warp,
        found.typical_error,
        found.large_error,
    )


def _decoded(content: bytes, path: Path, file: Path) -> NDArray[np.uint8]:
    """Returns a JPEG in sRGB, (H, W, 3). An embedded one often leaves its EXIF to the RAW file."""
    stored = read_jpeg(content, file)
    if file == path and not stored.metadata.icc_profile and not _says_space(stored.metadata.exif):
        stored = replace(stored, adobe_rgb=says_adobe_rgb(exif_of_bytes(path.read_bytes())))
    return np.asarray(in_srgb(stored, file), np.uint8)


def _says_space(exif: bytes | None) -> bool:
    """Tells whether EXIF data say anything of the colour space."""
    try:
        return _COLOR_SPACE in exif_of_bytes(exif).get_ifd(_EXIF_IFD)
    except Exception:  # damaged bytes can make a parser stumble anywhere
        return False


def _grey(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(photo), cv2.COLOR_RGB2GRAY), np.uint8)


def _window(warp: LensWarp, size: tuple[int, int], view: tuple[int, int]) -> tuple[slice, slice]:
    """Returns the rows and columns of a mosaic whose pixels all lie in the JPEG.

    Beginning with the whole mosaic, the side that reaches out most is moved inwards.

    Args:
        warp: from places of the mosaic to places of the JPEG.
        size: H and W of the mosaic.
        view: H and W of the JPEG.

    Raises:
        PhotoError: hardly any are.
    """
    room = 0 if warp.whole_crop is not None else _TAPS
    limits = np.array(view[::-1]) - 1 - room
    (bottom, right), top, left = size, 0, 0
    while min(bottom - top, right - left) >= _LEAST_SIDE:
        down, across = np.arange(top, bottom, dtype=float), np.arange(left, right, dtype=float)
        sides = [
            np.stack(np.broadcast_arrays(x, y), axis=-1)
            for x, y in ((across, float(top)), (across, bottom - 1.0), (left * 1.0, down), (right - 1.0, down))
        ]
        outside = [float(((places < room) | (places > limits)).any(axis=-1).mean()) for places in map(warp, sides)]
        worst = int(np.argmax(outside))
        if outside[worst] == 0:
            return slice(top, bottom), slice(left, right)
        top, bottom = top + _STEP * (worst == 0), bottom - _STEP * (worst == 1)
        left, right = left + _STEP * (worst == 2), right - _STEP * (worst == 3)
    raise PhotoError("shows hardly any of what the mosaic shows")
