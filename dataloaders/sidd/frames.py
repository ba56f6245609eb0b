"""SIDD-Medium's clean frames as pairs {photo, RAW}, to fine-tune the ISP networks on.

DIR/.../<scene>/NNNN_GT_RAW_010.MAT     of the RAW set
DIR/.../<scene>/NNNN_GT_SRGB_010.PNG    of the sRGB set, in the same folder or in one of that name
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.photos import Source, read_photo
from cycleisp.dataloaders.real_noise.sources import read_sidd_mosaic
from cycleisp.dataloaders.sidd.blocks import SiddError, parse_scene, pattern_of, read_patterns

_RAW_FILE = re.compile(r"(?P<instance>\d+)_GT_RAW_(?P<number>\d+)\.MAT", re.IGNORECASE)
_PHOTO_FILE = re.compile(r"(?P<instance>\d+)_GT_SRGB_(?P<number>\d+)\.PNG", re.IGNORECASE)
_COARSE = 64  # pixels of the longer side at which a photo and its RAW are compared
_LIKENESS = 0.8  # least correlation of the two


@dataclass(frozen=True)
class SiddFrame(Source):
    """One clean frame: `path` is the RAW, `name` is <scene>/NNNN_010.

    Attributes:
        photo: the sRGB picture; None where there is none.
        cameras: bayer_patterns.csv, which may be absent.
    """

    photo: Path | None
    cameras: Path

    def read(self) -> tuple[NDArray[np.float32], str, NDArray[np.uint8]]:
        """Mosaic (H, W) linear in [0, 1], its pattern, and the photo (H, W, 3) that lies as the mosaic does.

        Raises:
            UserError: missing or damaged file, unknown camera, or a photo that does not show the same.
        """
        if self.photo is None:
            instance, number = self.path.stem.split("_")[0], self.path.stem.split("_")[-1]
            raise SiddError(
                f"{self.path}: has no {instance}_GT_SRGB_{number}.PNG beside it or in another folder "
                f"{self.path.parent.name}; add SIDD-Medium's sRGB set to the folders"
            )
        pattern = pattern_of(parse_scene(self.path.parent.absolute().name), read_patterns(self.cameras))
        mosaic = np.clip(read_sidd_mosaic(self.path), 0, 1)
        photo = read_photo(self.photo)
        if photo.dtype != np.uint8:
            raise SiddError(f"{self.photo}: expected 8 bits, got {8 * photo.dtype.itemsize}")
        return mosaic, pattern, align(photo.astype(np.uint8), mosaic, self.photo)


def find_sidd_frames(folders: Sequence[Path | str]) -> list[SiddFrame]:
    """All clean RAW frames below some folders, sorted by name, each with its picture from any of the folders."""
    photos: dict[tuple[str, str, str], Path] = {}
    frames: dict[str, SiddFrame] = {}
    roots = [Path(folder) for folder in folders if Path(folder).is_dir()]
    files = [(root, path) for root in roots for path in sorted(root.rglob("*")) if not path.name.startswith(".")]
    for _, path in files:
        if match := _PHOTO_FILE.fullmatch(path.name):
            photos.setdefault((path.parent.name, match["instance"], match["number"]), path)
    for root, path in files:
        if match := _RAW_FILE.fullmatch(path.name):
            scene = path.parent.absolute().name
            name = f"{scene}/{match['instance']}_{match['number']}"
            photo = photos.get((path.parent.name, match["instance"], match["number"]))
            frames.setdefault(name, SiddFrame(path, name, photo, root / "bayer_patterns.csv"))
    return [frames[name] for name in sorted(frames)]


def align(photo: NDArray[np.uint8], mosaic: NDArray[np.float32], path: Path) -> NDArray[np.uint8]:
    """Turn and mirror a photo (H, W, 3), or (W, H, 3), so that it lies as its mosaic (H, W).

    A picture may be stored upright and its RAW as the sensor lay. Which of the eight ways is right shows in a coarse
    comparison of brightness. `path` is for messages.

    Raises:
        SiddError: another size, or no way shows the same.
    """
    light = _coarse(mosaic ** np.float32(1 / 2.2))  # about as a display's values
    best, likeness = None, -1.0
    for turns, mirrored in itertools.product(range(4), (False, True)):
        turned = np.rot90(photo[:, ::-1] if mirrored else photo, turns)
        if turned.shape[:2] != mosaic.shape:
            continue
        found = _correlation(light, _coarse(turned.mean(axis=2, dtype=np.float32)))
        if found > likeness:
            best, likeness = turned, found
    if best is None and sorted(photo.shape[:2]) != sorted(mosaic.shape):
        sizes = f"{photo.shape[1]}x{photo.shape[0]} pixels, its RAW has {mosaic.shape[1]}x{mosaic.shape[0]}"
        raise SiddError(f"{path}: {sizes}; no pixel-aligned pair")
    if best is None or likeness < _LIKENESS:
        raise SiddError(f"{path}: does not show what its RAW shows (likeness {likeness:.2f}); get both again")
    return np.ascontiguousarray(best)


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Pearson's, of two pictures of one size; 0 where one is flat."""
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float((first * second).sum()) / scale if scale > 0 else 0.0


def _coarse(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) reduced to the means of large areas, at most 64 a side."""
    height, width = image.shape
    scale = min(1, _COARSE / max(height, width))
    size = max(2, round(width * scale)), max(2, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
