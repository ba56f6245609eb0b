"""The pairs {photo, RAW} that raw_pairs.py has prepared, for fast random access."""

import fnmatch
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.errors import UserError, reading
from cycleisp.utils.images import as_float


def open_pair(store: Path, name: str) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Maps the two pictures of a pair into memory.

    Returns:
        The mosaic (H, W), linear times 65535, and the photo (H, W, 3).

    Raises:
        UserError: a file is missing or damaged.
    """
    arrays: list[Any] = []
    for kind, dtype in (("mosaic", np.uint16), ("srgb", np.uint8)):
        path = store / f"{name}.{kind}.npy"
        with reading(path, advice="the same command again makes it anew"):
            array = np.load(path, mmap_mode="r")
            whole = array.offset + array.nbytes == path.stat().st_size
            if not whole or array.dtype != dtype or array.shape[2:] != ((3,) if arrays else ()):
                raise ValueError(f"holds {array.dtype} {array.shape}, not what was stored")
            if arrays and array.shape[:2] != arrays[0].shape:
                raise ValueError(f"holds {array.shape}, its mosaic {arrays[0].shape}")
            arrays.append(array)
    return arrays[0], arrays[1]


class RawPairStore:
    """Prepared pairs, which are memory-mapped, and from which random squares are drawn.

    Args:
        store: the folder that `prepare` filled.
        names: the pairs to use.
        scenes: shell patterns of names that show one scene. Every scene is drawn equally often. A
            file that fits no pattern is a scene of its own.
    """

    def __init__(self, store: Path, names: Sequence[str], scenes: Sequence[str] = ()) -> None:
        self.names = list(names)
        self.folder = Path(store)
        self._open: dict[str, tuple[NDArray, NDArray]] = {}
        grouped: dict[str, list[str]] = {}
        for name in self.names:
            scene = next((pattern for pattern in scenes if fnmatch.fnmatch(name, pattern)), name)
            grouped.setdefault(scene, []).append(name)
        self._scenes = list(grouped.values())

    def __len__(self) -> int:
        return len(self.names)

    def pair(self, name: str) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
        """Returns a whole pair.

        The RGGB mosaic is (H, W) uint16, linear times 65535. The photo is (H, W, 3) uint8.
        """
        if name not in self._open:
            self._open[name] = open_pair(self.folder, name)
        return self._open[name]

    def draw(self, rng: np.random.Generator, size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Draws a random square of a random file, at an even offset.

        Returns:
            Mosaic (size, size) and photo (size, size, 3), both in [0, 1].

        Raises:
            UserError: the file is smaller than the square.
        """
        scene = self._scenes[int(rng.integers(len(self._scenes)))]
        name = scene[int(rng.integers(len(scene)))]
        mosaic, srgb = self.pair(name)
        height, width = mosaic.shape
        if min(height, width) < size:
            raise UserError(f"RAW pair {name!r} is {height}x{width}, smaller than a patch of {size}; hold it out")
        top, left = (2 * int(rng.integers((side - size) // 2 + 1)) for side in (height, width))
        window = np.s_[top : top + size, left : left + size]
        return as_float(mosaic[window]), as_float(srgb[window])
