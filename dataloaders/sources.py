"""The photos and camera RAW files that a user names, with names for their results."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cycleisp.dataloaders.kinds import kind_of
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from cycleisp.utils.listing import visible_files
from cycleisp.utils.raw.camera_files import RAW_SUFFIXES
from cycleisp.utils.words import printable

log = logging.getLogger(__name__)

KINDS_LISTED = 8  # kinds of ignored files in a line of the log
PHOTO_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".heic", ".heif", ".avif"))


class SourceError(UserError):
    """Inputs that do not exist, or folders without photos."""


@dataclass(frozen=True)
class Source:
    """One input file.

    Attributes:
        path: the file.
        name: its relative path without suffix, which no other source of the list has. Results are
            named after it.
        relative: its path below the folder that the user gave, with suffix and `/` between the
            parts; of a file that was given by itself, its name. Empty means the name of `path`.
        repeat: which of several results of the file is meant, from 1.
    """

    path: Path
    name: str
    relative: str = ""
    repeat: int = 1

    def __post_init__(self) -> None:
        if not self.relative:
            object.__setattr__(self, "relative", self.path.name)

    def stamp(self) -> dict[str, int]:
        """Returns `bytes` and `modified_ns`, which tell whether the file has changed."""
        try:
            status = self.path.stat()
        except OSError:
            return {"bytes": -1, "modified_ns": -1}  # what reads it says why
        return {"bytes": status.st_size, "modified_ns": status.st_mtime_ns}

    def is_there(self) -> bool:
        """Tells whether the file exists."""
        return self.path.exists()

    def checked(self, facts: Mapping[str, Any]) -> "Source":
        """Returns the source with what its check has found, if it keeps such things."""
        return self

    @cached_property
    def place(self) -> str:
        """Returns the absolute path of the file, behind all links."""
        return str(self.path.resolve())

    @cached_property
    def space(self) -> Space:
        """Returns `raw` for a camera file and `srgb` for a photo, by the content of the file.

        The suffix decides where the content does not: of files that are damaged, and of TIFFs,
        which some old cameras' files can hardly be told from.
        """
        kind = kind_of(self.path)
        if kind in ("tiff", "unknown"):
            return "raw" if self.path.suffix.lower() in RAW_SUFFIXES else "srgb"
        return "raw" if kind == "raw" else "srgb"


def find_sources(inputs: Iterable[Path | str], raw: bool = True, exclude: Path | None = None) -> list[Source]:
    """Returns the photos and camera files among some files and folders, sorted by name.

    Folders are searched for files with the suffixes of photos and camera files, and for camera
    files without any suffix. Hidden files and folders, among them the `._NAME` files of macOS, are
    passed over; other files are counted in a line of the log. Files that are named themselves are
    taken whatever their suffix. What is named twice is taken once.

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
    found: list[tuple[str, str, Path]] = []
    for item in map(Path, inputs):
        if item.is_dir():
            for file in _search(item, raw, exclude):
                below = file.relative_to(item)
                found.append((below.with_suffix("").as_posix(), below.as_posix(), file))
        elif item.exists():
            found.append((item.stem, item.name, item))
        else:
            raise SourceError(f"{item}: no such file or folder")
    sources: list[Source] = []
    names: set[str] = set()
    paths: set[Path] = set()
    for name, relative, path in sorted(found, key=lambda each: (each[0], each[2].as_posix())):
        if (place := path.absolute()) in paths:
            continue
        unique, number = name, 1
        while unique in names:
            number += 1
            unique = f"{name}-{number}"
        paths.add(place)
        names.add(unique)
        sources.append(Source(path, unique, relative))
    return sources


def _search(folder: Path, raw: bool, exclude: Path | None) -> list[Path]:
    """Returns the photos and camera files of a folder, sorted, and logs what else is there."""
    suffixes = PHOTO_SUFFIXES | (RAW_SUFFIXES if raw else frozenset())
    found: list[Path] = []
    ignored: Counter[str] = Counter()
    for file in _files_of(folder, exclude):
        suffix = file.suffix.lower()
        if suffix in suffixes or (raw and not suffix and kind_of(file) == "raw"):
            found.append(file)
        else:
            ignored[suffix or "without suffix"] += 1
    if not found and exclude is not None and folder.resolve().is_relative_to(exclude.resolve()):
        raise SourceError(f"{folder}: is the folder of the results or inside of it, {exclude}; give another --output")
    if not found:
        raise SourceError(f"{folder}: no photo in this folder; looked for {' '.join(sorted(suffixes))}")
    if ignored:
        kinds = ", ".join(f"{suffix} {count}" for suffix, count in ignored.most_common(KINDS_LISTED))
        more = ", ..." if len(ignored) > KINDS_LISTED else ""
        count = ignored.total()
        files = "1 file of another kind" if count == 1 else f"{count} files of other kinds"
        log.info("%s", printable(f"{folder}: {files} ignored: {kinds}{more}"))
    return found


def _files_of(folder: Path, exclude: Path | None) -> Iterator[Path]:
    """Yields the files of a folder at all depths, sorted, but for hidden ones and `exclude`."""
    left_out = None if exclude is None else exclude.resolve()
    for file in visible_files(folder):
        if left_out is None or not file.resolve().is_relative_to(left_out):
            yield file
