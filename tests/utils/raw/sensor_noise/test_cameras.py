"""A camera's noise model: between its ISO settings, draws, pairs; and the shipped cameras."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from cycleisp.utils.config import ConfigError
from cycleisp.utils.raw.noise import PROFILES, FixedNoise, NoiseError
from cycleisp.utils.raw.sensor_noise.cameras import CameraNoise
from cycleisp.utils.raw.sensor_noise.names import find_noise, shipped_cameras
from cycleisp.utils.raw.sensor_noise.sampling import add_sensor_noise
from tests.support.paths import ROOT

SIGMAS = 5.0
CAMERA = """
name: Some camera
scatter: {read_noise: 0.5, row_noise: 0.1}
tukey_lambda: [-0.1, 0.2]
quantization_bits: 12
iso:
  1600: {shot_noise: 16.0e-4, read_noise: [64.0e-6, 64.0e-6, 64.0e-6, 32.0e-6], row_noise: 4.0e-6, column_noise: 0}
  100: {shot_noise: 1.0e-4, read_noise: 1.0e-6, row_noise: 1.0e-6, column_noise: 4.0e-7}
"""
SHARED = ROOT.parent / "shared" / "data" / "noise" / "eld_cameras.json"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "camera.yaml"
    path.write_text(CAMERA)
    return path


def camera(text: object) -> CameraNoise:
    found = find_noise(str(text))
    assert isinstance(found, CameraNoise)
    return found


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---------------------------------------------------------------- names


def test_names_are_profiles_variances_and_files(file: Path) -> None:
    assert find_noise("dnd") is PROFILES["dnd"]
    assert find_noise("shot=0.01,read=0.0005") == FixedNoise(0.01, 0.0005)
    assert camera(file).iso is None
    assert camera(f"{file}@400").iso == 400
    assert camera(f"{file}@400").name == camera(file).name == str(file)


@pytest.mark.parametrize("iso", ["", "x", "-100", "0", "1e3", "nan", "100@200"])
def test_a_setting_that_is_none_is_refused(file: Path, iso: str) -> None:
    with pytest.raises(NoiseError, match=r"camera\.yaml@3200"):
        find_noise(f"{file}@{iso}")


def test_what_is_no_noise_is_refused_with_all_that_would_do(tmp_path: Path) -> None:
    with pytest.raises(NoiseError, match=r"dnd.*shot=0\.01,read=0\.0005.*camera\.yaml@3200"):
        find_noise("canon")
    with pytest.raises(NoiseError, match=r"No such file.*noise/nikon_d850\.yaml"):
        find_noise(str(tmp_path / "camera.yaml"))
    with pytest.raises(ConfigError, match="directory"):
        find_noise(str(_folder(tmp_path / "folder.yaml")))


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_the_settings_are_the_content_of_the_file(file: Path) -> None:
    before = dict(camera(file).settings)
    file.write_text(CAMERA + "# another\n")
    assert camera(file).settings.keys() == {"noise_sha256"} and camera(file).settings != before


# ---------------------------------------------------------------- between ISO settings


def test_the_settings_of_the_file_are_met_exactly(file: Path) -> None:
    noise = camera(file).at(100)
    assert noise["shot_noise"] == (1e-4,) * 4 and noise["row_noise"] == (1e-6,) * 4
    assert camera(file).at(1600)["read_noise"] == (64e-6, 64e-6, 64e-6, 32e-6)


def test_logarithms_are_linear_between_two_settings(file: Path) -> None:
    """ISO 400 is half of the way from 100 to 1600; where a value is 0, values are linear."""
    noise = camera(file).at(400)
    assert noise["shot_noise"] == pytest.approx((4e-4,) * 4)
    assert noise["read_noise"] == pytest.approx((8e-6, 8e-6, 8e-6, math.sqrt(32) * 1e-6))
    assert noise["row_noise"] == pytest.approx((2e-6,) * 4)
    assert noise["column_noise"] == pytest.approx((2e-7,) * 4)
    assert noise["quantization_bits"] == 12


@pytest.mark.parametrize("iso", [99, 1601, 6400])
def test_nothing_is_known_outside_of_the_settings(file: Path, iso: int) -> None:
    with pytest.raises(NoiseError, match=f"knows ISO 100 to 1600, asked for ISO {iso}"):
        camera(file).at(iso)
    with pytest.raises(NoiseError, match=f"asked for ISO {iso}"):
        find_noise(f"{file}@{iso}")


def test_one_setting_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text("iso: {800: {shot_noise: 0.01, read_noise: 1.0e-4}}\n")
    assert camera(path).at(800)["shot_noise"] == (0.01,) * 4
    assert camera(path).draw(generator())["iso"] == 800
    with pytest.raises(NoiseError, match="knows ISO 800, asked for ISO 400"):
        camera(path).at(400)


def test_a_denoiser_is_told_the_sum_of_the_variances(file: Path) -> None:
    shot, read = camera(file).levels(400)
    assert shot == pytest.approx((4e-4,) * 4)
    extra = 2e-6 + 2e-7 + 4**-12 / 12
    assert read == pytest.approx((8e-6 + extra, 8e-6 + extra, 8e-6 + extra, math.sqrt(32) * 1e-6 + extra))
    assert camera(f"{file}@400").levels(100) == camera(file).levels(400)  # the user's word comes first
    with pytest.raises(NoiseError, match=r"no ISO setting; give --noise .*camera\.yaml@ISO"):
        camera(file).levels()


# ---------------------------------------------------------------- draws


def test_draws_scatter_around_the_line_and_use_every_iso(file: Path) -> None:
    """log ISO is uniform, so that its variance is (log 16)^2 / 12."""
    count, stream, source = 4000, generator(), camera(file)
    drawn = [source.draw(stream) for _ in range(count)]
    iso = np.log([one["iso"] / 100 for one in drawn])
    assert iso.min() >= 0 and iso.max() <= math.log(16)
    assert abs(iso.mean() - math.log(4)) <= SIGMAS * math.log(16) / math.sqrt(12 * count)
    for key, spread in (("read_noise", 0.5), ("row_noise", 0.1)):
        deviations = np.log([one[key][0] / source.at(one["iso"])[key][0] for one in drawn])
        assert abs(deviations.mean()) <= SIGMAS * spread / math.sqrt(count)
        assert abs(deviations.std() / spread - 1) <= SIGMAS / math.sqrt(2 * count)
    shapes = [one["tukey_lambda"] for one in drawn]
    assert set(shapes) == {-0.1, 0.2}
    assert abs(shapes.count(0.2) / count - 0.5) <= SIGMAS * 0.5 / math.sqrt(count)


def test_a_fixed_iso_draws_the_shape_alone(file: Path) -> None:
    source, stream = camera(f"{file}@400"), generator()
    drawn = [source.draw(stream) for _ in range(20)]
    assert {one["iso"] for one in drawn} == {400}
    assert {one["read_noise"] for one in drawn} == {source.at(400)["read_noise"]}
    assert {one["tukey_lambda"] for one in drawn} == {-0.1, 0.2}


def test_a_pair_is_a_function_of_its_seed_and_says_what_was_drawn(file: Path) -> None:
    source, clean = camera(file), torch.rand(4, 8, 10, generator=generator())
    first, again, other = (source.add(clean, seed) for seed in (5, 5, 6))
    assert torch.equal(first.image, again.image) and first.origin == again.origin
    assert not torch.equal(first.image, other.image)
    record = first.origin["sensor_noise"]
    assert json.loads(json.dumps(record)).keys() == {
        *("name", "iso", "shot_noise", "read_noise", "row_noise", "column_noise", "tukey_lambda", "quantization_bits")
    }
    noise = source.sample_of_seed(5)
    assert torch.equal(add_sensor_noise(clean[None], noise, [5])[0], first.image)
    assert record["shot_noise"] == pytest.approx(noise.shot_noise[0, 0].item())
    total = torch.tensor(first.read_noise)  # one a plane: blue differs
    torch.testing.assert_close(total, noise.levels().read_noise[0])
    assert first.shot_noise == pytest.approx(record["shot_noise"])


def test_samples_of_a_batch_are_those_of_its_generator(file: Path) -> None:
    noise = camera(file).sample(3, generator(2))
    assert noise.shot_noise.shape == noise.read_noise.shape == (3, 4)
    assert noise.tail is not None and noise.tail.shape == (3,)
    again = [camera(file).sample(1, stream).shot_noise[0] for stream in [generator(2)] for _ in range(3)]
    assert torch.equal(noise.shot_noise, torch.stack(again))


# ---------------------------------------------------------------- the shipped cameras


def test_every_shipped_camera_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(shipped_cameras()) == 5
    for name in shipped_cameras():
        noise = camera(f"configs/{name}")
        shots = [noise.at(iso)["shot_noise"][0] for iso in (100, 400, 6400)]
        assert shots[1] / shots[0] == pytest.approx(4, rel=1e-3) and shots[2] / shots[0] == pytest.approx(64, rel=1e-3)
        assert camera(f"{name}@3200").levels()[1][0] > noise.at(3200)["read_noise"][0] > 0


@pytest.mark.parametrize("name", shipped_cameras())
def test_a_shipped_camera_has_the_moments_of_the_published_model(name: str) -> None:
    """Frames are simulated by the published model, in digital numbers, and measured.

    Its gain is 64 times larger at the last ISO than at the first one.
    """
    if not SHARED.is_file():
        pytest.skip(f"needs {SHARED.name}, the published figures")
    published = json.loads(SHARED.read_text())
    keys = {"5d": "CanonEOS5D4", "700d": "CanonEOS700D", "70d": "CanonEOS70D", "d850": "NikonD850", "a7s": "SonyA7S2"}
    (key,) = (value for part, value in keys.items() if part in Path(name).stem.split("_"))
    figures, white = published["cameras"][key], 16383 - 800
    rng = np.random.default_rng(0)
    for number, iso in enumerate((100, 800, 6400)):
        gain = figures["Kmin"] * iso / 100
        read_scale, row_scale = (
            math.exp(figures[part]["slope"] * math.log(gain) + figures[part]["bias"])
            for part in ("sigma_TL", "sigma_R")
        )
        light = 200.0  # digital numbers above black
        shapes = rng.choice(figures["tukey_shapes"], (2000, 1))
        uniform = rng.uniform(1e-9, 1 - 1e-9, (2000, 100))
        near = np.where(np.abs(shapes) < 1e-6, 1e-6, shapes)
        read = read_scale * (uniform**near - (1 - uniform) ** near) / near
        rows = row_scale * rng.standard_normal((20_000, 1))
        shot = gain * rng.poisson(light / gain, (2000, 100)) - light
        noise = camera(f"{name}@{iso}").at(iso)
        assert (shot / white).var() / (light / white) == pytest.approx(noise["shot_noise"][0], rel=0.02), number
        assert (rows / white).var() == pytest.approx(noise["row_noise"][0], rel=SIGMAS * math.sqrt(2 / 20_000))
        assert (read / white).var() == pytest.approx(noise["read_noise"][0], rel=0.1)  # heavy tails: 2000 shapes
        assert 2.0 ** noise["quantization_bits"] == pytest.approx(white, rel=1e-4)


def measured(noise: Tensor) -> float:
    return noise.double().square().mean().item()


@pytest.mark.parametrize("name", shipped_cameras())
def test_pairs_of_a_shipped_camera_have_the_level_that_a_denoiser_is_told(name: str) -> None:
    source = camera(f"{name}@6400")
    shot, read = source.levels()
    clean = torch.full((4, 80, 80), 0.05)
    frames = torch.stack([source.add(clean, seed).image - clean for seed in range(6)])
    assert measured(frames) == pytest.approx(shot[0] * 0.05 + read[0], rel=0.03)
    dark = torch.stack([source.add(torch.zeros(4, 80, 80), seed).image for seed in range(8)])
    assert measured(dark) == pytest.approx(read[0], rel=0.1)
