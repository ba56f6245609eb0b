"""Training patches {photo, RAW} for the ISP networks, from camera files and simulated cameras."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cycleisp.dataloaders.photos import PhotoStore
from cycleisp.dataloaders.training.raw_pairs import RawPairStore, prepare, split_names
from cycleisp.utils.color.simulated_camera import sample_camera
from cycleisp.utils.config import IspRecipe
from cycleisp.utils.errors import UserError
from cycleisp.utils.raw import bayer

Patch = dict[str, Tensor]
log = logging.getLogger(__name__)


def _as_patch(mosaic: Tensor, srgb: Tensor) -> Patch:
    """mosaic (1, H, W) and photo (3, H, W) -> the batch keys of dataloaders/README.md."""
    return {"srgb": srgb.contiguous(), "raw": bayer.pack(mosaic).contiguous()}


class IspPatches(Dataset[Patch]):
    """Endless patches: number n is a function of (seed, n) alone, so training can go on anywhere with any workers.

    Keys: `srgb` (3, P, P) in [0, 1], `raw` (4, P/2, P/2) packed RGGB, linear, in [0, 1].

    Args:
        raw_pairs: real pairs, mirrored and transposed with the Bayer phase kept; None for none.
        photos: clean photos for the simulated cameras, likewise; None for none.
        simulated_share: of patches that come from simulated cameras, used where both sources are given.
        patch_size: P, even.
        seed: of the whole stream.
        length: number of patches.

    Raises:
        UserError: neither source, or a share that needs a source that is missing.
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
            raise UserError(f"the recipe asks for {simulated_share:.0%} simulated cameras: give --photos")
        if simulated_share < 1 and raw_pairs is None:
            raise UserError(f"the recipe asks for {1 - simulated_share:.0%} camera RAW: give --raw")
        self._raw_pairs, self._photos = raw_pairs, photos
        self._simulated_share, self._patch_size = simulated_share, patch_size
        self._seed, self._length = seed, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> Patch:
        rng = np.random.default_rng((self._seed, number))
        size = self._patch_size + 2  # flips cost two pixels
        simulated = rng.random() < self._simulated_share
        if simulated:
            assert self._photos is not None
            photo = self._photos.draw(rng, size)
            camera_rgb = torch.from_numpy(sample_camera(rng).unprocess(photo)).permute(2, 0, 1)
            mosaic = bayer.mosaic(camera_rgb, "RGGB")
        else:
            assert self._raw_pairs is not None
            plane, photo = self._raw_pairs.draw(rng, size)
            mosaic = torch.from_numpy(plane)[None]
        flip_rows, flip_columns, transpose = (bool(bit) for bit in rng.integers(2, size=3))
        srgb = torch.from_numpy(photo).permute(2, 0, 1)
        return _as_patch(*bayer.augment(mosaic, srgb, flip_rows, flip_columns, transpose))


class ValidationCrops(Dataset[Patch]):
    """The same squares every time: spread evenly over the held-out files, as they are.

    Args:
        raw_pairs: held-out pairs; None takes photos through simulated cameras.
        photos: used where `raw_pairs` is None.
        size: side of a square in pixels, even; smaller files give smaller squares.
        count: number of squares.
    """

    def __init__(self, raw_pairs: RawPairStore | None, photos: PhotoStore | None, size: int, count: int) -> None:
        if raw_pairs is None and photos is None:
            raise UserError("nothing to validate on: hold out RAW pairs or give photos")
        self._raw_pairs, self._photos, self._size, self._count = raw_pairs, photos, size, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> Patch:
        rng = np.random.default_rng((20, number))
        if self._raw_pairs is not None:
            name = self._raw_pairs.names[number % len(self._raw_pairs)]
            one = RawPairStore(self._raw_pairs.folder, [name])
            size = min(self._size, *one.pair(name)[0].shape)
            plane, photo = one.draw(rng, size)
            mosaic = torch.from_numpy(plane)[None]
        else:
            assert self._photos is not None
            photo = self._photos.draw(rng, self._size)
            camera_rgb = torch.from_numpy(sample_camera(rng).unprocess(photo)).permute(2, 0, 1)
            mosaic = bayer.mosaic(camera_rgb, "RGGB")
        return _as_patch(mosaic, torch.from_numpy(photo).permute(2, 0, 1))


def open_isp_data(
    recipe: IspRecipe, raw: Sequence[str], photos: Sequence[str], prepared: Path
) -> tuple[IspPatches, ValidationCrops]:
    """Training stream and validation crops from the folders of the command line.

    Args:
        recipe: the whole experiment.
        raw: camera files or folders; they are unpacked into `prepared` unless they are there already.
        photos: photos for simulated cameras.

    Raises:
        UserError: nothing usable in a folder, or a folder that the recipe needs is not given.
    """
    data = recipe.data
    training_pairs = held_out_pairs = None
    if raw and data.simulated_share < 1:
        report = prepare(raw, prepared)
        for path, reason in report.skipped:
            log.warning("skipped %s: %s", path, reason)
        training_names, held_out = split_names(report.ready, data.holdout, data.holdout_count)
        training_pairs = RawPairStore(prepared, training_names, data.scenes)
        held_out_pairs = RawPairStore(prepared, held_out) if held_out else training_pairs
        log.info("%d RAW files to train on, %d held out", len(training_names), len(held_out))
    photo_store = PhotoStore(photos) if photos and data.simulated_share > 0 else None
    training = IspPatches(
        training_pairs,
        photo_store,
        data.simulated_share,
        data.patch_size,
        recipe.seed,
        length=recipe.train.steps * recipe.train.batch_size,
    )
    validation = ValidationCrops(held_out_pairs, photo_store, data.validation_size, data.validation_patches)
    return training, validation
