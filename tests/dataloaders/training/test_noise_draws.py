"""The sensor's noise of a patch: within the recipe's spans, and nothing that was not asked for."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from cycleisp.dataloaders.photo_store import PhotoStore
from cycleisp.dataloaders.training.denoising_patches import DenoisingPatches, Patch
from cycleisp.networks.synthesis.training_pairs import TrainingPairs
from cycleisp.utils.config import ConfigError, DenoiserData, Synthesis, check_recipe
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from cycleisp.utils.raw.noise import noise_level_function
from cycleisp.utils.raw.sensor_noise.parameters import SensorNoise
from cycleisp.utils.raw.sensor_noise.sampling import add_sensor_noise
from tests.support.pictures import random_picture, write_png

SPANS: dict[str, Any] = {
    "row_noise": (0.02, 0.1),
    "column_noise": (0.01, 0.05),
    "tail": (-0.2, 0.1),
    "hot_pixels": (1e-4, 1e-2),
    "hot_amplitude": (0.1, 0.4),
    "dead_pixels": (0.0, 1e-3),
    "quantization_bits": (8, 10),
    "poisson": True,
}
CAMERA = """
tukey_lambda: -0.2
iso:
  100: {shot_noise: 0.001, read_noise: [1.0e-5, 2.0e-5, 3.0e-5, 4.0e-5], row_noise: 1.0e-6}
  800: {shot_noise: 0.008, read_noise: 8.0e-5, row_noise: 8.0e-6}
