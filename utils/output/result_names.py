"""Names of results, so that no two sources share one and a source keeps its own.

A result is called like its source: `a.png` of `a.jpg`. Where that name belongs to something else,
the source's suffix stays in it, as `a.jpeg.png`; where that is taken, too, a number follows.
"""

import os
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import PurePosixPath


def candidate_names(relative: str) -> Iterator[str]:
    """Yields names for the results of a source, without the suffix of the result, best first.

    Args:
        relative: the source's path below its input folder, with suffix.
    """
    yield os.fspath(PurePosixPath(relative).with_suffix(""))
    yield relative
    *folders, file = PurePosixPath(relative).parts
    for number in count(2):
        yield f"{relative}-{number}"
        if folders:  # a file may have the name of a folder
            yield "/".join([*(f"{folder}-{number}" for folder in folders), file])


class TakenNames:
    """The names below a folder that are taken.

    Names that differ in case or in the form of their accents count as one, since they are one file
    on most disks of Windows and macOS. A name of a file is not free for a folder, nor the other way
    round.
    """

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def add(self, names: Iterable[str]) -> None:
        """Takes the names of files."""
        for name in names:
            whole, folders = _parts(name)
            self._files.add(whole)
            self._folders.update(folders)

    def are_free(self, names: Iterable[str]) -> bool:
        """Tells whether all of these names can become files."""
        for name in names:
            whole, folders = _parts(name)
            if whole in self._files or whole in self._folders or self._files.intersection(folders):
                return False
        return True


def _parts(name: str) -> tuple[str, list[str]]:
    """Returns a name in the form in which names are compared, and the folders it lies in."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
    return folded, [parent.as_posix() for parent in PurePosixPath(folded).parents][:-1]
