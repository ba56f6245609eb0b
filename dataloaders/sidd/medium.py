"""SIDD's training sets, Medium and Small: RAW files, and clean frames as pairs {photo, RAW}.

DIR/.../<scene>/NNNN_NOISY_RAW_010.MAT  the RAW set: a noisy frame
DIR/.../<scene>/NNNN_GT_RAW_010.MAT     the RAW set: the clean frame
DIR/.../<scene>/NNNN_GT_SRGB_010.PNG    the sRGB set, in the same folder or in one of that name

Files of SIDD-Small lack NNNN_. The RAW files are MATLAB v7.3. Their variable `x` is a mosaic in
[0, 1]. The pairs fine-tune the ISP networks; the noise, which real_noise/ takes from the RAW set,
makes realistic noisy images.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import h5py
import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.matlab.v73 import open_v73, wrong_scale
from cycleisp.dataloaders.photos import read_photo, width_x_height
from cycleisp.dataloaders.sidd.scenes import PATTERNS_FILE, SiddError, pattern_of, read_patterns, scene_of
from cycleisp.dataloaders.sources import Source
from cycleisp.utils.listing import visible, visible_files

Window = tuple[slice, slice]  # rows and columns of a mosaic as it is stored

_RAW_FILE = re.compile(r"(?P<instance>\d+_)?GT_RAW_(?P<number>\d+)\.MAT", re.IGNORECASE)
_PHOTO_FILE = re.compile(r"(?P<instance>\d+_)?GT_SRGB_(?P<number>\d+)\.PNG", re.IGNORECASE)
_ARCHIVES = frozenset((".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"))
_COARSE = 64  # pixels of the longer side at which a photo and its RAW are compared
_LIKENESS = 0.8  # the least correlation of the two


# ---------------------------------------------------------------- RAW files


def mosaic_shape(path: Path) -> tuple[int, int]:
    """Returns height and width of a RAW file. Raises SiddError if the file is damaged."""
    with _stored_mosaic(path) as stored:
        width, height = stored.shape
        return height, width


def read_mosaic(path: Path, window: Window = (slice(None), slice(None))) -> NDArray[np.float32]:
    """Reads a window of a RAW file, and nothing else of the file.

    Returns:
        (H, W), linear, nominally in [0, 1], not clipped.

    Raises:
        SiddError: the file is damaged, or its values are on another scale.
    """
    rows, columns = window
    with _stored_mosaic(path) as stored:
        mosaic = stored[columns, rows].T.astype(np.float32)
    if problem := wrong_scale(mosaic):
        raise SiddError(f"{path}: {problem}")
    return mosaic


@contextmanager
def _stored_mosaic(path: Path) -> Iterator[h5py.Dataset]:
    """Opens the mosaic of a RAW file as h5py shows it: (W, H)."""
    with open_v73(
        path, lambda reason: SiddError(f"{path}: not a whole RAW file of SIDD-Medium ({reason}); get it again")
    ) as file:
        stored = file["x"]
        if stored.ndim != 2 or stored.dtype.kind != "f":
            raise ValueError(f"expected x as one mosaic of floats, got {stored.dtype} {stored.shape}")
        yield stored


# ---------------------------------------------------------------- clean frames


@dataclass(frozen=True)
class SiddFrame(Source):
    """One clean frame: `path` is its RAW, `name` is <scene>/NNNN_010, or <scene>/010 of SIDD-Small.

    Attributes:
        photo: the sRGB picture, or None if there is none.
        cameras: bayer_patterns.csv, which may be absent.
    """

    photo: Path | None = None
    cameras: Path = Path(PATTERNS_FILE)

    def read(self) -> tuple[NDArray[np.float32], str, NDArray[np.uint8]]:
        """Reads the frame.

        Returns:
            The mosaic (H, W), linear in [0, 1]; its Bayer pattern; and the photo (H, W, 3), turned
            so that it lies as the mosaic does.

        Raises:
            UserError: a file is missing or damaged, the camera is unknown, or the photo shows
                something else.
        """
        if self.photo is None:
            partner = self.path.stem.upper().replace("_RAW_", "_SRGB_")
            raise SiddError(
                f"{self.path}: has no {partner}.PNG beside it or in another folder {self.path.parent.name}; add "
                "SIDD's sRGB set to the folders"
            )
        pattern = pattern_of(scene_of(self.path), read_patterns(self.cameras))
        mosaic = np.clip(read_mosaic(self.path), 0, 1)
        photo = read_photo(self.photo)
        if photo.dtype != np.uint8:
            raise SiddError(f"{self.photo}: expected 8 bits, got {8 * photo.dtype.itemsize}")
        return mosaic, pattern, orient_to_raw(photo.astype(np.uint8), mosaic, self.photo)


def find_sidd_frames(folders: Sequence[Path | str]) -> list[SiddFrame]:
    """Returns all clean RAW frames below some folders, sorted by name.

    Each frame has its picture from any of the folders.
    """
    photos: dict[tuple[str, str], Path] = {}
    frames: dict[str, SiddFrame] = {}
    roots = [Path(folder) for folder in folders if Path(folder).is_dir()]
    files = [(root, path) for root in roots for path in visible(root)]
    for _, path in files:
        if match := _PHOTO_FILE.fullmatch(path.name):
            photos.setdefault((path.parent.absolute().name, _number(match)), path)
    for root, path in files:
        if match := _RAW_FILE.fullmatch(path.name):
            scene = path.parent.absolute().name
            name = f"{scene}/{_number(match)}"
            photo = photos.get((scene, _number(match)))
            frames.setdefault(name, SiddFrame(path, name, photo=photo, cameras=root / PATTERNS_FILE))
    return [frames[name] for name in sorted(frames)]


def _number(match: re.Match[str]) -> str:
    """Returns what tells the frames of a scene apart: NNNN_010, or 010 of SIDD-Small."""
    return f"{match['instance'] or ''}{match['number']}"


def advice_on_archives(folders: Sequence[Path | str]) -> str:
    """Returns the advice to unpack the archives in some folders, or nothing where there are none.

    Data sets come as archives, some of which hold archives again.
    """
    found = [
        path
        for folder in folders
        if Path(folder).is_dir()
        for path in visible_files(Path(folder))
        if path.suffix.lower() in _ARCHIVES
    ]
    return f"; unpack its {len(found)} archives first, such as {found[0].name}" if found else ""


def orient_to_raw(photo: NDArray[np.uint8], mosaic: NDArray[np.float32], path: Path) -> NDArray[np.uint8]:
    """Turns and mirrors a photo so that it lies as its RAW does.

    A photo may be stored upright and its RAW as the sensor lay. Which of the eight ways is right
    is found by a coarse comparison of brightness.

    Args:
        photo: (H, W, 3) or (W, H, 3).
        mosaic: (H, W), linear in [0, 1].
        path: the photo's file, for messages.

    Returns:
        (H, W, 3)

    Raises:
        SiddError: the two differ in size, or the photo shows something else either way.
    """
    light = _coarse(mosaic ** np.float32(1 / 2.2))  # about as on a display
    best, likeness = None, -1.0
    for turns, mirrored in itertools.product(range(4), (False, True)):
        turned = np.rot90(photo[:, ::-1] if mirrored else photo, turns)
        if turned.shape[:2] != mosaic.shape:
            continue
        found = _correlation(light, _coarse(turned.mean(axis=2, dtype=np.float32)))
        if found > likeness:
            best, likeness = turned, found
    if best is None and sorted(photo.shape[:2]) != sorted(mosaic.shape):
        sizes = f"{width_x_height(photo.shape)} pixels, its RAW has {width_x_height(mosaic.shape)}"
        raise SiddError(f"{path}: {sizes}; no pixel-aligned pair")
    if best is None or likeness < _LIKENESS:
        raise SiddError(f"{path}: does not show what its RAW shows (likeness {likeness:.2f}); get both again")
    return np.ascontiguousarray(best)


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Returns Pearson's correlation of two pictures of one size, or 0 if one of them is flat."""
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float((first * second).sum()) / scale if scale > 0 else 0.0


def _coarse(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Reduces an image (H, W) to the means of large areas, at most 64 a side."""
    height, width = image.shape
    scale = min(1, _COARSE / max(height, width))
    size = max(2, round(width * scale)), max(2, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
