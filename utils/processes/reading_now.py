"""Which file this process reads at the moment.

A process that is killed in the middle of a file can no longer say which one. So it notes the file
in memory that it shares with the process that started it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Any

LONGEST = 4096  # bytes of a path
_shared: Any = None


class Note:
    """A few words in memory that processes share. It must be made before they are started."""

    def __init__(self) -> None:
        self._memory: Any = RawArray("c", LONGEST)

    def write(self, words: str | Path) -> None:
        """Replaces the words. What is too long is cut off."""
        self._memory.value = os.fsencode(words)[: LONGEST - 1]

    def read(self) -> str:
        """Returns the words."""
        return os.fsdecode(self._memory.value)


def note_files_in(note: Note | None) -> None:
    """Lets this process write the file that it reads into a note; None ends that."""
    global _shared
    _shared = note


@contextmanager
def now_reading(path: Path | str) -> Iterator[None]:
    """Notes a file while the block reads it."""
    if _shared is None:
        yield
        return
    before = _shared.read()
    _shared.write(path)
    try:
        yield
    finally:
        _shared.write(before)
