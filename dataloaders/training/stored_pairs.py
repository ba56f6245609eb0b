"""Noisy/clean pairs on disk as data sets: patches to train on, and crops to validate on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cycleisp.dataloaders.pairs.folders import PairPaths, find_pairs, read_pair
from cycleisp.dataloaders.pairs.store import read_manifest, read_raw_pair
from cycleisp.dataloaders.photos import PhotoError, width_x_height
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space, as_float, photo_to_tensor
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.noise import PlaneFactors

Pair = dict[str, Tensor]


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
    """An endless stream of patches of the pairs that generate_data.py wrote.

    Patch n is a function of (seed, n) alone. Its keys are `noisy` and `clean`, both (3, P, P) sRGB
    or (4, P/2, P/2) packed RGGB. RAW comes with `variance`, the variance of the noise of each
    value, computed from the noisy image.

    Args:
        folder: the pair folder.
        space: which pairs to take.
        patch_size: P in pixels of the photo, even.
        seed: the seed of the whole stream.
        length: the number of patches.

    Raises:
        UserError: the folder has no pairs of this space, or all of them are smaller than a patch;
            on access, a pair cannot be read.
    """

    def __init__(self, folder: Path, space: Space, patch_size: int, seed: int, length: int) -> None:
        self._folder, self._space = folder, space
        self._seed, self._length = seed, length
        key = "raw" if space == "raw" else "srgb_noisy"
        margin = 2 if space == "raw" else 0  # flips that keep the Bayer phase cost two pixels
        self._size = patch_size + margin
        records = [record for record in read_manifest(folder) if key in record["files"]]
        if not records:
            raise UserError(
                f"{folder}: its pairs have no {space} part; make them with generate_data.py --space {space}"
            )
        if space == "raw" and any(record["shot_noise"] is None for record in records):
            raise UserError(
                f"{folder}: holds pairs of real noise without noise level, which a RAW denoiser is told; make them "
                "anew with a noise_level_functions.csv in --residual-source, or train in sRGB"
            )
        self._records = [record for record in records if min(record["height"], record["width"]) // 2 * 2 >= self._size]
        if not self._records:
            raise UserError(
                f"{folder}: every pair is smaller than a patch of {self._size} pixels; lower data.patch_size"
            )

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> Pair:
        rng = np.random.default_rng((self._seed, number))
        record = self._records[int(rng.integers(len(self._records)))]
        noisy, clean, levels = self._read(record)
        tile = 2 if self._space == "raw" else 1  # RAW begins on whole Bayer tiles, sRGB anywhere
        rows, columns = (tile * int(rng.integers((side - self._size) // tile + 1)) for side in noisy.shape[-2:])
        window = (..., slice(rows, rows + self._size), slice(columns, columns + self._size))
        flip_rows, flip_columns, transpose = (bool(bit) for bit in rng.integers(2, size=3))
        if self._space == "raw":
            noisy, clean = bayer.augment(noisy[window], clean[window], flip_rows, flip_columns, transpose)
            noisy, clean = bayer.pack(noisy), bayer.pack(clean)
            shot_noise, read_noise = (torch.tensor(factors).view(-1, 1, 1) for factors in levels)
            return {"noisy": noisy, "clean": clean, "variance": shot_noise * noisy + read_noise}
        dims = [-2] * flip_rows + [-1] * flip_columns
        turned = [image[window].flip(dims) for image in (noisy, clean)]
        turned = [image.transpose(-2, -1) if transpose else image for image in turned]
        return {"noisy": turned[0].contiguous(), "clean": turned[1].contiguous()}

    def _read(self, record: dict[str, Any]) -> tuple[Tensor, Tensor, tuple[PlaneFactors, PlaneFactors]]:
        """Reads a pair.

        Returns:
            Noisy and clean, as mosaics (1, H, W) or photos (3, H, W) in [0, 1]; and shot and read
            noise, which only RAW needs.
        """
        files = record["files"]
        levels = record["shot_noise"], record["read_noise"]
        if self._space == "srgb":
            paths = PairPaths(record["name"], self._folder / files["srgb_noisy"], self._folder / files["srgb_clean"])
            noisy, clean = read_pair(paths)
            return photo_to_tensor(noisy), photo_to_tensor(clean), levels
        path = self._folder / files["raw"]
        try:
            clean, noisy, _ = read_raw_pair(path)
        except (OSError, KeyError) as error:
            raise UserError(f"{path}: not a whole pair ({error}); make it again with generate_data.py") from None
        mosaics = [bayer.unpack(torch.from_numpy(as_float(image))) for image in (noisy, clean)]
        return mosaics[0], mosaics[1], levels
