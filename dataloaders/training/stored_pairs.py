"""Noisy/clean pairs on disk as data sets: patches to train on, and crops to validate on."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cycleisp.dataloaders.pairs.folders import find_pairs, read_pair
from cycleisp.dataloaders.photos import PhotoError, width_x_height
from cycleisp.dataloaders.training.pair_sources import TrainingPair, find_training_pairs
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space, photo_to_tensor
from cycleisp.utils.processes.reading_now import now_reading
from cycleisp.utils.raw import bayer

Pair = dict[str, Tensor]
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
        pairs: a folder, as `find_training_pairs` takes it; or the pairs of one folder or several.
            Pairs that are smaller than a patch are left out with a warning; a folder has at least
            one.
        space: which pairs to take.
        patch_size: P in pixels of the photo, even.
        seed: the seed of the whole stream.
        length: the number of patches.
        shares: how often each folder is drawn, relative to the others. None draws every pair
            equally often, whatever its folder.

    Raises:
        UserError: a folder has no pairs of this space, or all of them are smaller than a patch; on
            access, a pair cannot be read.
    """

    def __init__(
        self,
        pairs: Path | Sequence[Sequence[TrainingPair]],
        space: Space,
        patch_size: int,
        seed: int,
        length: int,
        shares: Sequence[float] | None = None,
    ) -> None:
        self._space, self._seed, self._length = space, seed, length
        self._size = side_to_cut(space, patch_size)
        self._groups = [
            large_enough(group, self._size)
            for group in ([find_training_pairs(pairs, space)] if isinstance(pairs, Path) else pairs)
        ]
        self._shares = None if not shares else np.array(shares, np.float64) / sum(shares)
        self._pairs = [pair for group in self._groups for pair in group]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> Pair:
        rng = np.random.default_rng((self._seed, number))
        pairs = (
            self._pairs if self._shares is None else self._groups[int(rng.choice(len(self._groups), p=self._shares))]
        )
        pair = pairs[int(rng.integers(len(pairs)))]
        with now_reading(pair.files()[0]):
            noisy, clean = pair.read()
        tile = 2 if self._space == "raw" else 1  # RAW begins on whole Bayer tiles, sRGB anywhere
        rows, columns = (tile * int(rng.integers((side - self._size) // tile + 1)) for side in noisy.shape[-2:])
        window = (..., slice(rows, rows + self._size), slice(columns, columns + self._size))
        flip_rows, flip_columns, transpose = (bool(bit) for bit in rng.integers(2, size=3))
        if self._space == "raw":
            noisy, clean = bayer.augment(noisy[window], clean[window], flip_rows, flip_columns, transpose)
            noisy, clean = bayer.pack(noisy), bayer.pack(clean)
            shot_noise, read_noise = (
                torch.tensor(factors).view(-1, 1, 1) for factors in (pair.shot_noise, pair.read_noise)
            )
            return {"noisy": noisy, "clean": clean, "variance": shot_noise * noisy + read_noise}
        dims = [-2] * flip_rows + [-1] * flip_columns
        turned = [image[window].flip(dims) for image in (noisy, clean)]
        turned = [image.transpose(-2, -1) if transpose else image for image in turned]
        return {"noisy": turned[0].contiguous(), "clean": turned[1].contiguous()}


def side_to_cut(space: Space, patch_size: int) -> int:
    """Returns the side in pixels that a patch needs: flips that keep the Bayer phase cost two."""
    return patch_size + (2 if space == "raw" else 0)


def large_enough(pairs: Sequence[TrainingPair], side: int) -> list[TrainingPair]:
    """Returns the pairs of a folder that a patch fits into. A warning counts the others.

    Raises:
        UserError: there are none.
    """
    fitting = [pair for pair in pairs if pair.side // 2 * 2 >= side]
    if not fitting:
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
