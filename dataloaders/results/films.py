"""The colour tables of a row of photos, averaged over neighbouring frames of a film."""

import logging
import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.photo_files.colors import mean_the_same
from cycleisp.dataloaders.photos import PhotoError, read_photo_and_metadata, width_x_height
from cycleisp.dataloaders.results.view_pairs import IS_RAW, ViewPair
from cycleisp.utils.color.color_lut import ColorLut, average_luts
from cycleisp.utils.errors import reason
from cycleisp.utils.images import as_float
from cycleisp.utils.processes.apart import apart

log = logging.getLogger(__name__)

Estimate = Callable[[NDArray, NDArray], ColorLut]  # from source and target, (H, W, 3) in [0, 1]
WINDOW = 3  # standard deviations, at which the Gaussian that smooths over time is cut
ALIKE = 1.2  # the largest ratio of two aspect ratios that passes without a warning


class Film:
    """The tables of frames, estimated when needed and kept while the Gaussian reaches them.

    Args:
        pairs: the frames in their order. Those of one folder are a film.
        estimate: finds the table of one frame.
        smooth: the standard deviation of the Gaussian, in frames; 0 for none.

    Attributes:
        reach: how many neighbours on each side the Gaussian reaches.
        estimated: called with the number of a frame when its own table has been found, or not.
    """

    def __init__(self, pairs: Sequence[ViewPair], estimate: Estimate, smooth: float) -> None:
        self.pairs, self.estimate, self.smooth = pairs, estimate, smooth
        self.reach = math.floor(min(WINDOW * smooth, len(pairs)))
        self.estimated: Callable[[int], None] = lambda number: None
        self.table_or_reason = lru_cache(maxsize=2 * self.reach + 1)(self._table_or_reason)
        self.read_source, self.read_target = (
            lru_cache(maxsize=1)(partial(apart, read_photo_and_metadata)) for _ in "st"
        )

    def near(self, number: int) -> list[int]:
        """Returns the frames whose tables a frame's table is the mean of, itself included."""
        first, last = max(0, number - self.reach), min(len(self.pairs), number + self.reach + 1)
        folder = self.pairs[number].output.parent
        return [other for other in range(first, last) if self.pairs[other].output.parent == folder]

    def lut(self, number: int) -> ColorLut:
        """Returns the table to apply to a frame: the mean of its own and its neighbours' tables.

        Raises:
            PhotoError: the frame has no table of its own. The message gives the reason.
        """
        own = self.table_or_reason(number)
        if isinstance(own, str):
            raise PhotoError(own)
        if self.reach == 0:
            return own
        tables = {other - number: self.table_or_reason(other) for other in self.near(number)}
        there = {distance: lut for distance, lut in tables.items() if isinstance(lut, ColorLut)}
        return average_luts(list(there.values()), np.exp(-0.5 * (np.array(list(there)) / self.smooth) ** 2))

    def _table_or_reason(self, number: int) -> ColorLut | str:
        """Returns a frame's own table, or the reason why it has none.

        The reason is a text, so that a failure is met once and remembered without its photos.
        """
        try:
            return self._table(self.pairs[number])
        except Exception as error:  # of whatever library: it costs this frame
            log.debug("%s: has no table", self.pairs[number].source.path, exc_info=True)
            return str(error) or reason(error)
        finally:
            self.estimated(number)

    def _table(self, pair: ViewPair) -> ColorLut:
        """Estimates a frame's own table.

        Raises:
            PhotoError: it has not exactly one target, or one of the two cannot be read.
        """
        path = pair.source.path
        if len(pair.targets) != 1:
            found = " and ".join(map(str, pair.targets)) or "none"
            raise PhotoError(f"{path}: expected one target of its name, found {found}; see to it, or name one for all")
        if pair.source.space == "raw":
            raise PhotoError(f"{path}: {IS_RAW}")
        (photo, said), (target_photo, target_said) = self.read_source(path), self.read_target(pair.targets[0])
        if not mean_the_same(said, target_said):
            log.warning("%s and its target have different colour profiles; convert both to one first", path)
        source, target = as_float(photo), as_float(target_photo)
        (height, width), (target_height, target_width) = source.shape[:2], target.shape[:2]
        ratio = width * target_height / (height * target_width)
        if max(ratio, 1 / ratio) > ALIKE:
            sizes = f"{width_x_height(source.shape)} and {width_x_height(target.shape)} pixels"
            log.warning("%s and its target differ in shape, %s: are they views of one scene?", path, sizes)
        return self.estimate(source, target)
