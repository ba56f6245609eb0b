"""The photos of a training set."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.photos import read_photo
from cycleisp.dataloaders.sources import find_sources
from cycleisp.utils.images import as_float


class PhotoStore:
    """The photos of a training set, which are read when needed and kept in memory up to a limit.

    Args:
        inputs: files and folders, as `find_sources` takes them.
        cache_bytes: how much memory decoded photos may take in each process.

    Raises:
        PhotoError: as `find_sources`; while drawing, as `read_photo`.
    """

    def __init__(self, inputs: Sequence[Path | str], cache_bytes: int = 512 << 20) -> None:
        self.sources = find_sources(inputs, raw=False)
        self._cache: OrderedDict[int, NDArray] = OrderedDict()
        self._cache_bytes = cache_bytes

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> NDArray:
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        photo = read_photo(self.sources[index].path)
        self._cache[index] = photo
        while len(self._cache) > 1 and sum(kept.nbytes for kept in self._cache.values()) > self._cache_bytes:
            self._cache.popitem(last=False)
        return photo

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
