"""Training patches for colour matching: two renderings of one RAW, seen from places a little apart."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cycleisp.dataloaders.training.denoising_data import VALIDATION_SEED
from cycleisp.dataloaders.training.isp_patches import open_isp_data
from cycleisp.utils.color.color_change import ColorChange
from cycleisp.utils.config import IspRecipe, Views

Patch = dict[str, Tensor]


class ViewPatches(Dataset[Patch]):
    """Turns patches {photo, RAW} into two views: number n is a function of (seed, n) and of patch n.

    Keys: `source` (3, P, P), the photo in one rendering; `target_view` (3, P, P), the photo from a place up to
    `views.shift` * P pixels away, in another rendering; `srgb` (3, P, P), the source in the rendering of the target
    view: what to produce. All in [0, 1]. `raw` (4, P/2, P/2), the source's packed RGGB RAW, linear.

    Args:
        patches: `srgb` and `raw` of one square, as dataloaders/training/isp_patches.py gives them; P is its side less
            `room`.
        views: how the renderings differ and how far apart the views are.
        room: pixels that the two views have to move in, even.
        seed: of all draws.
    """

    def __init__(self, patches: Dataset[Patch], views: Views, room: int, seed: int) -> None:
        self._patches, self._views, self._room, self._seed = patches, views, room, seed

    def __len__(self) -> int:
        return len(self._patches)  # type: ignore[arg-type]

    def __getitem__(self, number: int) -> Patch:
        rng = np.random.default_rng((self._seed, number, 1))
        patch = self._patches[number]
        photo = patch["srgb"].permute(1, 2, 0).numpy()
        height, width = photo.shape[0] - self._room, photo.shape[1] - self._room
        top, left = (2 * int(rng.integers(self._room // 2 + 1)) for _ in range(2))  # keeps the Bayer phase
        target_top, target_left = (int(rng.integers(self._room + 1)) for _ in range(2))
        given, wanted = (sample_color_change(rng, self._views) for _ in range(2))
        here = photo[top : top + height, left : left + width]
        there = photo[target_top : target_top + height, target_left : target_left + width]
        rows, columns = slice(top // 2, (top + height) // 2), slice(left // 2, (left + width) // 2)
        return {
            "source": _planes(given.apply(here)),
            "target_view": _planes(wanted.apply(there)),
            "srgb": _planes(wanted.apply(here)),
            "raw": patch["raw"][:, rows, columns].contiguous(),
        }


def _planes(photo: np.ndarray) -> Tensor:
    return torch.from_numpy(photo).permute(2, 0, 1).contiguous()


def sample_color_change(rng: np.random.Generator, views: Views) -> ColorChange:
    """A random rendering; `views.unchanged_share` of them leave the photo as it is."""
    red, blue, exposure, gamma = (
        math.exp(rng.uniform(-1, 1) * math.log(span))
        for span in (views.white_balance, views.white_balance, views.exposure, views.gamma)
    )
    contrast, saturation = rng.uniform(*views.contrast), rng.uniform(*views.saturation)
    hue = rng.uniform(-views.hue, views.hue)
    if rng.random() < views.unchanged_share:
        return ColorChange()
    return ColorChange((exposure * red, exposure, exposure * blue), gamma, contrast, saturation, hue)


def open_view_data(
    recipe: IspRecipe, raw: Sequence[str], photos: Sequence[str], prepared: Path
) -> tuple[ViewPatches, ViewPatches]:
    """Training stream and validation views from the folders of the command line.

    Raises:
        UserError: as `dataloaders.training.isp_patches.open_isp_data`.
    """
    views, data = recipe.views, recipe.data
    room = 2 * round(views.shift * data.patch_size / 2)
    larger = data.model_copy(
        update={"patch_size": data.patch_size + room, "validation_size": data.validation_size + room}
    )
    training, held = open_isp_data(recipe.model_copy(update={"data": larger}), raw, photos, prepared)
    return ViewPatches(training, views, room, recipe.seed), ViewPatches(held, views, room, VALIDATION_SEED)
