"""A piece of a picture, and what a network must see around it.

A piece is named as a viewer shows it, by the place of its top left corner in the upright picture
and by its size. It is denoised with a halo as wide as the network sees, on the network's own grid,
which begins at the picture's top left corner. So it comes out as in the whole picture, up to what
the network takes from the picture as a whole.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cycleisp.utils.errors import UserError
from cycleisp.utils.orientation import as_stored, exchanges_sides

Window = tuple[slice, slice]  # rows and columns


@dataclass(frozen=True)
class Crop:
    """A piece of an upright picture, in pixels.

    Attributes:
        x, y: columns to the left of the piece, and rows above it.
        width, height: of the piece, at least 1.

    Raises:
        UserError: numbers that are no piece. The message names the option of the script.
    """

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.x < 0 or self.y < 0 or self.width < 1 or self.height < 1:
            raise UserError(f"--crop {self}: expected X and Y of at least 0, and W and H of at least 1 pixel")

    @classmethod
    def parse(cls, text: str) -> "Crop":
        """Reads `X,Y,W,H`.

        Raises:
            UserError: other text.
        """
        numbers = [part.strip() for part in text.split(",")]
        if len(numbers) != 4 or not all(re.fullmatch(r"[+-]?\d{1,9}", number, re.ASCII) for number in numbers):
            raise UserError(f"--crop {text}: expected X,Y,W,H in whole pixels, such as 1200,800,512,384")
        return cls(*map(int, numbers))

    def __str__(self) -> str:
        return f"{self.x},{self.y},{self.width},{self.height}"

    @property
    def suffix(self) -> str:
        """Returns what the names of its results have behind those of the whole: `-crop-X-Y-W-H`."""
        return f"-crop-{self.x}-{self.y}-{self.width}-{self.height}"

    def window(self, height: int, width: int, path: Path, orientation: int = 1) -> Window:
        """Returns the piece's rows and columns in a stored picture.

        Args:
            height, width: of the stored picture.
            path: its file, for the message.
            orientation: 1 to 8, which turns the stored picture upright.

        Raises:
            UserError: the piece does not lie inside of the picture.
        """
        turned = exchanges_sides(orientation)
        shown_height, shown_width = (width, height) if turned else (height, width)
        if self.x + self.width > shown_width or self.y + self.height > shown_height:
            raise UserError(
                f"{path}: --crop {self} reaches beyond the picture of {shown_width}x{shown_height} pixels; "
                "choose a piece inside of it"
            )
        rows, columns = np.zeros(shown_height, bool), np.zeros(shown_width, bool)
        rows[self.y : self.y + self.height] = columns[self.x : self.x + self.width] = True
        # a row and a column each turned as a picture of one pixel's width is
        ends = as_stored(rows[:, None], orientation), as_stored(columns[None], orientation)
        stored = [end.ravel() for end in (ends[::-1] if turned else ends)]
        top, left = (int(line.argmax()) for line in stored)
        high, wide = (int(line.sum()) for line in stored)
        return slice(top, top + high), slice(left, left + wide)


def surrounded(window: Window, height: int, width: int, halo: int, multiple: int) -> Window:
    """Returns a window with its halo, on a grid of `multiple`, cut at the borders of the image.

    At the bottom and right border it may end off the grid, where the whole image would be padded,
    too (utils/padding.py).
    """
    rows, columns = (
        slice(
            max(0, (part.start // multiple) * multiple - halo_on_grid),
            min(size, -(-part.stop // multiple) * multiple + halo_on_grid),
        )
        for part, size in zip(window, (height, width), strict=True)
        for halo_on_grid in (-(-halo // multiple) * multiple,)
    )
    return rows, columns


def inside(window: Window, grown: Window) -> Window:
    """Returns where a window lies in a larger one."""
    rows, columns = (
        slice(part.start - whole.start, part.stop - whole.start) for part, whole in zip(window, grown, strict=True)
    )
    return rows, columns
