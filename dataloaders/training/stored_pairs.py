"""Noisy/clean pairs that lie in folders: any `noisy/NAME` beside `clean/NAME`, and what generate_data.py writes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from cycleisp.dataloaders.pairs.store import read_manifest, read_raw_pair
from cycleisp.dataloaders.photos import PHOTO_SUFFIXES, PhotoError, as_float, read_photo
from cycleisp.utils.errors import UserError
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.noise import PlaneFactors

Pair = dict[str, Tensor]


@dataclass(frozen=True)
class PairPaths:
    """Two sRGB pictures of one scene; `name` tells the pair from others of its folder."""

    name: str
    noisy: Path
    clean: Path


def find_pairs(folder: Path) -> list[PairPaths]:
    """The pairs `noisy/NAME` and `clean/NAME` of a folder, or of its `srgb` folder as generate_data.py writes it.

    Raises:
        UserError: no such folders, no picture in them, or a picture without its partner.
    """
    root = folder if (folder / "noisy").is_dir() else folder / "srgb"
    if not ((root / "noisy").is_dir() and (root / "clean").is_dir()):
        raise UserError(f"{folder}: expected two folders, noisy and clean, with equal file names")
    names = {
        kind: {
            path.relative_to(root / kind)
            for path in (root / kind).rglob("*")
            if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file()
        }
        for kind in ("noisy", "clean")
    }
    if not names["noisy"] | names["clean"]:
        raise UserError(f"{root}: no picture in noisy and clean; looked for {' '.join(sorted(PHOTO_SUFFIXES))}")
    alone = sorted(names["noisy"] ^ names["clean"])
    if alone:
        kind, other = ("noisy", "clean") if alone[0] in names["noisy"] else ("clean", "noisy")
        raise UserError(f"{root / kind / alone[0]}: has no partner of that name in {root / other}")
    stems = Counter(name.with_suffix("") for name in names["noisy"])
    return [
        PairPaths(
            (name if stems[name.with_suffix("")] > 1 else name.with_suffix("")).as_posix(),
            root / "noisy" / name,
            root / "clean" / name,
        )
        for name in sorted(names["noisy"])
    ]


def read_pair(paths: PairPaths) -> tuple[NDArray, NDArray]:
    """Noisy and clean picture, each (H, W, 3) uint8 or uint16.

    Raises:
        PhotoError: either cannot be read, or they differ in size or depth.
    """
    noisy, clean = read_photo(paths.noisy), read_photo(paths.clean)
    if noisy.shape != clean.shape or noisy.dtype != clean.dtype:
        raise PhotoError(
            f"{paths.noisy}: {_describe(noisy)}, its clean partner {paths.clean} is {_describe(clean)}; "
            "a pair has one size and depth"
        )
    return noisy, clean


def _describe(photo: NDArray) -> str:
    return f"{photo.shape[1]}x{photo.shape[0]} of {8 * photo.dtype.itemsize} bits"


def _planes(photo: NDArray) -> Tensor:
    """(H, W, 3) integers -> (3, H, W) in [0, 1]."""
    return torch.from_numpy(as_float(photo)).permute(2, 0, 1).contiguous()


class ValidationPairs(Dataset[Pair]):
    """The middle of every pair of some folders, cut to sides of whole multiples of 8: `noisy`, `clean` (3, h, w).

    Args:
        folders: as `find_pairs` takes them.
        size: longest side of a crop in pixels.

    Raises:
        UserError: as `find_pairs`; on access, as `read_pair`, or a pair with a side below 8 pixels.
    """

    def __init__(self, folders: Sequence[Path], size: int) -> None:
        self._pairs = [pair for folder in folders for pair in find_pairs(folder)]
        self._size = size

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, number: int) -> Pair:
        noisy, clean = read_pair(self._pairs[number])
        if min(noisy.shape[:2]) < 8:
            height, width = noisy.shape[:2]
            raise PhotoError(f"{self._pairs[number].noisy}: {width}x{height} pixels, expected at least 8x8; remove it")
        rows, columns = (_middle(side, self._size) for side in noisy.shape[:2])
        return {"noisy": _planes(noisy[rows, columns]), "clean": _planes(clean[rows, columns])}


def _middle(side: int, size: int) -> slice:
    length = min(side, size) // 8 * 8
    start = (side - length) // 2
    return slice(start, start + length)


class StoredPairs(Dataset[Pair]):
    """Endless patches of the pairs that generate_data.py wrote; number n is a function of (seed, n) alone.

    Keys: `noisy`, `clean`, both (3, P, P) sRGB, or (4, P/2, P/2) packed RGGB with `variance`, that of the noise of
    every value as far as the noisy image tells it.

    Args:
        folder: that of the pairs.
        space: which pairs to take.
        patch_size: P in pixels of the photo, even.
        seed: of the whole stream.
        length: number of patches.

    Raises:
        UserError: no pairs of this space in the folder, or all of them smaller than a patch; on access, a pair that
            cannot be read.
    """

    def __init__(self, folder: Path, space: Literal["raw", "srgb"], patch_size: int, seed: int, length: int) -> None:
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
        tile = 2 if self._space == "raw" else 1  # sRGB begins anywhere in a Bayer tile
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
        """Noisy and clean, as mosaics (1, H, W) or photos (3, H, W) in [0, 1], and the noise level of RAW."""
        files = record["files"]
        levels = record["shot_noise"], record["read_noise"]
        if self._space == "srgb":
            paths = PairPaths(record["name"], self._folder / files["srgb_noisy"], self._folder / files["srgb_clean"])
            noisy, clean = read_pair(paths)
            return _planes(noisy), _planes(clean), levels
        path = self._folder / files["raw"]
        try:
            clean, noisy, _ = read_raw_pair(path)
        except (OSError, KeyError) as error:
            raise UserError(f"{path}: not a whole pair ({error}); make it again with generate_data.py") from None
        mosaics = [bayer.unpack(torch.from_numpy(as_float(image))) for image in (noisy, clean)]
        return mosaics[0], mosaics[1], levels
