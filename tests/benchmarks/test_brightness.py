"""benchmarks/brightness.py, and what compact_srgb holds of the promise that it measures."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks import brightness
from benchmarks.brightness import clean_psnr, grey_steps, highlight_change, hues, main, shift, shoot
from benchmarks.raw_noise import levels
from cycleisp.networks.inference.tiled import TiledDenoiser
from cycleisp.networks.pretrained import load_denoiser
from tests.support.scripts import call_script, error_line

BOUND = 0.2  # of 255 levels


@cache
def compact() -> TiledDenoiser:
    return TiledDenoiser(load_denoiser("compact_srgb", "srgb")[0])


# ---------------------------------------------------------------- what the shipped network holds


@pytest.mark.parametrize(("level", "stops"), [("dnd low", -2), ("dnd middle", 0), ("sidd low", 0)], ids=str)
def test_grey_keeps_its_brightness_and_stays_neutral(level: str, stops: int) -> None:
    """The mean of each channel is within 0.2 levels where nothing clips; docs/lab/brightness.md."""
    change = shift(compact(), shoot(grey_steps(256), stops, levels()[level], seed=0)).denoised
    assert change is not None
    assert max(map(abs, change)) <= BOUND
    assert max(abs(change[0] - change[1]), abs(change[2] - change[1])) <= BOUND


def test_blown_highlights_stay_within_three_levels() -> None:
    assert highlight_change(compact(), levels()["dnd low"]) < 3.5


@pytest.mark.parametrize("scene", [grey_steps, hues])
def test_smooth_pictures_without_noise_come_back_above_45_db(scene: object) -> None:
    assert clean_psnr(compact(), scene(256)) > 45  # type: ignore[operator]


# ---------------------------------------------------------------- the measurement


def test_a_denoiser_that_shifts_colours_is_found_out() -> None:
    shots = shoot(grey_steps(64), 0, levels()["dnd low"], seed=0)
    offset = torch.tensor([4.0, -2.0, 0.0]).view(1, 3, 1, 1) / 255

    def shifting(_noisy: Tensor) -> Tensor:
        return shots.clean + offset

    assert shift(shifting, shots).denoised == pytest.approx([4, -2, 0], abs=1e-3)


def test_the_noise_itself_has_no_mean_in_linear_light() -> None:
    """Noises of opposite signs: what is left of them is the bend of the display curve."""
    shots = shoot(hues(64), 0, levels()["dnd low"], seed=0)
    both = [image - shots.clean for image in shots.noisy]
    noise = (both[0] - both[1]).square().mean().sqrt() / 2
    assert (both[0] + both[1]).mean().abs() / 2 < noise / 5


def test_dark_pictures_at_high_noise_have_nothing_free_of_clipping() -> None:
    assert not shoot(grey_steps(64), -4, levels()["sidd high"], seed=0).free.any()


def test_the_script_prints_and_writes_its_figures(
    tmp_path: Path, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brightness, "STOPS", (0,))
    result = call_script(
        main, *("--denoisers", f"same={weights['srgb-identity']}", "--size", 64, "--json", tmp_path / "all.json")
    )
    assert result.returncode == 0, result.stderr
    stored = json.loads((tmp_path / "all.json").read_text())["same"]
    grey = stored["means"]["dnd low, 0 EV"]["grey"]
    assert grey["denoised"] == grey["noisy"]  # an identity changes nothing
    assert set(stored["clean"].values()) == {float("inf")} or min(stored["clean"].values()) > 90
    row = next(line for line in result.stdout.splitlines() if line.startswith("| dnd low, 0 EV |"))
    assert f"{np.abs(grey['denoised']).max():.2f}" in row


def test_a_size_that_is_none_is_one_line() -> None:
    assert "--size 63: expected an even number of at least 64" in error_line(call_script(main, "--size", 63))
