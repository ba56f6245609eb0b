"""Pairs to train on: from shards, and from folders of three layouts.

shards (packed_pairs.py)                      sRGB, and RAW with its noise level
a folder that generate_data.py has filled     the same
noisy/NAME beside clean/NAME                  sRGB, as one's own frames from a tripod
<scene>/NNNN_NOISY_SRGB_010.PNG beside GT     sRGB, SIDD-Medium and SIDD-Small
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cycleisp.dataloaders.pairs.folders import PairPaths, find_pairs, read_pair
from cycleisp.dataloaders.pairs.raw_files import check_shapes, read_raw_pair
from cycleisp.dataloaders.pairs.shards.local_copies import LocalCopies
from cycleisp.dataloaders.pairs.store import read_manifest
from cycleisp.dataloaders.photo_files.heif import brands_of
from cycleisp.dataloaders.photos import PhotoError, read_photo
from cycleisp.dataloaders.training.packed_finding import are_packed, find_packed_pairs
from cycleisp.dataloaders.training.packed_pairs import PackedPair, PackedPairs
from cycleisp.dataloaders.training.pair_scenes import scene_of_record, scenes_of_pairs
from cycleisp.utils.errors import UserError, reading
from cycleisp.utils.images import Space
from cycleisp.utils.raw.noise import PlaneFactors

log = logging.getLogger(__name__)
_HEAD = 256  # bytes that tell HEIC and AVIF
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")


@dataclass(frozen=True)
class TrainingPair:
    """One noisy/clean pair on disk.

    Attributes:
        folder: as the user has named it.
        name: unique in its folder.
        scene: pairs of one scene show the same, as several noisy pictures of one photo do.
        side: the shorter side in pixels of the photo.
        paths: the two sRGB pictures, or None for RAW.
        raw: the file with the RAW pair, or None for sRGB.
        shot_noise, read_noise: of RAW, one value or one a plane.
    """

    folder: Path
    name: str
    scene: str
    side: int
    paths: PairPaths | None = None
    raw: Path | None = None
    shot_noise: PlaneFactors | None = None
    read_noise: PlaneFactors | None = None

    @property
    def place(self) -> str:
        """Returns where the pair lies, as messages name it. No other pair has the same place."""
        return str(self.files()[0])

    def read(self) -> tuple[NDArray, NDArray]:
        """Reads noisy and clean as they are stored.

        Returns:
            Photos (H, W, 3) uint8 or uint16, or packed RGGB (4, H/2, W/2) uint16.

        Raises:
            UserError: a file cannot be read, or the two pictures do not fit together.
        """
        if self.raw is None:
            assert self.paths is not None
            noisy, clean = read_pair(self.paths)
            if min(noisy.shape[:2]) < self.side:
                raise PhotoError(f"{self.paths.noisy}: is smaller than the {self.side} pixels a side it once had")
            return noisy, clean
        clean, noisy, _ = read_raw_pair(self.raw)
        check_shapes(self.raw, clean.shape, noisy.shape, self.side)
        return noisy, clean

    def files(self) -> list[Path]:
        """Returns the files that `read` reads."""
        if self.raw is not None:
            return [self.raw]
        assert self.paths is not None
        return [self.paths.noisy, self.paths.clean]


AnyPair = TrainingPair | PackedPair
PairGroup = Sequence[TrainingPair] | PackedPairs  # the pairs of one value of --pairs


def sides_of(group: PairGroup) -> NDArray[np.int32]:
    """Returns the shorter side in pixels of each pair of a group."""
    return group.sides if isinstance(group, PackedPairs) else np.array([pair.side for pair in group], np.int32)


def scenes_of(group: PairGroup) -> list[str]:
    """Returns the scene of each pair of a group."""
    return group.scenes if isinstance(group, PackedPairs) else [pair.scene for pair in group]


def chosen(group: PairGroup, wanted: NDArray[np.bool_]) -> PairGroup:
    """Returns the pairs of a group that are wanted, in their order."""
    if isinstance(group, PackedPairs):
        return group.chosen(wanted)
    return [pair for pair, is_wanted in zip(group, wanted, strict=True) if is_wanted]


def find_training_pairs(place: Path | str, space: Space, copies: LocalCopies | None = None) -> PairGroup:
    """Returns the pairs of a folder or of some shards, sorted by name.

    Pairs with a picture whose header cannot be read, or of two sizes, are left out with a warning.

    Args:
        place: a folder of pairs; or a folder of shards, a list of them, or the URL of either.
        space: which pairs to take.
        copies: where parts of remote shards are kept; None keeps none.

    Raises:
        UserError: there is no usable pair of this space in the folder.
    """
    if are_packed(place):
        return find_packed_pairs(str(place), space, copies)
    folder = Path(place)
    if any(folder.glob("manifest*.jsonl")):
        return _of_manifest(folder, space)
    if space == "raw":
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder")
        raise UserError(
            f"{folder}: holds no manifest.jsonl; RAW pairs to train on are made with generate_data.py --space raw"
        )
    found = find_pairs(folder)
    scenes = scenes_of_pairs(found)
    pairs = []
    for pair in found:
        try:
            pairs.append(TrainingPair(folder, pair.name, scenes[pair.name], shorter_side(pair), paths=pair))
        except PhotoError as error:
            log.warning("left out %s", error)
    if not pairs:
        raise UserError(f"{folder}: none of its {len(found)} pairs can be read; the first one is {found[0].noisy}")
    return pairs


def _of_manifest(folder: Path, space: Space) -> list[TrainingPair]:
    manifest = folder / "manifest.jsonl"
    with reading(manifest, advice="make the pairs again with generate_data.py"):
        records = read_manifest(folder)
        key = "raw" if space == "raw" else "srgb_noisy"
        records = [record for record in records if key in record["files"]]
        if not records:
            raise UserError(
                f"{folder}: its pairs have no {space} part; make them with generate_data.py --space {space}"
            )
        if space == "raw" and any(record["shot_noise"] is None for record in records):
            raise UserError(
                f"{folder}: holds pairs of real noise without noise level, which a RAW denoiser is told; make them "
                "anew with a noise_level_functions.csv in --residual-source, or train in sRGB"
            )
        return [_of_record(record, folder, space) for record in records]


def _of_record(record: dict[str, Any], folder: Path, space: Space) -> TrainingPair:
    name, files = str(record["name"]), record["files"]
    scene = scene_of_record(record)
    side = min(int(record["height"]), int(record["width"]))
    if space == "srgb":
        paths = PairPaths(name, folder / files["srgb_noisy"], folder / files["srgb_clean"])
        return TrainingPair(folder, name, scene, side, paths=paths)
    levels = record["shot_noise"], record["read_noise"]
    return TrainingPair(
        folder, name, scene, side, raw=folder / files["raw"], shot_noise=levels[0], read_noise=levels[1]
    )


def shorter_side(pair: PairPaths) -> int:
    """Returns the shorter side in pixels of a pair's pictures, turned or not.

    Raises:
        PhotoError: a header cannot be read, or the two pictures differ in size.
    """
    sizes = [_size_of(path) for path in (pair.noisy, pair.clean)]
    if sorted(sizes[0]) != sorted(sizes[1]):
        (width, height), (clean_width, clean_height) = sizes
        raise PhotoError(
            f"{pair.noisy}: {width}x{height}, its clean partner {pair.clean} is {clean_width}x{clean_height}"
        )
    return min(sizes[0])


def _size_of(path: Path) -> tuple[int, int]:
    """Returns width and height by a picture's header; HEIC and AVIF are decoded for it."""
    with reading(path, PhotoError):
        with path.open("rb") as file:
            head = file.read(_HEAD)
        if brands_of(head):
            height, width = read_photo(path).shape[:2]
            return width, height
        with Image.open(path, formats=_FORMATS) as image:
            return image.size
