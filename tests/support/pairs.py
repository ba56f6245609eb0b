"""Small noisy/clean pairs in the layouts of users and of generate_data.py."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.pairs.store import PairFiles, PairStore
from tests.support.pictures import write_png

SHOT, READ = 0.01, 0.0005
SETTINGS = {"seed": 0, "noise": "dnd", "weights_sha256": "abc"}


def numbered(height: int, width: int, blue: int) -> NDArray[np.uint8]:
    """Returns a picture whose red tells the row, and whose green tells the column."""
    picture = np.full((height, width, 3), blue, np.uint8)
    picture[..., 0], picture[..., 1] = np.arange(height)[:, None], np.arange(width)
    return picture


def write_pair(folder: Path, name: str, noisy: NDArray, clean: NDArray) -> None:
    """Writes two pictures as noisy/NAME.png and clean/NAME.png."""
    write_png(folder / "noisy" / f"{name}.png", noisy)
    write_png(folder / "clean" / f"{name}.png", clean)


def store_pair(folder: Path, name: str, pair: PairFiles, height: int, width: int, shot: float = SHOT) -> None:
    """Stores a pair as generate_data.py does."""
    record = {**SETTINGS, "version": "1", "source_bytes": 100, "height": height, "width": width}
    PairStore(folder, SETTINGS).write(name, pair, {**record, "shot_noise": shot, "read_noise": READ})


def store_raw(folder: Path, name: str, noisy: NDArray[np.uint16], clean: NDArray[np.uint16], **more: Any) -> None:
    """Stores a pair of packed RAW."""
    height, width = (2 * side for side in noisy.shape[1:])
    store_pair(folder, name, PairFiles(clean, noisy, None, None, None), height, width, **more)


def store_srgb(folder: Path, name: str, noisy: NDArray, clean: NDArray) -> None:
    """Stores a pair of sRGB pictures."""
    store_pair(folder, name, PairFiles(None, None, None, clean, noisy), *noisy.shape[:2])
