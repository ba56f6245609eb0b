"""Two views of one square: what they show, how they differ, and that RAW is the source's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from cycleisp.dataloaders.training.view_patches import ViewPatches, open_view_data, sample_color_change
from cycleisp.utils.color.color_change import ColorChange
from cycleisp.utils.config import IspRecipe, Views
from cycleisp.utils.errors import UserError
from cycleisp.utils.raw import bayer
from tests.support.pictures import random_picture, write_png

UNCHANGED = Views(unchanged_share=1.0)


class Squares(Dataset[dict[str, Tensor]]):
    """Random squares whose RAW is the mosaic of the photo. Square n is a function of n."""

    def __init__(self, size: int, length: int = 200) -> None:
        self.size, self.length = size, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        photo = torch.rand(3, self.size, self.size, generator=torch.Generator().manual_seed(number))
        return {"srgb": photo, "raw": bayer.pack(bayer.mosaic(photo, "RGGB"))}


def place(image: Tensor, whole: Tensor) -> tuple[int, int]:
    """Returns where an image (3, h, w) lies in a larger one."""
    rows, columns = (whole.shape[axis] - image.shape[axis] + 1 for axis in (1, 2))
    found = [
        (top, left)
        for top in range(rows)
        for left in range(columns)
        if torch.equal(whole[:, top : top + image.shape[1], left : left + image.shape[2]], image)
    ]
    assert len(found) == 1
    return found[0]


def test_views_are_cut_from_all_over_the_room_and_raw_keeps_its_phase() -> None:
    squares = Squares(16)
    patches = ViewPatches(squares, UNCHANGED, room=4, seed=0)
    sources, targets = set(), set()
    for number in range(200):
        patch, whole = patches[number], squares[number]
        assert {key: tuple(value.shape) for key, value in patch.items()} == {
            "source": (3, 12, 12),
            "target_view": (3, 12, 12),
            "srgb": (3, 12, 12),
            "raw": (4, 6, 6),
        }
        assert torch.equal(patch["source"], patch["srgb"])
        assert torch.equal(bayer.pack(bayer.mosaic(patch["source"], "RGGB")), patch["raw"])
        sources.add(place(patch["source"], whole["srgb"]))
        targets.add(place(patch["target_view"], whole["srgb"]))
    assert sources == {(top, left) for top in (0, 2, 4) for left in (0, 2, 4)}
    assert targets == {(top, left) for top in range(5) for left in range(5)}


def test_the_truth_is_the_source_in_the_rendering_of_the_target_view() -> None:
    """Without room both views are one square, so that target view and truth must be one picture."""
    patches = ViewPatches(Squares(12), Views(unchanged_share=0.0), room=0, seed=0)
    for number in range(20):
        patch = patches[number]
        assert torch.equal(patch["target_view"], patch["srgb"])
        assert (patch["source"] - patch["srgb"]).abs().mean() > 0.01
        for image in patch.values():
            assert image.min() >= 0 and image.max() <= 1 and image.dtype == torch.float32 and image.is_contiguous()


def test_a_number_gives_the_same_views_whoever_loads_them() -> None:
    patches = ViewPatches(Squares(16, length=6), Views(), room=4, seed=3)
    batches = list(DataLoader(patches, batch_size=3, num_workers=2))
    for first, batch in zip((0, 3), batches, strict=True):
        alone = default_collate([patches[number] for number in range(first, first + 3)])
        assert all(torch.equal(batch[key], alone[key]) for key in alone)
    other = ViewPatches(Squares(16, length=6), Views(), room=4, seed=4)
    assert not torch.equal(other[0]["source"], patches[0]["source"])


def test_changes_lie_within_their_spans_and_fill_them() -> None:
    views, rng = Views(unchanged_share=0.25), np.random.default_rng(0)
    changes = [sample_color_change(rng, views) for _ in range(2000)]
    unchanged = [change == ColorChange() for change in changes]
    assert abs(np.mean(unchanged) - 0.25) < 4 * (0.25 * 0.75 / 2000) ** 0.5
    drawn = [change for change, same in zip(changes, unchanged, strict=True) if not same]
    spans: dict[str, tuple[list[float], float, float]] = {
        "red": ([change.gains[0] / change.gains[1] for change in drawn], 1 / 1.6, 1.6),
        "blue": ([change.gains[2] / change.gains[1] for change in drawn], 1 / 1.6, 1.6),
        "exposure": ([change.gains[1] for change in drawn], 1 / 1.3, 1.3),
        "gamma": ([change.gamma for change in drawn], 1 / 1.4, 1.4),
        "contrast": ([change.contrast for change in drawn], 0.0, 0.8),
        "saturation": ([change.saturation for change in drawn], 0.4, 1.6),
        "hue": ([change.hue for change in drawn], -20, 20),
    }
    for name, (values, low, high) in spans.items():
        margin = 0.02 * (high - low)
        assert low <= min(values) < low + margin, name
        assert high - margin < max(values) <= high, name


# ---------------------------------------------------------------- the data of a run


def recipe(**data: Any) -> IspRecipe:
    data = {"patch_size": 16, "simulated_share": 1.0, "validation_patches": 2, "validation_size": 24, **data}
    return IspRecipe.model_validate({"data": data, "train": {"steps": 5, "batch_size": 2}})


def test_open_gives_views_of_the_recipes_size(tmp_path: Path) -> None:
    write_png(tmp_path / "photos" / "a.png", random_picture(60, 60))
    training, held = open_view_data(recipe(), [], [str(tmp_path / "photos")], tmp_path / "prepared")
    assert (len(training), len(held)) == (10, 2)
    assert training[0]["target_view"].shape == (3, 16, 16)
    assert held[1]["target_view"].shape == (3, 24, 24)
    assert held[1]["raw"].shape == (4, 12, 12)


def test_open_says_which_folder_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--photos"):
        open_view_data(recipe(), [], [], tmp_path / "prepared")
