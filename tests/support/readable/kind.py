"""What a kind of file is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Make = Callable[[Path], Sequence[Path]]  # writes valid files to a folder, and returns those to damage
Read = Callable[[Path], object]


@dataclass(frozen=True)
class Readable:
    """One kind of file.

    Attributes:
        make: writes valid files, and whatever else their reader wants to see beside them.
        read: reads one of them, damaged or not.
    """

    make: Make
    read: Read
