"""Folders of noisy/clean pictures: any `noisy/NAME` beside `clean/NAME`."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from numpy.typing import NDArray

from cycleisp.dataloaders.photos import PhotoError, read_photo, width_x_height
from cycleisp.dataloaders.sources import PHOTO_SUFFIXES
from cycleisp.utils.errors import UserError


@dataclass(frozen=True)
class PairPaths:
    """Two sRGB pictures of one scene. No other pair in the folder has the same `name`."""

    name: str
    noisy: Path
    clean: Path


def find_pairs(folder: Path) -> list[PairPaths]:
    """Returns the pairs `noisy/NAME` and `clean/NAME` of a folder, sorted by name.

    In a folder that generate_data.py wrote, the two lie in its folder `srgb`.

    Raises:
        UserError: there are no such folders or no pictures in them, or a picture has no partner.
    """
    root = folder if (folder / "noisy").is_dir() else folder / "srgb"
    if not ((root / "noisy").is_dir() and (root / "clean").is_dir()):
        raise UserError(f"{folder}: expected two folders, noisy and clean, with equal file names")
    names = {
        kind: {
            path.relative_to(root / kind)
            for path in (root / kind).rglob("*")
            if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file()
        }
        for kind in ("noisy", "clean")
    }
    if not names["noisy"] | names["clean"]:
        raise UserError(f"{root}: no picture in noisy and clean; looked for {' '.join(sorted(PHOTO_SUFFIXES))}")
    alone = sorted(names["noisy"] ^ names["clean"])
    if alone:
        kind, other = ("noisy", "clean") if alone[0] in names["noisy"] else ("clean", "noisy")
        raise UserError(f"{root / kind / alone[0]}: has no partner of that name in {root / other}")
    stems = Counter(name.with_suffix("") for name in names["noisy"])
    return [
        PairPaths(
            (name if stems[name.with_suffix("")] > 1 else name.with_suffix("")).as_posix(),
            root / "noisy" / name,
            root / "clean" / name,
        )
        for name in sorted(names["noisy"])
    ]


def read_pair(paths: PairPaths) -> tuple[NDArray, NDArray]:
    """Reads a pair.

    Returns:
        The noisy and the clean picture, each (H, W, 3) uint8 or uint16.

    Raises:
        PhotoError: a picture cannot be read, or the two differ in size or depth.
    """
    noisy, clean = read_photo(paths.noisy), read_photo(paths.clean)
    if noisy.shape != clean.shape or noisy.dtype != clean.dtype:
        raise PhotoError(
            f"{paths.noisy}: {_size_and_depth(noisy)}, its clean partner {paths.clean} is {_size_and_depth(clean)}; "
            "a pair has one size and depth"
        )
    return noisy, clean


def _size_and_depth(photo: NDArray) -> str:
    return f"{width_x_height(photo.shape)} of {8 * photo.dtype.itemsize} bits"
