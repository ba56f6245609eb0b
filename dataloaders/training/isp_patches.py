"""Training patches {photo, RAW} for the ISP networks, from camera files and simulated cameras."""

import fnmatch
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cycleisp.dataloaders.photo_store import PhotoStore, Usable
from cycleisp.dataloaders.photos import width_x_height
from cycleisp.dataloaders.training.holdout import scenes_of, split_names, split_photos
from cycleisp.dataloaders.training.raw_pair_store import RawPairStore, open_pair
from cycleisp.dataloaders.training.raw_pairs import Report, prepare
from cycleisp.utils.color.simulated_camera import sample_camera
from cycleisp.utils.config import IspRecipe
from cycleisp.utils.config.isp import IspData
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import channels_first, photo_to_tensor
from cycleisp.utils.raw import bayer

Patch = dict[str, Tensor]
FLIP_MARGIN = 2  # pixels: what flips cost that keep the Bayer phase
log = logging.getLogger(__name__)


class IspPatches(Dataset[Patch]):
    """An endless stream of patches. Patch n is a function of (seed, n) alone.

    So training can go on at any patch, with any number of loader processes. The keys of a patch are
    `srgb` (3, P, P) in [0, 1], and `raw` (4, P/2, P/2) packed RGGB, linear, in [0, 1].

    Args:
        raw_pairs: real pairs, which are mirrored and transposed with the Bayer phase kept, or None.
        photos: clean photos for the simulated cameras, or None.
        simulated_share: the share of patches that come from simulated cameras.
        patch_size: P, even.
        seed: the seed of the whole stream.
        length: the number of patches.

    Raises:
        UserError: the share needs a source that is None.
    """

    def __init__(
        self,
        raw_pairs: RawPairStore | None,
        photos: PhotoStore | None,
        simulated_share: float,
        patch_size: int,
        seed: int,
        length: int,
    ) -> None:
        if simulated_share > 0 and photos is None:
            raise UserError(
                f"the recipe asks for {simulated_share:.0%} simulated cameras: give --photos, or set "
                "data.simulated_share=0"
            )
        if simulated_share < 1 and raw_pairs is None:
            raise UserError(
                f"the recipe asks for {1 - simulated_share:.0%} camera RAW: give --raw, or set data.simulated_share=1"
            )
        self._raw_pairs, self._photos = raw_pairs, photos
        self._simulated_share, self._patch_size = simulated_share, patch_size
        self._seed, self._length = seed, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> Patch:
        rng = np.random.default_rng((self._seed, number))
        size = self._patch_size + FLIP_MARGIN
        if rng.random() < self._simulated_share:
            assert self._photos is not None
            mosaic, srgb = _draw_simulated(self._photos, rng, size)
        else:
            assert self._raw_pairs is not None
            mosaic, srgb = _draw_real(self._raw_pairs, rng, size)
        flip_rows, flip_columns, transpose = (bool(bit) for bit in rng.integers(2, size=3))
        return _as_patch(*bayer.augment(mosaic, srgb, flip_rows, flip_columns, transpose))


class ValidationCrops(Dataset[Patch]):
    """Squares spread evenly over the held-out files, the same ones every time, and not flipped.

    Args:
        raw_pairs: held-out pairs; None takes photos through simulated cameras.
        photos: used if `raw_pairs` is None.
        size: the side of a square in pixels, even. Smaller files give smaller squares.
        count: the number of squares.

    Raises:
        UserError: both sources are None.
    """

    def __init__(self, raw_pairs: RawPairStore | None, photos: PhotoStore | None, size: int, count: int) -> None:
        if raw_pairs is None and photos is None:
            raise UserError("nothing to validate on: hold out RAW pairs or give photos")
        self._raw_pairs, self._photos, self._size, self._count = raw_pairs, photos, size, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> Patch:
        rng = np.random.default_rng((20, number))
        if self._raw_pairs is None:
            assert self._photos is not None
            return _as_patch(*_draw_simulated(self._photos, rng, self._size))
        name = self._raw_pairs.names[number % len(self._raw_pairs)]
        one = RawPairStore(self._raw_pairs.folder, [name])
        return _as_patch(*_draw_real(one, rng, min(self._size, *one.pair(name)[0].shape)))


