"""Squares of noisy/clean pairs, of which the audit measures everything."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.photos import width_x_height
from cycleisp.dataloaders.training.pair_sources import AnyPair, find_training_pairs
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space, as_float

LEVELS = 255.0  # the largest value, in the units of all results
MARGIN = 8  # pixels that a square keeps from the picture's edge: synthetic noise is made with as much around it
_REPEAT = re.compile(r"\.r\d+$")
CHANNELS: dict[Space, tuple[str, ...]] = {"srgb": ("R", "G", "B"), "raw": ("R", "Gr", "Gb", "B")}


@dataclass(frozen=True)
class Crops:
    """Squares of the pairs of a set.

    Attributes:
        noisy: (N, C, S, S) float32 in levels, 0 to 255, of R, G, B or R, Gr, Gb, B.
        surroundings: (N, C, S + 2 MARGIN, S + 2 MARGIN) likewise, clean, and what lies around it.
        picture: (N,) the number of the picture that each square is from.
        names: of the pictures.
        channels: names of the channels.
    """

    noisy: NDArray[np.float32]
    surroundings: NDArray[np.float32]
    picture: NDArray[np.intp]
    names: tuple[str, ...]
    channels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.picture)

    @property
    def clean(self) -> NDArray[np.float32]:
        """Returns the clean squares (N, C, S, S) in levels."""
        return self.surroundings[..., MARGIN:-MARGIN, MARGIN:-MARGIN]

    @property
    def noise(self) -> NDArray[np.float32]:
        """Returns noisy - clean, (N, C, S, S) in levels."""
        return self.noisy - self.clean


def read_crops(folder: Path, space: Space, size: int, count: int, every: int = 1) -> Crops:
    """Reads squares of every pair of a folder.

    Two pictures of one size give squares of the same places, so that sets of the same clean
    pictures can be compared square by square.

    Args:
        folder: as `find_training_pairs` takes it.
        space: RAW squares are cut out of the four planes, so that they cover 2 x `size` pixels.
        size: the side of a square in values.
        count: the most squares of a picture, spread evenly over it.
        every: 2 takes every second pair by name, and so on.

    Raises:
        UserError: there are no pairs, a pair cannot be read or is too small for one square.
    """
    found = find_training_pairs(folder, space)
    pairs = [found[number] for number in range(0, len(found), every)]
    parts: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    numbers: list[int] = []
    for number, pair in enumerate(pairs):
        noisy, clean = _planes(pair, space)
        places = square_places(noisy.shape[1], noisy.shape[2], size, count)
        if not places:
            raise UserError(
                f"{pair.place}: {width_x_height(noisy.shape[1:])} values a channel, a square of {size} and its "
                f"margin need {size + 2 * MARGIN} a side; give a smaller --size, or remove the pair"
            )
        for top, left in places:
            rows, columns = slice(top, top + size), slice(left, left + size)
            around = tuple(slice(side.start - MARGIN, side.stop + MARGIN) for side in (rows, columns))
            parts.append((noisy[:, rows, columns], clean[:, around[0], around[1]]))
            numbers.append(number)
    noisy_parts, clean_parts = zip(*parts, strict=True)
    return Crops(
        np.stack(noisy_parts),
        np.stack(clean_parts),
        np.array(numbers),
        tuple(pair.name for pair in pairs),
        CHANNELS[space],
    )


def square_places(height: int, width: int, size: int, count: int) -> list[tuple[int, int]]:
    """Returns (top, left) of at most `count` squares that do not overlap, spread over a picture.

    All keep MARGIN from the edges. The list is empty if not even one fits.
    """
    rows, columns = (_starts(side, size) for side in (height, width))
    places = [(top, left) for top in rows for left in columns]
    if len(places) <= count:
        return places
    chosen = np.linspace(0, len(places) - 1, count).round().astype(int)
    return [places[index] for index in chosen]


def _starts(side: int, size: int) -> list[int]:
    """Returns where squares begin along one side, with equal gaps between them."""
    room = side - 2 * MARGIN
    number = room // size
    if number <= 0:
        return []
    gap = (room - number * size) / number
    return [MARGIN + int(gap / 2 + index * (size + gap)) for index in range(number)]


def _planes(pair: AnyPair, space: Space) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Reads noisy and clean (C, H, W) in levels."""
    noisy, clean = (as_float(image) * np.float32(LEVELS) for image in pair.read())
    return (noisy, clean) if space == "raw" else (noisy.transpose(2, 0, 1), clean.transpose(2, 0, 1))


def same_pictures(first: Crops, second: Crops) -> bool:
    """Tells whether two sets show the same clean pictures, by their names.

    A set may show a picture several times, as generate_data.py --repeats names them: NAME, NAME.r2.
    """
    shown = [{_REPEAT.sub("", name) for name in crops.names} for crops in (first, second)]
    return shown[0] == shown[1]
