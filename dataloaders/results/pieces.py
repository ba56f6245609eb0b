"""A piece of a picture as a result: its name, and what a denoiser must see for it."""

from dataclasses import dataclass, replace
from pathlib import Path

from cycleisp.dataloaders.sources import Source
from cycleisp.utils.crop import Crop, Window, inside, surrounded

CONTEXT = 1_000_000  # pixels that are denoised for a piece, in about a second on a CPU
_BLOCK = 256  # length of a block of the picture beside a piece, in pixels
_STEPS = 0.7548776662466927, 0.5698402909980532  # of an even sequence of points in a square (R2)


@dataclass(frozen=True)
class View:
    """What a denoiser is shown for a piece.

    Attributes:
        windows: parts of the picture, to be joined in this order.
        axis: along which: 0 for one below the other, 1 for side by side.
        wanted: where the piece lies in the joined parts.
    """

    windows: tuple[Window, ...]
    axis: int
    wanted: Window


@dataclass(frozen=True)
class Piece:
    """A piece of every picture, for a denoiser that sees some way around each pixel.

    Attributes:
        crop: where it lies in the upright picture.
        halo: how far the denoiser sees, in pixels of its input.
        multiple: the grid of blocks that it works on, in the same pixels.
        context: how many pixels it is shown in all.
    """

    crop: Crop
    halo: int
    multiple: int
    context: int = CONTEXT

    def view(self, window: Window, height: int, width: int) -> View:
        """Returns what the denoiser is shown for a window of an image.

        That is the whole image, if it is small. Else it is the window with its halo, where
        everything is as in the image, and beside it blocks from all over the image. The denoiser's
        channel attention pools over all that it is shown, so the blocks stand for the image there.
        The borders between blocks lie beyond the halo of the window.
        """
        if height * width <= self.context:
            return View(((slice(0, height), slice(0, width)),), 1, window)
        grown = surrounded(window, height, width, self.halo, self.multiple)
        wanted = inside(window, grown)
        sizes = height, width
        free = [axis for axis in (1, 0) if _length(grown[axis]) < sizes[axis]]
        if not free:
            return View((grown,), 1, wanted)
        axis = free[0]
        thick, long = _length(grown[1 - axis]), min(_BLOCK, sizes[axis]) // self.multiple * self.multiple
        count = max(0, self.context - thick * _length(grown[axis])) // (thick * long)
        blocks = []
        for number in range(count):
            along, across = (
                int((0.5 + number * step) % 1 * (room + 1)) // self.multiple * self.multiple
                for step, room in zip(_STEPS, (sizes[axis] - long, sizes[1 - axis] - thick), strict=True)
            )
            block = slice(along, along + long), slice(across, across + thick)
            blocks.append(block if axis == 0 else block[::-1])
        if grown[axis].stop < sizes[axis]:
            return View((grown, *blocks), axis, wanted)
        shifted = list(wanted)  # the window ends where the image ends, so the blocks come first
        shifted[axis] = slice(wanted[axis].start + count * long, wanted[axis].stop + count * long)
        return View((*blocks, grown), axis, (shifted[0], shifted[1]))

    def view_of_photo(self, height: int, width: int, path: Path) -> View:
        """Returns what the denoiser is shown of an upright photo.

        Raises:
            UserError: the piece does not lie inside of the photo.
        """
        return self.view(self.crop.window(height, width, path), height, width)


def named_as_piece(source: Source, crop: Crop) -> Source:
    """Returns a source whose results are called after a piece of it, `NAME-crop-X-Y-W-H`.

    So they are no results of the whole picture, and those of two pieces have different names.
    """
    suffix = source.path.suffix
    relative = f"{source.relative.removesuffix(suffix)}{crop.suffix}{suffix}"
    return replace(source, name=f"{source.name}{crop.suffix}", relative=relative)


def _length(part: slice) -> int:
    return int(part.stop - part.start)