def _draw_simulated(photos: PhotoStore, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
    """Draws a square of a photo.

    Returns the mosaic (1, H, W) that a random simulated camera records of it, and itself (3, H, W).
    """
    photo = photos.draw(rng, size)
    camera_rgb = channels_first(sample_camera(rng).unprocess(photo))
    return bayer.mosaic(camera_rgb, "RGGB"), photo_to_tensor(photo)


def _draw_real(raw_pairs: RawPairStore, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
    """Draws a square of a camera file, and returns its mosaic (1, H, W) and its photo (3, H, W)."""
    mosaic, photo = raw_pairs.draw(rng, size)
    return torch.from_numpy(mosaic)[None], photo_to_tensor(photo)


def _as_patch(mosaic: Tensor, srgb: Tensor) -> Patch:
    """Returns a mosaic (1, H, W) and a photo (3, H, W) by the keys of dataloaders/README.md."""
    return {"srgb": srgb.contiguous(), "raw": bayer.pack(mosaic).contiguous()}


def open_isp_data(
    recipe: IspRecipe, raw: Sequence[str], photos: Sequence[str], prepared: Path, usable: Usable | None = None
) -> tuple[IspPatches, ValidationCrops]:
    """Returns the training stream and the validation crops of the ISP networks.

    Args:
        recipe: the whole experiment.
        raw: camera files, or folders of them.
        photos: photos for simulated cameras.
        prepared: the folder that camera files are unpacked into, unless they are there already.
        usable: the photos of a list that can be used, as `PhotoStore` takes it.

    Raises:
        UserError: there is nothing usable in a folder, or the recipe needs a folder that is not
            given.
    """
    data = recipe.data
    training_pairs = held_out_pairs = None
    if raw and data.simulated_share < 1:
        report = prepare(raw, prepared, render=data.render)
        for path, reason in report.skipped:
            log.warning("skipped %s", reason if str(path) in reason else f"{path}: {reason}")
        if not report.ready:
            raise UserError(f"none of {len(report.skipped)} RAW files can be used; the first: {report.skipped[0][1]}")
        names = _large_enough(report.ready, prepared, data.patch_size + FLIP_MARGIN)
        training_names, held_out = split_names(
            names, data.holdout, data.holdout_count, data.holdout_share, scenes_by(data, names, report)
        )
        training_pairs = RawPairStore(prepared, training_names, data.scenes)
        held_out_pairs = RawPairStore(prepared, held_out) if held_out else training_pairs
        log.info("%d RAW files to train on, %d held out", len(training_names), len(held_out))
    photo_store = PhotoStore(photos, usable=usable) if photos and data.simulated_share > 0 else None
    held_out_photos = photo_store
    if photo_store is not None and held_out_pairs is None:
        photo_store, held_out_photos = split_photos(photo_store, data.holdout_share)
    training = IspPatches(
        training_pairs,
        photo_store,
        data.simulated_share,
        data.patch_size,
        recipe.seed,
        length=recipe.train.steps * recipe.train.batch_size,
    )
    validation = ValidationCrops(held_out_pairs, held_out_photos, data.validation_size, data.validation_patches)
    return training, validation


def _large_enough(names: Sequence[str], prepared: Path, side: int) -> list[str]:
    """Returns the names of the RAW pairs that a patch fits into. A warning names the others.

    Raises:
        UserError: all are smaller.
    """
    shapes = {name: open_pair(prepared, name)[0].shape for name in names}
    small = [name for name in names if min(shapes[name]) < side]
    if len(small) == len(names):
        raise UserError(
            f"{prepared}: none of {len(names)} RAW pairs has {side}x{side} pixels, a patch and its margin; lower "
            "data.patch_size, or give other files"
        )
    for name in small:
        log.warning("left out %s: %s pixels, smaller than a patch of %d", name, width_x_height(shapes[name]), side)
    return [name for name in names if name not in set(small)]


def scenes_by(data: IspData, names: Sequence[str], report: Report) -> dict[str, str]:
    """Returns the scene of each RAW pair, for the choice of those that a recipe holds out."""
    by_pattern = {name: pattern for pattern in reversed(data.scenes) for name in fnmatch.filter(names, pattern)}
    by_rule = scenes_of(names, report.taken, data.holdout_by, data.scene_gap)
    of_sidd = {} if data.holdout_by == "file" else {name: f"{scene}/" for name, scene in report.scenes.items()}
    return {name: by_pattern.get(name, of_sidd.get(name, by_rule[name])) for name in names}
