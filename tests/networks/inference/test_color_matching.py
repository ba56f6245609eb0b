"""Colour matching: the networks look at the other view, and a table of colours is applied."""

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data
from torch import Tensor, nn

from cycleisp.networks import CycleISP
from cycleisp.networks.inference.color_matching import ColorMatcher
from cycleisp.networks.objectives import ColorMatchingObjective
from cycleisp.utils.color.color_change import ColorChange
from cycleisp.utils.images import channels_first, channels_last
from tests.support.pictures import random_picture


def photo(height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    return random_picture(height, width, seed=seed).astype(np.float32) / 255


class KnowsTheChange(nn.Module):
    """Stands for a perfect colour branch.

    It renders the photo that it was given as RAW with one known change.
    """

    def __init__(self, change: ColorChange) -> None:
        super().__init__()
        self.change = change
        self.sizes: list[tuple[int, ...]] = []
        self.unused = nn.Parameter(torch.zeros(1))

    def rgb2raw(self, srgb: Tensor) -> Tensor:
        return srgb

    def guided_raw2rgb(self, raw: Tensor, reference: Tensor) -> Tensor:
        assert raw.shape == reference.shape
        self.sizes.append(tuple(raw.shape))
        return channels_first(self.change.apply(channels_last(raw[0])))[None]


CHANGE = ColorChange(gains=(1.3, 1.0, 0.8), gamma=0.9, saturation=1.2)


def scene() -> NDArray[np.float32]:
    """Returns a photo with features by which places can be compared."""
    return cv2.resize(data.astronaut(), (400, 300), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def test_what_both_views_show_decides_over_what_the_networks_think() -> None:
    network = KnowsTheChange(ColorChange(saturation=0.0))
    matcher = ColorMatcher(network, working_size=256)  # type: ignore[arg-type]
    source, target = scene()[:, :360], CHANGE.apply(scene()[8:, 40:])
    matched = matcher.lut(source, target).apply(source)
    assert network.sizes == [(1, 3, 214, 256)]  # reduced, even, both views alike
    assert matched.shape == source.shape
    assert np.abs(matched - CHANGE.apply(source)).mean() < 0.012


def test_the_networks_speak_where_the_target_shows_nothing() -> None:
    """The left part of the source lies outside of the target view.

    It has a plain colour that no other part has.
    """
    source = scene()
    source[:, :120] = (0.1, 0.5, 0.2) + 0.02 * np.random.default_rng(0).standard_normal((300, 120, 3))
    source = source.clip(0, 1).astype(np.float32)
    target = CHANGE.apply(source[:, 120:])
    green = CHANGE.apply(source[:, :120]).mean(axis=(0, 1))
    results = {}
    for name, change in {"right": CHANGE, "wrong": ColorChange(gains=(3.0, 1.0, 3.0))}.items():
        matcher = ColorMatcher(KnowsTheChange(change), working_size=400)  # type: ignore[arg-type]
        results[name] = matcher.lut(source, np.pad(target, ((0, 0), (0, 120), (0, 0)))).apply(source)
    assert np.abs(results["right"][:, :100].mean(axis=(0, 1)) - green).max() < 0.02
    assert np.abs(results["wrong"][:, :100].mean(axis=(0, 1)) - green).max() > 0.05
    assert np.abs(results["wrong"][:, 140:] - CHANGE.apply(source[:, 140:])).mean() < 0.03


def test_views_of_different_scenes_are_matched_by_their_histograms(caplog: pytest.LogCaptureFixture) -> None:
    matcher = ColorMatcher(KnowsTheChange(CHANGE), working_size=128)  # type: ignore[arg-type]
    source = scene()
    target = cv2.resize(data.coffee(), (400, 300), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    matched = matcher.lut(source, target).apply(source)
    assert "too little in common" in caplog.text
    assert np.abs(matched.mean(axis=(0, 1)) - target.mean(axis=(0, 1))).max() < 0.05


def test_places_that_are_not_trusted_count_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few percent of wrongly aligned pixels with one wrong colour must not decide."""
    few = np.zeros((96, 128), dtype=bool)
    few[:5, :80] = True  # 3 %
    wrong = np.full((96, 128, 3), (0.9, 0.1, 0.1), np.float32)
    monkeypatch.setattr("cycleisp.networks.inference.color_matching.align_view", lambda view, reference: (wrong, few))
    matcher = ColorMatcher(KnowsTheChange(CHANGE), working_size=128)  # type: ignore[arg-type]
    source = scene()
    matched = matcher.lut(source, CHANGE.apply(source)).apply(source)
    assert np.abs(matched - CHANGE.apply(source)).mean() < 0.03


def test_a_target_of_another_shape_is_not_squeezed() -> None:
    network = KnowsTheChange(ColorChange(saturation=0.0))
    matcher = ColorMatcher(network, working_size=256)  # type: ignore[arg-type]
    source = scene()
    target = CHANGE.apply(source[:, 110:290])  # portrait, from the middle
    matched = matcher.lut(source, target).apply(source)
    assert np.abs(matched - CHANGE.apply(source))[:, 110:290].mean() < 0.015


@pytest.mark.parametrize("size", [(2, 2), (2, 3), (7, 5), (64, 2), (33, 64), (200, 20)])
def test_any_size_of_either_view(tiny_isp: CycleISP, size: tuple[int, int]) -> None:
    matcher = ColorMatcher(tiny_isp, working_size=64)
    for target in ((40, 30), (2, 2), (99, 3)):
        source = photo(*size)
        matched = matcher.lut(source, photo(*target, seed=1)).apply(source)
        assert matched.shape == source.shape and np.isfinite(matched).all()


def test_the_target_view_decides(tiny_isp: CycleISP) -> None:
    matcher, source = ColorMatcher(tiny_isp), photo(40, 48)
    first, again, other = (matcher.render(source, photo(40, 48, seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-6
    assert first.shape == source.shape and first.min() >= 0 and first.max() <= 1


def test_the_objective_renders_the_source_in_the_colours_of_the_other_view(tiny_isp: CycleISP) -> None:
    generator = torch.Generator().manual_seed(0)
    batch = {key: torch.rand(2, 3, 16, 16, generator=generator) for key in ("source", "target_view", "srgb")}
    batch["raw"] = torch.rand(2, 4, 8, 8, generator=generator)
    objective = ColorMatchingObjective(log_epsilon=1e-3, beta=0.25)
    outputs = objective.outputs(tiny_isp, batch)
    assert outputs.keys() == {"raw", "srgb"}
    raw = tiny_isp.rgb2raw(batch["source"])
    torch.testing.assert_close(outputs["raw"], raw)
    torch.testing.assert_close(outputs["srgb"], tiny_isp.guided_raw2rgb(raw, batch["target_view"]))
    perfect = {"raw": batch["raw"], "srgb": batch["srgb"]}
    assert objective.loss(perfect, batch).item() == 0
    off = {"raw": batch["raw"], "srgb": batch["srgb"] + 0.2}
    assert objective.loss(off, batch).item() == pytest.approx(0.75 * 0.2, rel=1e-4)
