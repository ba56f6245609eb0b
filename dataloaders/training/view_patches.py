"""Training patches for colour matching: two renderings of one scene from places a little apart."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from cycleisp.dataloaders.photo_store import Usable
from cycleisp.dataloaders.training.denoising_data import VALIDATION_SEED
from cycleisp.dataloaders.training.isp_patches import open_isp_data
from cycleisp.utils.color.color_change import ColorChange
from cycleisp.utils.config import IspRecipe, Views
from cycleisp.utils.images import channels_last, photo_to_tensor

Patch = dict[str, Tensor]


class ViewPatches(Dataset[Patch]):
    """Two views of each patch {photo, RAW}. View n is a function of (seed, n) and of patch n.

    Keys, all in [0, 1]:
        source (3, P, P): the photo in one rendering.
        target_view (3, P, P): the photo up to `views.shift` * P pixels away, in another rendering.
        srgb (3, P, P): the source in the rendering of the target view, which is to be produced.
        raw (4, P/2, P/2): the packed RGGB RAW of the source, linear.

    Args:
        patches: `srgb` and `raw` of one square, as isp_patches.py makes them. P is the square's
            side minus `room`.
        views: how the renderings differ, and how far apart the views are.
        room: how many pixels the two views can be apart, even.
        seed: the seed of all draws.
    """

    def __init__(self, patches: Dataset[Patch], views: Views, room: int, seed: int) -> None:
        self._patches, self._views, self._room, self._seed = patches, views, room, seed

    def __len__(self) -> int:
        return len(self._patches)  # type: ignore[arg-type]

    def __getitem__(self, number: int) -> Patch:
        rng = np.random.default_rng((self._seed, number, 1))
        patch = self._patches[number]
        photo = channels_last(patch["srgb"])
        height, width = photo.shape[0] - self._room, photo.shape[1] - self._room
        # even, to keep the Bayer phase
        top, left = (2 * int(rng.integers(self._room // 2 + 1)) for _ in range(2))
        target_top, target_left = (int(rng.integers(self._room + 1)) for _ in range(2))
        given, wanted = (sample_color_change(rng, self._views) for _ in range(2))
        here = photo[top : top + height, left : left + width]
        there = photo[target_top : target_top + height, target_left : target_left + width]
        rows, columns = slice(top // 2, (top + height) // 2), slice(left // 2, (left + width) // 2)
        return {
            "source": photo_to_tensor(given.apply(here)).contiguous(),
            "target_view": photo_to_tensor(wanted.apply(there)).contiguous(),
            "srgb": photo_to_tensor(wanted.apply(here)).contiguous(),
            "raw": patch["raw"][:, rows, columns].contiguous(),
        }


def sample_color_change(rng: np.random.Generator, views: Views) -> ColorChange:
    """Draws a rendering. A share of `views.unchanged_share` of them leaves the photo as it is."""
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
    recipe: IspRecipe, raw: Sequence[str], photos: Sequence[str], prepared: Path, usable: Usable | None = None
) -> tuple[ViewPatches, ViewPatches]:
    """Returns the training stream and the validation views for colour matching.

    Args and errors are those of `open_isp_data` in isp_patches.py.
    """
    views, data = recipe.views, recipe.data
    room = 2 * round(views.shift * data.patch_size / 2)
    larger = data.model_copy(
        update={"patch_size": data.patch_size + room, "validation_size": data.validation_size + room}
    )
    training, held = open_isp_data(recipe.model_copy(update={"data": larger}), raw, photos, prepared, usable)
    return ViewPatches(training, views, room, recipe.seed), ViewPatches(held, views, room, VALIDATION_SEED)
