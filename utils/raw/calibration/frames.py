"""One frame of a calibration: a camera's mosaic as its file holds it, and how it was taken."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Site = Literal["R", "G_r", "G_b", "B"]
SITES: tuple[Site, ...] = ("R", "G_r", "G_b", "B")  # the order of everything that is given per site
Tile = tuple[tuple[Site, Site], tuple[Site, Site]]
Kind = Literal["flat", "dark", "burst"]


@dataclass(frozen=True, eq=False)
class Frame:
    """The mosaic of one file in digital numbers (DN), and what its file says about it.

    Attributes:
        path: the file.
        mosaic: (H, W) integers, exactly as the file holds them: the visible area of the sensor,
            not clipped, black not subtracted. It may be a file mapped into memory: read it, do not
            write to it.
        sites: the colours of the 2x2 tile at the mosaic's top-left photosite, row by row.
        black: nominal black levels of R, G_r, G_b and B, in DN.
        white: nominal saturation, in DN.
        iso: sensitivity as the camera states it.
        exposure: time in seconds; 0 where the file does not state it.
        kind: what the frame shows. "flat": an evenly lit surface; "dark": a closed lens; "burst":
            any scene that stands still.
        group: names the frames that belong together: equal light, one scene. Two frames of a group
            differ by noise alone, and by a scale of about 1 % where the lamp flickers.
    """

    path: Path
    mosaic: NDArray[np.integer]
    sites: Tile
    black: tuple[float, float, float, float]
    white: float
    iso: float
    exposure: float
    kind: Kind
    group: str

    def site(self, name: Site) -> NDArray[np.integer]:
        """Returns a view (h, w) of the photosites of one colour of the tile."""
        row, column = self.place(name)
        return self.mosaic[row::2, column::2]

    def place(self, name: Site) -> tuple[int, int]:
        """Returns row and column, 0 or 1, of a colour in the tile."""
        return place_in(self.sites, name)


def place_in(tile: Tile, name: Site) -> tuple[int, int]:
    """Returns row and column, 0 or 1, of a colour in a tile. Raises ValueError if it is absent."""
    for row, names in enumerate(tile):
        if name in names:
            return row, names.index(name)
    raise ValueError(f"a Bayer tile has {', '.join(SITES)}, got {tile} without {name}")


def tile_of(pattern: str) -> Tile:
    """Returns the names of a Bayer pattern's sites, as (("R", "G_r"), ("G_b", "B")) of RGGB.

    The green beside red, in one row with it, is G_r; the one beside blue is G_b.
    """

    def named(row: str) -> tuple[Site, Site]:
        green: Site = "G_r" if "R" in row else "G_b"
        first, second = (green if letter == "G" else letter for letter in row)
        return first, second  # type: ignore[return-value]

    return named(pattern[:2]), named(pattern[2:])


def groups_of(frames: Sequence[Frame], kinds: Sequence[str]) -> list[list[Frame]]:
    """Returns groups of two or more frames of some kinds, large ones and long exposures first."""
    groups: dict[tuple[str, str], list[Frame]] = defaultdict(list)
    for frame in frames:
        if frame.kind in kinds:
            groups[frame.kind, frame.group].append(frame)
    usable = [group for group in groups.values() if len(group) > 1]
    return sorted(usable, key=lambda group: (len(group), group[0].exposure), reverse=True)
