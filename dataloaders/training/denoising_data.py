"""The data that a denoiser trains on and is validated on, from the folders of the command line."""

import logging
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from cycleisp.dataloaders.pairs.shards.local_copies import LocalCopies
from cycleisp.dataloaders.photo_store import PhotoStore, Usable
from cycleisp.dataloaders.training.denoising_patches import SRGB_MARGIN, DenoisingPatches
from cycleisp.dataloaders.training.holdout import count_of, hold_out, split_photos
from cycleisp.dataloaders.training.pair_check import check_validation, usable_pairs
from cycleisp.dataloaders.training.pair_sources import PairGroup, chosen, find_training_pairs, scenes_of
from cycleisp.dataloaders.training.stored_pairs import StoredPairs, ValidationPairs, large_enough, side_to_cut
from cycleisp.utils.config import DenoiserRecipe
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from cycleisp.utils.raw.noise import AWGN

VALIDATION_SEED = 2**31 - 1
log = logging.getLogger(__name__)


def open_denoising_data(
    recipe: DenoiserRecipe,
    space: Space,
    photos: Sequence[str],
    pairs: Sequence[Path | str],
    validation: Sequence[Path],
    usable: Usable | None = None,
    copies: LocalCopies | None = None,
) -> tuple[Dataset[Any], Dataset[Any]]:
    """Returns the training stream and the validation set of a denoiser.

    Without folders for validation, a share of the photos, or of the scenes of the pairs, is held
    out (`data.holdout_share` of the recipe). It is never trained on, unless there is only one.

    Args:
        recipe: the whole experiment.
        space: the space of the pairs.
        photos: clean photos, from which pairs are made during training; not used with `pairs`.
        pairs: folders of pairs, or shards, as `find_training_pairs` takes them.
        validation: folders of sRGB pairs to validate on, in place of what would be held out.
        usable: the photos of a list that can be used, as `PhotoStore` takes it; None for all.
        copies: where parts of remote shards are kept; None keeps none.

    Raises:
        UserError: there are neither photos nor pairs, there is nothing usable in a folder, or
            choices exclude each other.
    """
    _check(recipe, space, photos, pairs, validation)
    data, seed = recipe.data, recipe.seed
    length = recipe.train.steps * recipe.train.batch_size
    share = 0.0 if validation else data.holdout_share
    if usable is not None:
        check_validation(validation)
    training: Dataset[Any]
    held: Dataset[Any]
    if pairs:
        side = side_to_cut(space, data.patch_size)
        groups = [large_enough(find_training_pairs(place, space, copies), side) for place in pairs]
        if usable is not None:
            groups = usable_pairs(groups, usable)
        train_groups, held_groups = split_pairs(groups, share)
        training = StoredPairs(train_groups, space, data.patch_size, seed, length, data.pair_shares)
        held = StoredPairs(held_groups, space, data.patch_size, VALIDATION_SEED, data.validation_patches)
    else:
        margin = SRGB_MARGIN if space == "srgb" else 0
        train_photos, held_photos = split_photos(PhotoStore(photos, usable=usable), share)
        quick = data.model_copy(update={"patch_size": data.validation_size})
        count = data.validation_patches
        training = DenoisingPatches(train_photos, data, recipe.synthesis, seed, length, margin)
        held = DenoisingPatches(held_photos, quick, recipe.synthesis, VALIDATION_SEED, count, margin)
    return training, ValidationPairs(validation, data.validation_size) if validation else held


def _check(
    recipe: DenoiserRecipe,
    space: Space,
    photos: Sequence[str],
    pairs: Sequence[Path | str],
    validation: Sequence[Path],
) -> None:
    """Refuses choices that exclude each other. Raises UserError."""
    if not photos and not pairs:
        raise UserError("nothing to train on: give --photos, clean photos, or --pairs, folders of noisy/clean pairs")
    if AWGN in recipe.synthesis.noise:
        if space == "raw" or recipe.synthesis.noise != [AWGN]:
            raise UserError("noise awgn is for sRGB and stands alone; RAW noise has the profiles dnd and sidd")
        if pairs:
            raise UserError("noise awgn is made from --photos; --pairs bring their own noise")
    if space == "srgb" and (recipe.network.stabilized or recipe.loss.relative):
        raise UserError("network.stabilized and loss.relative need the noise level, which only RAW comes with")
    if validation and space == "raw":
        raise UserError("--validation takes sRGB pairs; RAW is validated on synthetic noise")
    shares = recipe.data.pair_shares
    if shares and len(shares) != len(pairs):
        raise UserError(f"--shares (data.pair_shares): got {len(shares)} numbers for {len(pairs)} folders of --pairs")


def split_pairs(groups: Sequence[PairGroup], share: float) -> tuple[Sequence[PairGroup], Sequence[PairGroup]]:
    """Splits pairs into those to train on and those to validate on, in whole scenes.

    Args:
        groups: the pairs of each folder.
        share: what share of the scenes to hold out; at least one. With 0, and where there is one
            scene only, all pairs are trained on and validated on.

    Returns:
        The groups to train on, none of which is empty; and those to validate on, without empty
        ones.
    """
    scenes_of_groups = [scenes_of(group) for group in groups]
    scenes = list(dict.fromkeys(chain(*scenes_of_groups)))
    held = set(hold_out({scene: scene for scene in scenes}, count_of(share, len(scenes)), "pairs' photos"))
    if not held or len(scenes) == 1:
        return groups, groups
    needed = {scene for group in scenes_of_groups if held.issuperset(group) for scene in group}
    if needed:  # a folder of its own, of which nothing would be left to train on
        if not held - needed:
            raise UserError("nothing would be left to train on in one of --pairs; lower data.holdout_share to 0")
        held -= needed
    parts = [
        (group, np.array([scene in held for scene in scenes_here], np.bool_))
        for group, scenes_here in zip(groups, scenes_of_groups, strict=True)
    ]
    train, valid = ([chosen(group, is_held == wanted) for group, is_held in parts] for wanted in (False, True))
    log.info("%d pairs to train on, %d held out", sum(map(len, train)), sum(map(len, valid)))
    return train, [group for group in valid if len(group)]
