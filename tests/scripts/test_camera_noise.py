"""The noise file of a camera, through the scripts that take it: pairs, training, RAW denoising."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import cycleisp
import denoise
import generate_data
import train_denoiser
from cycleisp.dataloaders.pairs.store import read_manifest, read_raw_pair
from cycleisp.dataloaders.results.denoised_raw import RawFileDenoiser
from cycleisp.utils.fingerprints import file_sha256
from cycleisp.utils.raw.camera_files import read_raw
from cycleisp.utils.raw.noise import NoiseError
from cycleisp.utils.raw.sensor_noise.cameras import CameraNoise
from cycleisp.utils.raw.sensor_noise.names import find_noise
from tests.support.pictures import random_mosaic, random_picture, write_dng, write_png
from tests.support.scripts import Outcome, call_script, error_line

CAMERA = """
poisson: false
tukey_lambda: [-0.1, 0.1]
iso:
  100: {shot_noise: 0.001, read_noise: [1.0e-5, 1.0e-5, 1.0e-5, 2.0e-5], row_noise: 1.0e-6}
  1600: {shot_noise: 0.016, read_noise: 1.6e-4, row_noise: 1.6e-5}
"""


@pytest.fixture
def camera(tmp_path: Path) -> Path:
    path = tmp_path / "camera.yaml"
    path.write_text(CAMERA)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for seed in range(3):
        write_png(tmp_path / "photos" / f"{seed}.png", random_picture(24, 32, seed=seed))
    return tmp_path / "photos"


def generate(photos: Path, output: Path, weights: Path, noise: object, *options: object) -> Outcome:
    line = ("--device", "cpu", "--weights", weights, "--input", photos, "--output", output, "--noise", noise, *options)
    return call_script(generate_data.main, *line)


def test_pairs_have_the_cameras_noise_and_the_manifest_says_what_was_drawn(
    tmp_path: Path, photos: Path, camera: Path, tiny_weights: Path
) -> None:
    out = tmp_path / "pairs"
    assert generate(photos, out, tiny_weights, camera, "--variance", "--batch-size", 2).returncode == 0
    records = read_manifest(out)
    assert len({record["sensor_noise"]["iso"] for record in records}) == 3
    for record in records:
        drawn = record["sensor_noise"]
        assert 100 <= drawn["iso"] <= 1600 and drawn["tukey_lambda"] in (-0.1, 0.1)
        assert drawn["shot_noise"] == pytest.approx(1e-5 * drawn["iso"])
        assert record["shot_noise"] == pytest.approx(drawn["shot_noise"])
        total = np.broadcast_to(drawn["read_noise"], 4) + np.broadcast_to(drawn["row_noise"], 4)
        assert np.broadcast_to(record["read_noise"], 4) == pytest.approx(total, rel=1e-5)
        assert record["noise_sha256"] == file_sha256(camera)
        clean, noisy, attributes = read_raw_pair(out / record["files"]["raw"])
        assert attributes["shot_noise"] == record["shot_noise"]
        noise = find_noise(str(camera))
        assert isinstance(noise, CameraNoise)
        again = noise.add(torch.from_numpy(clean / 65535).float(), record["pair_seed"]).image.clamp(0, 1)
        assert np.abs(again.numpy() * 65535 - noisy).max() < 2  # the stored clean image is rounded


def test_a_shipped_camera_a_fixed_iso_and_a_recipe_of_generation(
    tmp_path: Path, photos: Path, tiny_weights: Path
) -> None:
    recipe = tmp_path / "generate.yaml"
    recipe.write_text("noise: noise/nikon_d850.yaml@1600\nspace: raw\n")
    words = ("--config", recipe, "--device", "cpu", "--weights", tiny_weights, "--input", photos)
    assert call_script(generate_data.main, *words, "--output", tmp_path / "pairs").returncode == 0
    for record in read_manifest(tmp_path / "pairs"):
        assert record["noise"] == "noise/nikon_d850.yaml@1600"
        assert record["sensor_noise"]["iso"] == 1600 and record["sensor_noise"]["name"] == "Nikon D850"


def test_another_content_of_the_file_needs_another_folder(
    tmp_path: Path, photos: Path, camera: Path, tiny_weights: Path
) -> None:
    assert generate(photos, tmp_path / "pairs", tiny_weights, camera, "--limit", 1).returncode == 0
    camera.write_text(CAMERA.replace("0.016", "0.017"))
    assert "noise_sha256" in error_line(generate(photos, tmp_path / "pairs", tiny_weights, camera))


def test_bad_files_and_settings_stop_every_script_in_one_line(
    tmp_path: Path, photos: Path, camera: Path, tiny_weights: Path, weights: dict[str, Path]
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("iso: {100: {shot_noise: 0.1}}\n")
    dng = write_dng(tmp_path / "raw" / "a.dng", random_mosaic(32, 48))
    raw = ("--device", "cpu", dng, "--output", tmp_path / "out", "--weights", weights["raw-identity"], "--noise")
    train = ("--space", "raw", "--config", "denoiser_smoke.yaml", "--photos", photos, "--run-dir", tmp_path / "run")
    for noise, expected in (
        (bad, r"bad\.yaml: iso\.100\.read_noise: Field required"),
        (f"{camera}@3200", r"camera\.yaml: knows ISO 100 to 1600, asked for ISO 3200"),
        (tmp_path / "none.yaml", r"none\.yaml: cannot be read .No such file or directory.; shipped cameras: noise/"),
    ):
        for result in (
            generate(photos, tmp_path / "pairs", tiny_weights, noise),
            call_script(denoise.main, *raw, noise),
            call_script(train_denoiser.main, *train, "--noise", noise, "--set", "synthesis.learned_share=0"),
        ):
            assert re.search(expected, error_line(result))


def test_raw_is_denoised_at_the_level_of_an_iso(tmp_path: Path, camera: Path, weights: dict[str, Path]) -> None:
    dng = write_dng(tmp_path / "a.dng", random_mosaic(32, 48))

    def run(noise: object, output: str) -> Outcome:
        line = ("--device", "cpu", dng, "--output", tmp_path / output, "--weights", weights["raw-identity"])
        return call_script(denoise.main, *line, "--noise", noise)

    result = run(f"{camera}@100", "out")
    assert result.returncode == 0, result.stderr
    expected = "camera.yaml, shot=0.001,read=1.1e-05 shot=0.001,read=2.1e-05"  # row noise adds; blue differs
    assert expected in result.stdout + result.stderr
    without = run(camera, "other")  # the file states no ISO
    assert without.returncode == 1
    assert "the picture states no ISO setting; give --noise" in without.stdout + without.stderr


def test_without_an_iso_given_it_is_the_files_own(tmp_path: Path, camera: Path) -> None:
    noise = find_noise(str(camera))
    assert isinstance(noise, CameraNoise)
    files = RawFileDenoiser(lambda packed, variance: packed, noise)
    image = read_raw(write_dng(tmp_path / "a.dng", random_mosaic(32, 48)))
    shot, read, origin = files._noise_level(replace(image, iso=400.0))
    assert shot.tolist() == pytest.approx([0.004] * 4) and origin == camera.name
    assert read.tolist() == pytest.approx([4.4e-5] * 3 + [np.sqrt(2e-5 * 1.6e-4) + 4e-6])
    with pytest.raises(NoiseError, match="knows ISO 100 to 1600, asked for ISO 6400"):
        files._noise_level(replace(image, iso=6400.0))


def test_arrays_take_the_same_names(camera: Path, tiny_weights: Path, weights: dict[str, Path]) -> None:
    photo = random_picture(16, 16)
    pair = cycleisp.synthesize(photo, noise=f"{camera}@100", weights=tiny_weights, space="raw")
    assert pair.shot_noise == pytest.approx(0.001) and pair.noise_origin["sensor_noise"]["iso"] == 100
    raw = np.full((4, 8, 8), 0.2, np.float32)
    at_iso = cycleisp.denoise(raw, noise=f"{camera}@100", weights=weights["raw"])
    level = [1.1e-5] * 3 + [2.1e-5]
    np.testing.assert_allclose(at_iso, cycleisp.denoise(raw, noise=(0.001, level), weights=weights["raw"]), atol=1e-6)
    with pytest.raises(NoiseError, match=r"give this image's own, as .*camera\.yaml@ISO"):
        cycleisp.denoise(raw, noise=str(camera), weights=weights["raw"])
