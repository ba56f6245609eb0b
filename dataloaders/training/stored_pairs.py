"""Noisy/clean pairs on disk as data sets: patches to train on, and crops to validate on."""

import logging
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from cycleisp.dataloaders.pairs.folders import find_pairs, read_pair
from cycleisp.dataloaders.photos import PhotoError, width_x_height
from cycleisp.dataloaders.recently_used import RecentlyUsed
from cycleisp.dataloaders.training.pair_sources import AnyPair, PairGroup, chosen, find_training_pairs, sides_of
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space, as_float, photo_to_tensor
from cycleisp.utils.processes.reading_now import now_reading
from cycleisp.utils.raw import bayer

Pair = dict[str, Tensor]
DECODED_BYTES = 256 << 20  # of pairs that each process keeps in memory
log = logging.getLogger(__name__)


class ValidationPairs(Dataset[Pair]):
    """The middle of every pair of some folders, to validate an sRGB denoiser on.

    The keys are `noisy` and `clean`, both (3, H, W) in [0, 1]. The sides are multiples of 8.

    Args:
        folders: folders of pairs, as `find_pairs` takes them.
        size: the longest side of a crop in pixels.

    Raises:
        UserError: as `find_pairs`; on access, as `read_pair`, or if a side has less than 8 pixels.
    """

    def __init__(self, folders: Sequence[Path], size: int) -> None:
        self._pairs = [pair for folder in folders for pair in find_pairs(folder)]
        self._size = size

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, number: int) -> Pair:
        noisy, clean = read_pair(self._pairs[number])
        if min(noisy.shape[:2]) < 8:
            size = width_x_height(noisy.shape)
            raise PhotoError(f"{self._pairs[number].noisy}: {size} pixels, expected at least 8x8; remove it")
        rows, columns = (_middle_multiple_of_8(side, self._size) for side in noisy.shape[:2])
        pictures = {"noisy": noisy, "clean": clean}
        return {key: photo_to_tensor(photo[rows, columns]).contiguous() for key, photo in pictures.items()}


def _middle_multiple_of_8(side: int, size: int) -> slice:
    """Returns the middle of a side: at most `size` pixels, in a whole multiple of 8."""
    length = min(side, size) // 8 * 8
    start = (side - length) // 2
    return slice(start, start + length)


class StoredPairs(Dataset[Pair]):
    """An endless stream of patches of pairs on disk.

    Patch n is a function of (seed, n) alone. Its keys are `noisy` and `clean`, both (3, P, P) sRGB
    or (4, P/2, P/2) packed RGGB. RAW comes with `variance`, the variance of the noise of each
    value, computed from the noisy image.

    Args:
        pairs: a folder, as `find_training_pairs` takes it; or the pairs of one folder or several,
            as it returns them. Pairs that are smaller than a patch are left out with a warning; a
            folder has at least one.
        space: which pairs to take.
        patch_size: P in pixels of the photo, even.
        seed: the seed of the whole stream.
        length: the number of patches.
        shares: how often each folder is drawn, relative to the others. None draws every pair
            equally often, whatever its folder.

    Attributes:
        groups: the pairs that are drawn from, by folder.

    Raises:
        UserError: a folder has no pairs of this space, or all of them are smaller than a patch; on
            access, a pair cannot be read.
    """

    def __init__(
        self,
        pairs: Path | Sequence[PairGroup],
        space: Space,
        patch_size: int,
        seed: int,
        length: int,
        shares: Sequence[float] | None = None,
    ) -> None:
        self._space, self._seed, self._length = space, seed, length
        self._size = side_to_cut(space, patch_size)
        self.groups = [
            large_enough(group, self._size)
            for group in ([find_training_pairs(pairs, space)] if isinstance(pairs, Path) else pairs)
        ]
        self._shares = None if not shares else np.array(shares, np.float64) / sum(shares)
        self._ends = list(accumulate(map(len, self.groups)))
        self._decoded = RecentlyUsed[tuple[NDArray, NDArray]](DECODED_BYTES)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> Pair:
        rng = np.random.default_rng((self._seed, number))
        pair = self._draw(rng)
        pictures = self._decoded.get(pair.place, lambda: _read(pair))
        if self._space == "raw":  # whole Bayer tiles, of which a plane has one value
            rows, columns = (_window(rng, side, self._size // 2) for side in pictures[0].shape[-2:])
            flips = _flips(rng)
            mosaics = [bayer.unpack(torch.from_numpy(as_float(planes[:, rows, columns]))) for planes in pictures]
            noisy, clean = map(bayer.pack, bayer.augment(mosaics[0], mosaics[1], *flips))
            shot_noise, read_noise = (
                torch.tensor(factors).view(-1, 1, 1) for factors in (pair.shot_noise, pair.read_noise)
            )
            return {"noisy": noisy, "clean": clean, "variance": shot_noise * noisy + read_noise}
        rows, columns = (_window(rng, side, self._size) for side in pictures[0].shape[:2])
        flip_rows, flip_columns, transpose = _flips(rng)
        dims = [-2] * flip_rows + [-1] * flip_columns
        turned = [photo_to_tensor(photo[rows, columns]).flip(dims) for photo in pictures]
        turned = [image.transpose(-2, -1) if transpose else image for image in turned]
        return {"noisy": turned[0].contiguous(), "clean": turned[1].contiguous()}

    def _draw(self, rng: np.random.Generator) -> AnyPair:
        if self._shares is not None:
            group = self.groups[int(rng.choice(len(self.groups), p=self._shares))]
            return group[int(rng.integers(len(group)))]
        number = int(rng.integers(self._ends[-1]))
        which = bisect_right(self._ends, number)
        return self.groups[which][number - (self._ends[which - 1] if which else 0)]


def _read(pair: AnyPair) -> tuple[NDArray, NDArray]:
    with now_reading(pair.place):
        return pair.read()


def _window(rng: np.random.Generator, side: int, size: int) -> slice:
    start = int(rng.integers(side - size + 1))
    return slice(start, start + size)


def _flips(rng: np.random.Generator) -> tuple[bool, bool, bool]:
    """Draws whether to mirror the rows, to mirror the columns, and to transpose."""
    flip_rows, flip_columns, transpose = (bool(bit) for bit in rng.integers(2, size=3))
    return flip_rows, flip_columns, transpose


def side_to_cut(space: Space, patch_size: int) -> int:
    """Returns the side in pixels that a patch needs: flips that keep the Bayer phase cost two."""
    return patch_size + (2 if space == "raw" else 0)


def large_enough(pairs: PairGroup, side: int) -> PairGroup:
    """Returns the pairs of a folder that a patch fits into. A warning counts the others.

    Raises:
        UserError: there are none.
    """
    fitting = chosen(pairs, sides_of(pairs) // 2 * 2 >= side)
    if not len(fitting):
        raise UserError(
            f"{pairs[0].folder}: every pair is smaller than a patch of {side} pixels; lower data.patch_size"
        )
    if len(fitting) < len(pairs):
        log.warning(
            "%s: left out %d of %d pairs, which are smaller than a patch of %d pixels",
            pairs[0].folder,
            len(pairs) - len(fitting),
            len(pairs),
            side,
        )
    return fitting
