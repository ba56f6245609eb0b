"""The photos of a training set."""

import copy
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.photos import read_photo
from cycleisp.dataloaders.recently_used import RecentlyUsed
from cycleisp.dataloaders.sources import Source, find_sources
from cycleisp.utils.images import as_float
from cycleisp.utils.processes.reading_now import now_reading

# Takes the files of a training, and how to check one where they are no photos (photo_check.Check).
Usable = Callable[..., list[Source]]


class PhotoStore:
    """The photos of a training set, which are read when needed and kept in memory up to a limit.

    Args:
        inputs: files and folders, as `find_sources` takes them.
        cache_bytes: how much memory decoded photos may take in each process.
        usable: returns those photos of a list that can be used; None takes all.

    Raises:
        UserError: as `find_sources` and `usable`; while drawing, as `read_photo`.
    """

    def __init__(
        self, inputs: Sequence[Path | str], cache_bytes: int = 512 << 20, usable: Usable | None = None
    ) -> None:
        found = find_sources(inputs, raw=False)
        self.sources = found if usable is None else usable(found)
        self._cache_bytes = cache_bytes
        self._cache = RecentlyUsed[NDArray](cache_bytes)

    def subset(self, names: Collection[str]) -> "PhotoStore":
        """Returns a store of those photos whose sources have these names."""
        part = copy.copy(self)
        part.sources = [source for source in self.sources if source.name in names]
        part._cache = RecentlyUsed[NDArray](self._cache_bytes)
        return part

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> NDArray:
        return self._cache.get(index, lambda: self._read(index))

    def _read(self, index: int) -> NDArray:
        path = self.sources[index].path
        with now_reading(path):
            return read_photo(path)

    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float32]:
        """Returns a random square of a random photo, (size, size, 3) in [0, 1].

        A photo that is too small for the square is enlarged.
        """
        photo = self[int(rng.integers(len(self)))]
        height, width = photo.shape[:2]
        if min(height, width) < size:
            scale = size / min(height, width)
            larger = (max(size, round(width * scale)), max(size, round(height * scale)))
            photo = cv2.resize(photo, larger, interpolation=cv2.INTER_LINEAR)
            height, width = photo.shape[:2]
        top, left = (int(rng.integers(side - size + 1)) for side in (height, width))
        return as_float(photo[top : top + size, left : left + size])
