"""Folders of noisy/clean pictures: `noisy/NAME` beside `clean/NAME`, or SIDD's sRGB sets."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from numpy.typing import NDArray

from cycleisp.dataloaders.photos import PhotoError, read_photo, width_x_height
from cycleisp.dataloaders.sidd.medium import advice_on_archives
from cycleisp.dataloaders.sources import PHOTO_SUFFIXES
from cycleisp.utils.errors import UserError
from cycleisp.utils.listing import visible_files

# SIDD-Medium: <scene>/NNNN_GT_SRGB_010.PNG beside NNNN_NOISY_SRGB_010.PNG. SIDD-Small has no NNNN_.
_SIDD_FILE = re.compile(r"(?P<instance>\d+_)?(?P<kind>NOISY|GT)_SRGB_(?P<number>\d+)\.PNG", re.IGNORECASE)


@dataclass(frozen=True)
class PairPaths:
    """Two sRGB pictures of one scene. No other pair in the folder has the same `name`."""

    name: str
    noisy: Path
    clean: Path


def find_pairs(folder: Path) -> list[PairPaths]:
    """Returns the pairs of a folder, sorted by name.

    Pairs are `noisy/NAME` and `clean/NAME`, at any depth below these two folders. In a folder that
    generate_data.py wrote, the two lie in its folder `srgb`. The sRGB sets of SIDD-Medium and
    SIDD-Small, unpacked, serve as well; a pair of theirs is named <scene>/NNNN_010 or <scene>/010.

    Raises:
        UserError: there are no such folders or no pictures in them, or a picture has no partner.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    for root in (folder, folder / "srgb"):
        noisy, clean = (_subfolder(root, kind) for kind in ("noisy", "clean"))
        if noisy is not None and clean is not None:
            return _by_equal_names(noisy, clean)
    pairs = _of_sidd(folder)
    if pairs:
        return pairs
    raise UserError(
        f"{folder}: expected two folders, noisy and clean, with equal file names, or SIDD's scenes with "
        f"NNNN_NOISY_SRGB_010.PNG beside NNNN_GT_SRGB_010.PNG{advice_on_archives([folder])}"
    )


def _subfolder(root: Path, name: str) -> Path | None:
    """Returns the folder of that name, in whatever case, or None."""
    if (root / name).is_dir():
        return root / name
    if not root.is_dir():
        return None
    return next((path for path in sorted(root.iterdir()) if path.name.lower() == name and path.is_dir()), None)


def _by_equal_names(noisy: Path, clean: Path) -> list[PairPaths]:
    names = {place: {path.relative_to(place) for path in _pictures(place)} for place in (noisy, clean)}
    if not names[noisy] | names[clean]:
        raise UserError(f"{noisy.parent}: no picture in noisy and clean; looked for {' '.join(sorted(PHOTO_SUFFIXES))}")
    alone = sorted(names[noisy] ^ names[clean])
    if alone:
        here, there = (noisy, clean) if alone[0] in names[noisy] else (clean, noisy)
        raise UserError(f"{here / alone[0]}: has no partner of that name in {there}")
    stems = Counter(name.with_suffix("") for name in names[noisy])
    return [
        PairPaths(
            (name if stems[name.with_suffix("")] > 1 else name.with_suffix("")).as_posix(), noisy / name, clean / name
        )
        for name in sorted(names[noisy])
    ]


def _pictures(place: Path) -> Iterator[Path]:
    """Yields the pictures below a folder, sorted, but for hidden ones."""
    return (path for path in visible_files(place) if path.suffix.lower() in PHOTO_SUFFIXES)


def _of_sidd(folder: Path) -> list[PairPaths]:
    """Returns the pairs of SIDD's scenes below a folder, which may be a scene itself."""
    found: dict[tuple[Path, str], dict[str, Path]] = {}
    for path in _pictures(folder):
        if match := _SIDD_FILE.fullmatch(path.name):
            key = path.parent, f"{match['instance'] or ''}{match['number']}"
            found.setdefault(key, {})[match["kind"].upper()] = path
    pairs = []
    for (place, number), kinds in found.items():
        if len(kinds) == 1:
            (present,) = kinds.values()
            raise UserError(f"{present}: has no partner beside it; SIDD has NOISY_SRGB and GT_SRGB of each number")
        scene = place.relative_to(folder).as_posix() if place != folder else place.absolute().name
        pairs.append(PairPaths(f"{scene}/{number}", kinds["NOISY"], kinds["GT"]))
    return sorted(pairs, key=lambda pair: pair.name)


def is_of_sidd(pair: PairPaths) -> bool:
    """Returns whether a pair is one of SIDD's, whose folders are scenes."""
    return pair.noisy.parent == pair.clean.parent


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
