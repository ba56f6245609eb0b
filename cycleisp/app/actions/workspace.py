"""The folder in which the page works, and what it says about files in it."""

import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cycleisp.utils.crop import Crop
from cycleisp.utils.errors import reason
from cycleisp.utils.words import printable

KEPT = 3600.0  # seconds for which uploads and results are kept


@dataclass(frozen=True)
class Workspace:
    """What the tabs of a page share: a folder that is removed with the page, and limits.

    Attributes:
        folder: for everything that the page writes.
        device: "auto", "cpu", "cuda" or "mps".
        seconds: longest time for one result.
        own_weights: whether files of weights may be named, besides those that are shipped.
        turn: held by what computes, one event at a time.
        befores: pieces before denoising, by their file and their place in it.
    """

    folder: Path
    device: str = "auto"
    seconds: float = 600.0
    own_weights: bool = True
    turn: threading.Lock = field(default_factory=threading.Lock, repr=False)
    befores: dict[tuple[Path, Crop], Path] = field(default_factory=dict, repr=False)

    @property
    def uploads(self) -> Path:
        """Returns the folder of what the browser sends and gets."""
        return self.folder / "browser"

    def new_folder(self) -> Path:
        """Makes an empty folder for one result, and removes those that are older than KEPT."""
        for old in self.folder.glob("made-*"):
            if time.time() - old.stat().st_mtime > KEPT:
                shutil.rmtree(old, ignore_errors=True)
        return Path(tempfile.mkdtemp(prefix="made-", dir=self.folder))

    def sentence(self, error: BaseException | str) -> str:
        """Returns what an error says, with the names of files in place of their paths."""
        words = error if isinstance(error, str) else str(error) or reason(error)
        if isinstance(error, MemoryError):
            words = "the memory of this machine does not suffice; give a smaller photo"
        for place in {self.folder, self.folder.resolve()}:
            words = re.sub(rf"{re.escape(str(place))}/(?:[^/\s]+/)*", "", words)
        return printable(words)


@contextmanager
def workspace(device: str = "auto", minutes: float = 10.0, own_weights: bool = True) -> Iterator[Workspace]:
    """Makes a folder to work in, and removes it at the end of the block.

    Args:
        device: to compute on.
        minutes: longest time for one result.
        own_weights: whether files of weights may be named.
    """
    with tempfile.TemporaryDirectory(prefix="cycleisp-app-", ignore_cleanup_errors=True) as folder:
        place = Workspace(Path(folder), device, minutes * 60, own_weights)
        place.uploads.mkdir()
        yield place
