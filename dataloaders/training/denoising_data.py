"""The data that a denoiser trains on and is validated on, from the folders of the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from cycleisp.dataloaders.photo_store import PhotoStore
from cycleisp.dataloaders.training.denoising_patches import SRGB_MARGIN, DenoisingPatches
from cycleisp.dataloaders.training.stored_pairs import StoredPairs, ValidationPairs
from cycleisp.utils.config import DenoiserRecipe
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from cycleisp.utils.raw.noise import AWGN

VALIDATION_SEED = 2**31 - 1


def open_denoising_data(
    recipe: DenoiserRecipe,
    space: Space,
    photos: Sequence[str],
    pairs: Path | None,
    validation: Sequence[Path],
) -> tuple[Dataset[Any], Dataset[Any]]:
    """Returns the training stream and the validation set of a denoiser.

    Args:
        recipe: the whole experiment.
        space: the space of the pairs.
        photos: clean photos, from which pairs are made during training; not used with `pairs`.
        pairs: a folder that generate_data.py wrote, from which pairs are read, or None.
        validation: folders of sRGB pairs. Without any, validation uses the training data with
            another seed.

    Raises:
        UserError: there are neither photos nor pairs, there is nothing usable in a folder, or
            choices exclude each other.
    """
    if not photos and pairs is None:
        raise UserError("nothing to train on: give --photos, clean photos, or --pairs, a folder of generate_data.py")
    if AWGN in recipe.synthesis.noise:
        if space == "raw" or recipe.synthesis.noise != [AWGN]:
            raise UserError("noise awgn is for sRGB and stands alone; RAW noise has the profiles dnd and sidd")
        if pairs is not None:
            raise UserError("noise awgn is made from --photos; --pairs bring their own noise")
    if space == "srgb" and (recipe.network.stabilized or recipe.loss.relative):
        raise UserError("network.stabilized and loss.relative need the noise level, which only RAW comes with")
    if validation and space == "raw":
        raise UserError("--validation takes sRGB pairs; RAW is validated on synthetic noise")
    data = recipe.data
    length = recipe.train.steps * recipe.train.batch_size
    quick = data.model_copy(update={"patch_size": data.validation_size})
    training: Dataset[Any]
    held: Dataset[Any]
    if pairs is not None:
        training = StoredPairs(pairs, space, data.patch_size, recipe.seed, length)
        held = StoredPairs(pairs, space, data.patch_size, VALIDATION_SEED, data.validation_patches)
    else:
        store, margin = PhotoStore(photos), SRGB_MARGIN if space == "srgb" else 0
        training = DenoisingPatches(store, data, recipe.synthesis, recipe.seed, length, margin)
        held = DenoisingPatches(store, quick, recipe.synthesis, VALIDATION_SEED, data.validation_patches, margin)
    return training, ValidationPairs(validation, data.validation_size) if validation else held
