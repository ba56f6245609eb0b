"""Files of a data set that are nearly where they should be: what is wrong, and what to do."""

import os
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from cycleisp.utils.listing import is_visible

MOST_FILES = 20_000  # files to look at; a data set that is nearly in place has far fewer
DEEPEST = 3  # folders below the one that was given
_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz")
_OTHER_ARCHIVES = (".7z", ".rar", ".gz", ".bz2", ".xz")
_UNFINISHED = (".part", ".crdownload", ".download", ".partial", ".tmp", ".aria2")


def near_misses(folder: Path, names: Sequence[str]) -> list[str]:
    """Looks for files that a folder lacks, and says where they are instead.

    It finds files in folders below, in the folder above, with other letters of upper and lower
    case, with a number that a browser has added, in archives, and unfinished downloads.

    Args:
        folder: the folder that was given.
        names: relative paths of the missing files, with `/`.

    Returns:
        A line for each file that was found elsewhere, in the order of `names`. Several files that
        lie in one other folder share a line.
    """
    if not folder.is_dir():
        return [f"{folder} is a file; give the folder that it lies in" if folder.exists() else f"{folder}: no folder"]
    files = list(_files(folder))
    above = [folder.absolute().parent / name for name in names]
    elsewhere: dict[Path, list[str]] = {}
    lines: list[str] = []
    for name, outside in zip(names, above, strict=True):
        place = _place(name, folder, files) or (outside if outside.is_file() else None)
        if place is not None:
            root = place.parents[len(PurePosixPath(name).parts) - 1]
            elsewhere.setdefault(root, []).append(name)
        elif line := _other_name(name, folder, files) or _in_archive(name, files):
            lines.append(line)
    moved = [
        f"{names[0]}{f' and {len(names) - 1} more are' if len(names) > 1 else ' is'} in {root}; give that folder"
        for root, names in elsewhere.items()
    ]
    return [*moved, *dict.fromkeys(lines)]


def _files(folder: Path) -> Iterator[Path]:
    """Yields the files of a folder and of those below it, as far as DEEPEST and MOST_FILES go."""
    count = 0
    for place, folders, names in os.walk(folder):
        if len(Path(place).relative_to(folder).parts) >= DEEPEST:
            folders.clear()
        folders[:] = sorted(name for name in folders if is_visible(Path(place, name), folder))
        for name in sorted(name for name in names if is_visible(Path(place, name), folder)):
            count += 1
            if count > MOST_FILES:
                return
            yield Path(place, name)


def _place(name: str, folder: Path, files: Sequence[Path]) -> Path | None:
    """Returns a file of this relative path below another folder than the given one."""
    parts = PurePosixPath(name).parts
    return next((file for file in files if file.parts[-len(parts) :] == parts and file != folder / name), None)


def _other_name(name: str, folder: Path, files: Sequence[Path]) -> str | None:
    """Finds the file under a name that differs by case, by a browser's number, or by its ending."""
    wanted = PurePosixPath(name)
    for file in files:
        if file.relative_to(folder).as_posix().lower() == name.lower():
            return f"{file} has other letters; rename it to {folder / name}"
    for file in files:
        stem, _, number = file.stem.rpartition(" (")
        if file.suffix == wanted.suffix and stem == wanted.stem and number.rstrip(")").isdecimal():
            return f"{file} is a second download; rename it to {folder / name}"
        if file.name.lower().startswith(wanted.name.lower()) and file.suffix.lower() in _UNFINISHED:
            return f"{file} is an unfinished download; let it finish"
    return None


def _in_archive(name: str, files: Sequence[Path]) -> str | None:
    """Finds the file in an archive that was not unpacked."""
    base = PurePosixPath(name).name.lower()
    for file in files:
        lower = file.name.lower()
        if lower.endswith(_ARCHIVES) and base in _members(file):
            return f"{file} holds {name} and is still packed; unpack it there"
        if lower.endswith(_OTHER_ARCHIVES) and lower.startswith(PurePosixPath(name).stem.lower()):
            return f"{file} is still packed; unpack it there"
    return None


def _members(archive: Path) -> set[str]:
    """Returns the names of the files in an archive, in lower case; none where it is damaged."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                return {PurePosixPath(name).name.lower() for name in packed.namelist()}
        with tarfile.open(archive) as tar:
            return {PurePosixPath(name).name.lower() for name in tar.getnames()}
    except Exception:  # it only serves a message
        return set()
