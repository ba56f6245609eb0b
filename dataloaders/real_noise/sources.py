"""What a source of real noise is: one scene, from which windows of residuals are read.

A residual is noisy minus clean RAW. All mosaics are unified to RGGB by cropping. A flip would keep
a row or column more, but it would turn the direction in which the sensor is read, and with it the
structure of the noise.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.errors import UserError
from cycleisp.utils.raw import bayer

Window = tuple[slice, slice]  # rows and columns of a mosaic as it is stored
PlaneLevels = tuple[tuple[float, ...], tuple[float, ...]]  # shot and read noise of R, G_r, G_b, B


class ResidualError(UserError):
    """A source of real noise that cannot be used. The message says which one and why."""


@dataclass(frozen=True)
class ResidualSource(ABC):
    """One scene.

    Attributes:
        name: the path below the folder that was searched, without suffix.
        files: all files that it is read from.
        pattern: the Bayer tile of the mosaic as it is stored.
        rows, columns: the whole RGGB tiles in the mosaic; windows begin at even offsets in them.
        noise_levels: the noise levels of the scene, or None if they are unknown.
        levels_problem: why they are unknown.
    """

    name: str
    files: tuple[Path, ...]
    pattern: str
    rows: slice
    columns: slice
    noise_levels: PlaneLevels | None
    levels_problem: str

    @property
    @abstractmethod
    def choices(self) -> int:
        """Returns how many residuals each place has."""

    @abstractmethod
    def read_clean(self, window: Window) -> NDArray[np.float32]:
        """Reads the scene without noise, linear, nominally in [0, 1].

        Raises:
            ResidualError: a file is damaged.
        """

    @abstractmethod
    def read_residual(self, window: Window, choice: int) -> NDArray[np.float32]:
        """Reads noisy minus clean, with the variance of the noise of one frame.

        Raises:
            ResidualError: a file is damaged.
        """


def whole_tiles(path: Path, height: int, width: int, pattern: str) -> Window:
    """Returns the whole RGGB tiles of a mosaic. Raises ResidualError if there are none."""
    try:
        return bayer.rggb_window(height, width, pattern)
    except ValueError as error:
        raise ResidualError(f"{path}: {error}") from None


def middle_tiles(span: slice, size: int) -> slice:
    """Returns the middle of a span, at most `size` long, at even distances from its ends."""
    length = min(span.stop - span.start, size) // 2 * 2
    start = span.start + (span.stop - span.start - length) // 4 * 2
    return slice(start, start + length)
