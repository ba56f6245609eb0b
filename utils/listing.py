"""Listings of folders that people give, without what their systems have put there.

macOS writes a `._NAME` beside every file on disks of other systems, and a folder `__MACOSX` of such
files into archives. They have the suffixes of photos and hold none. Other systems hide caches and
bins in folders whose names begin with a dot.
"""

from collections.abc import Iterator
from pathlib import Path

MACOS_FOLDER = "__MACOSX"


def is_visible(path: Path, folder: Path) -> bool:
    """Tells whether a path below a folder is hidden nowhere below it."""
    below = path.relative_to(folder).parts
    return MACOS_FOLDER not in below and not any(part.startswith(".") for part in below)


def visible(folder: Path) -> Iterator[Path]:
    """Yields the files and folders below a folder at all depths, sorted, but for hidden ones."""
    for path in sorted(folder.rglob("*")):
        if is_visible(path, folder):
            yield path


def visible_files(folder: Path) -> Iterator[Path]:
    """Yields the files below a folder at all depths, sorted, but for hidden ones."""
    return (path for path in visible(folder) if path.is_file())
