"""Pairs to train on, from folders of three layouts.

a folder that generate_data.py has filled     sRGB, and RAW with its noise level
noisy/NAME beside clean/NAME                  sRGB, as one's own frames from a tripod
<scene>/NNNN_NOISY_SRGB_010.PNG beside GT     sRGB, SIDD-Medium and SIDD-Small
"""

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from cycleisp.dataloaders.pairs.folders import PairPaths, find_pairs, is_of_sidd, read_pair
from cycleisp.dataloaders.pairs.raw_files import check_shapes, read_raw_pair
from cycleisp.dataloaders.pairs.store import read_manifest
from cycleisp.dataloaders.photo_files.heif import brands_of
from cycleisp.dataloaders.photos import PhotoError, read_photo
from cycleisp.utils.errors import UserError, reading
from cycleisp.utils.images import Space, as_float, photo_to_tensor
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.noise import PlaneFactors

log = logging.getLogger(__name__)
_REPEAT = re.compile(r"\.r\d+$")  # what generate_data.py --repeats adds to the name of a photo
_HEAD = 256  # bytes that tell HEIC and AVIF
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")
_SAMPLE = 1 << 16  # bytes at the beginning, in the middle and at the end that tell pictures of one size apart


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

    def read(self) -> tuple[Tensor, Tensor]:
        """Reads noisy and clean.

        Returns:
            Mosaics (1, H, W), or photos (3, H, W), in [0, 1].

        Raises:
            UserError: a file cannot be read, or the two pictures do not fit together.
        """
        if self.raw is None:
            assert self.paths is not None
            noisy, clean = read_pair(self.paths)
            if min(noisy.shape[:2]) < self.side:
                raise PhotoError(f"{self.paths.noisy}: is smaller than the {self.side} pixels a side it once had")
            return photo_to_tensor(noisy), photo_to_tensor(clean)
        clean_planes, noisy_planes, _ = read_raw_pair(self.raw)
        check_shapes(self.raw, clean_planes.shape, noisy_planes.shape, self.side)
        mosaics = [bayer.unpack(torch.from_numpy(as_float(planes))) for planes in (noisy_planes, clean_planes)]
        return mosaics[0], mosaics[1]

    def files(self) -> list[Path]:
        """Returns the files that `read` reads."""
        if self.raw is not None:
            return [self.raw]
        assert self.paths is not None
        return [self.paths.noisy, self.paths.clean]


def find_training_pairs(folder: Path, space: Space) -> list[TrainingPair]:
    """Returns the pairs of a folder, sorted by name.

    Pairs with a picture whose header cannot be read, or of two sizes, are left out with a warning.

    Raises:
        UserError: there is no usable pair of this space in the folder.
    """
    if any(folder.glob("manifest*.jsonl")):
        return _of_manifest(folder, space)
    if space == "raw":
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder")
        raise UserError(
            f"{folder}: holds no manifest.jsonl; RAW pairs to train on are made with generate_data.py --space raw"
        )
    found = find_pairs(folder)
    scenes = _scenes(found)
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
    scene = str(record.get("source_sha256") or _REPEAT.sub("", name))
    side = min(int(record["height"]), int(record["width"]))
    if space == "srgb":
        paths = PairPaths(name, folder / files["srgb_noisy"], folder / files["srgb_clean"])
        return TrainingPair(folder, name, scene, side, paths=paths)
    levels = record["shot_noise"], record["read_noise"]
    return TrainingPair(
        folder, name, scene, side, raw=folder / files["raw"], shot_noise=levels[0], read_noise=levels[1]
    )


def _scenes(pairs: Sequence[PairPaths]) -> dict[str, str]:
    """Returns the scene of each pair: SIDD's folder, or else the content of the clean picture."""
    sizes = {pair.name: pair.clean.stat().st_size for pair in pairs}
    alike = Counter(sizes.values())
    scenes = {}
    for pair in pairs:
        if is_of_sidd(pair):
            scenes[pair.name] = pair.clean.parent.name
        elif alike[sizes[pair.name]] > 1:  # equal pictures have equal sizes
            scenes[pair.name] = _sample(pair.clean, sizes[pair.name])
        else:
            scenes[pair.name] = _REPEAT.sub("", pair.name)
    return scenes


def _sample(path: Path, size: int) -> str:
    """Returns a hash of three parts of a file."""
    digest = hashlib.sha256(str(size).encode())
    with reading(path, PhotoError), path.open("rb") as file:
        for start in (0, size // 2, max(0, size - _SAMPLE)):
            file.seek(start)
            digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


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