"""


@pytest.fixture
def photos(tmp_path: Path) -> PhotoStore:
    return PhotoStore([write_png(tmp_path / "photos" / "a.png", random_picture(40, 52))])


@pytest.fixture
def camera(tmp_path: Path) -> str:
    path = tmp_path / "camera.yaml"
    path.write_text(CAMERA)
    return str(path)


def patches(photos: PhotoStore, count: int = 40, **synthesis: Any) -> list[Patch]:
    recipe = check_recipe(Synthesis, {"learned_share": 0.0, **synthesis}, "recipe")
    stream = DenoisingPatches(photos, DenoiserData(patch_size=16), recipe, 0, count)
    return [stream[number] for number in range(count)]


def test_parts_are_drawn_from_their_spans_and_change_no_other_draw(photos: PhotoStore) -> None:
    plain, with_parts = patches(photos), patches(photos, **SPANS)
    for before, after in zip(plain, with_parts, strict=True):
        assert after.keys() - before.keys() == SPANS.keys()
        assert all(torch.equal(after[key], before[key]) for key in before)
        for key in ("row_noise", "column_noise"):
            ratio = float(after[key] / after["read_noise"])
            assert SPANS[key][0] * 0.999 <= ratio <= SPANS[key][1] * 1.001
        for key in ("tail", "hot_pixels", "hot_amplitude", "dead_pixels", "quantization_bits"):
            assert SPANS[key][0] - 1e-6 <= float(after[key]) <= SPANS[key][1] + 1e-6
        assert after["poisson"].item() is True
    assert {float(patch["quantization_bits"]) for patch in with_parts} == {8, 9, 10}
    assert len({float(patch["row_noise"] / patch["read_noise"]) for patch in with_parts}) == 40


@pytest.mark.parametrize("part", [part for part in SPANS if part != "hot_amplitude"])
def test_a_part_draws_the_same_whether_others_are_there_or_not(photos: PhotoStore, part: str) -> None:
    everything, alone = patches(photos, 5, **SPANS), patches(photos, 5, **{part: SPANS[part]})
    for one, other in zip(everything, alone, strict=True):
        assert torch.equal(one[part], other[part])
        assert other.keys() & SPANS.keys() == ({part, "hot_amplitude"} if part == "hot_pixels" else {part})


def test_cameras_bring_their_own_parts_and_profiles_get_the_recipes(photos: PhotoStore, camera: str) -> None:
    drawn = patches(photos, 60, noise=["dnd", camera], row_noise=(0.1, 0.1), quantization_bits=(9, 9))
    of_camera = [patch for patch in drawn if patch["tail"].isfinite()]
    of_profile = [patch for patch in drawn if patch["tail"].isnan()]
    assert abs(len(of_camera) / 60 - 0.5) <= 5 * 0.5 / math.sqrt(60)
    assert len(of_camera) + len(of_profile) == 60
    for patch in drawn:
        assert patch["shot_noise"].shape == patch["read_noise"].shape == patch["row_noise"].shape == (4,)
        assert patch["quantization_bits"] == 9
    for patch in of_profile:
        torch.testing.assert_close(patch["row_noise"], 0.1 * patch["read_noise"])
        assert patch["poisson"].item() is False
    for patch in of_camera:
        assert patch["tail"] == pytest.approx(-0.2) and patch["poisson"].item() is True
        torch.testing.assert_close(patch["row_noise"] / patch["shot_noise"], torch.full((4,), 1e-3))


@pytest.mark.parametrize("space", ["raw", "srgb"])
def test_training_pairs_have_that_noise_in_any_batch(photos: PhotoStore, camera: str, space: Space) -> None:
    drawn = patches(photos, 6, noise=["dnd", camera], **{**SPANS, "binned_share": 0.4})
    make = TrainingPairs(space, None, 0.0, 0.5, torch.device("cpu"))
    together = make(default_collate(drawn))
    for index, patch in enumerate(drawn):
        alone = make(default_collate([patch]))
        torch.testing.assert_close(alone["noisy"][0], together["noisy"][index], atol=1e-5, rtol=0)
    if space == "raw":
        batch = default_collate(drawn)
        noise = SensorNoise.from_batch(batch)
        noisy = add_sensor_noise(together["clean"], noise, batch["seed"].tolist(), clip=True)
        assert torch.equal(together["noisy"], noisy)
        levels = noise.levels()
        assert (levels.read_noise > noise.read_noise).all()
        assert torch.equal(together["variance"], noise_level_function(noisy, levels.shot_noise, levels.read_noise))


@pytest.mark.parametrize(
    "synthesis",
    [
        {"row_noise": (0.2, 0.1)},
        {"tail": (-0.4, 0.0)},
        {"tail": (0.0, 1.5)},
        {"hot_pixels": (0.0, 1.1)},
        {"quantization_bits": (0, 8)},
        {"quantization_bits": (8, 30)},
        {"quantization_bits": (8.5, 9)},
        {"poisson": "often"},
    ],
    ids=str,
)
def test_impossible_spans_are_refused_by_name(synthesis: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"recipe: {next(iter(synthesis))}"):
        check_recipe(Synthesis, synthesis, "recipe")


def test_a_bad_camera_file_stops_the_training_in_words(photos: PhotoStore, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("iso: {100: {shot_noise: 0.1}}\n")
    for name, words in ((str(bad), "read_noise: Field required"), (str(tmp_path / "no.yaml"), "No such file")):
        with pytest.raises(UserError, match=words):
            patches(photos, 1, noise=[name])
    with pytest.raises(UserError, match="knows ISO 100 to 6400, asked for ISO 50"):
        patches(photos, 1, noise=["noise/nikon_d850.yaml@50"])


def test_the_draws_are_those_of_the_patchs_number(photos: PhotoStore) -> None:
    recipe = Synthesis(noise=["noise/sony_a7s_ii.yaml"], learned_share=0.0, **SPANS)
    stream = DenoisingPatches(photos, DenoiserData(patch_size=16), recipe, 0, 10)
    state = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    forwards = [stream[number] for number in range(6)]
    for number in (4, 1):
        again = stream[number]
        assert all(torch.equal(again[key].nan_to_num(9), forwards[number][key].nan_to_num(9)) for key in again)
    assert torch.equal(torch.get_rng_state(), state[0]) and np.array_equal(np.random.get_state()[1], state[1])  # type: ignore[index]
