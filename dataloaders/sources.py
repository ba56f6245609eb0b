"""The photos and camera RAW files that a user names, with names for their results."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from cycleisp.utils.raw.camera_files import RAW_SUFFIXES

PHOTO_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"))


class SourceError(UserError):
    """Inputs that do not exist, or folders without photos."""


@dataclass(frozen=True)
class Source:
    """One input file.

    Attributes:
        path: the file.
        name: its relative path without suffix, which its results are named after.
    """

    path: Path
    name: str

    @property
    def space(self) -> Space:
        """Returns `raw` for a camera file and `srgb` for a photo, by the suffix."""
        return "raw" if self.path.suffix.lower() in RAW_SUFFIXES else "srgb"


def find_sources(inputs: Iterable[Path | str], raw: bool = True, exclude: Path | None = None) -> list[Source]:
    """Returns the photos and camera files among some files and folders, sorted by name.

    A file inside a folder is named by its path below that folder. Where two files would have one
    name, the later one gets a number: `a/1.jpg` and `b/1.jpg`, given as the two folders `a` and
    `b`, become `1` and `1-2`.

    Args:
        inputs: files, and folders that are searched at all depths.
        raw: whether to look for camera files in the folders, too.
        exclude: a folder whose files are left out. Results in a folder inside of the inputs are no
            inputs.

    Raises:
        SourceError: an input does not exist, or a folder holds no photo.
    """
    suffixes = PHOTO_SUFFIXES | (RAW_SUFFIXES if raw else frozenset())
    found: list[tuple[str, Path]] = []
    for item in map(Path, inputs):
        if item.is_dir():
            files = [file for file in sorted(item.rglob("*")) if file.suffix.lower() in suffixes and file.is_file()]
            if exclude is not None:
                files = [file for file in files if not file.resolve().is_relative_to(exclude.resolve())]
            if not files:
                raise SourceError(f"{item}: no photo in this folder; looked for {' '.join(sorted(suffixes))}")
            found += [(file.relative_to(item).with_suffix("").as_posix(), file) for file in files]
        elif item.exists():
            found.append((item.stem, item))
        else:
            raise SourceError(f"{item}: no such file or folder")
    sources: list[Source] = []
    taken: set[str] = set()
    for name, path in sorted(found, key=lambda pair: (pair[0], pair[1].as_posix())):
        unique, number = name, 1
        while unique in taken:
            number += 1
            unique = f"{name}-{number}"
        taken.add(unique)
        sources.append(Source(path, unique))
    return sources
