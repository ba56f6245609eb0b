"""calibrate_camera.py as users call it: frames in, a noise file out that every script takes."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

import calibrate_camera
import denoise
import generate_data
from cycleisp.dataloaders.pairs.store import read_manifest
from cycleisp.utils.processes.apart import SWITCH
from cycleisp.utils.raw.hot_pixels import read_listed, repair_listed
from cycleisp.utils.raw.sensor_noise.camera_files import read_camera_file
from tests.support.calibration_frames import CAMERA, FakeCamera, scene, vignetting, write_calibration, write_frame
from tests.support.paths import files_of
from tests.support.pictures import random_picture, write_png
from tests.support.scripts import Outcome, call_script, error_line

DEAD = (10, 20), (77, 101)
LIT = replace(CAMERA, dead=DEAD)
NOISIER = FakeCamera(gain=2.0, read=9.0, row=2.0, dead=DEAD)  # at ISO 3200


@pytest.fixture(autouse=True)
def _read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "0")


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of two ISO settings in one folder, and some that cannot be used."""
    folder = tmp_path_factory.mktemp("frames")
    write_calibration(folder, 800, LIT)
    write_calibration(folder, 3200, NOISIER, seed=77)
    write_frame(folder / "flicker.dng", CAMERA.frame(1.15 * 9000 * vignetting(), 900), 800, 0.5)
    write_frame(folder / "clipped.dng", CAMERA.frame(1e5 * vignetting(), 901), 800, 2.0)
    (folder / "text.dng").write_bytes(b"this is no picture")
    return folder


@pytest.fixture(scope="module")
def outcome(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path]:
    """One calibration, which the tests look at."""
    out = tmp_path_factory.mktemp("out")
    patch = pytest.MonkeyPatch()
    patch.setenv(SWITCH, "0")
    result = call_script(
        calibrate_camera.main, "--frames", frames, "--output", out / "my.yaml", "--report", out / "report.html"
    )
    patch.undo()
    return result, out


def test_the_noise_of_the_fabricated_camera_is_found(outcome: tuple[Outcome, Path]) -> None:
    result, out = outcome
    assert result.returncode == 1 and "Traceback" not in result.stderr  # some frames were not used
    content = read_camera_file(out / "my.yaml")
    errors = yaml.safe_load((out / "my.yaml").read_text())["calibration"]
    assert content.name == "Fabricated Camera" and set(content.iso) == {800, 3200}
    for iso, camera in ((800, CAMERA), (3200, NOISIER)):
        span, noise = camera.white - camera.black, content.iso[iso]
        truth = {
            "shot_noise": camera.gain / span,
            "read_noise": (camera.read / span) ** 2,
            "row_noise": (camera.row / span) ** 2,
        }
        for key, expected in truth.items():
            error = np.array(errors[iso]["standard_errors"][key])
            assert (np.abs(np.array(getattr(noise, key)) - expected) < 5 * error).all(), (iso, key)
            assert (error < 0.3 * expected).all()
        assert noise.quantization_bits == pytest.approx(np.log2(span), abs=0.001)


def test_dead_photosites_are_listed_and_repaired_by_the_list(outcome: tuple[Outcome, Path]) -> None:
    _, out = outcome
    settings = yaml.safe_load((out / "my.yaml").read_text())["calibration"]
    for iso in (800, 3200):
        assert settings[iso]["dead_pixels"] == [list(place) for place in DEAD]
        density = settings[iso]["dead_pixel_density"]
        assert density["value"] == pytest.approx(2 / (128 * 192), rel=1e-4)
        assert density["error"] == pytest.approx(2**0.5 / (128 * 192), rel=1e-4)
    assert "2 dead photosites were found, at (row, column) (10, 20), (77, 101)." in (out / "report.html").read_text()
    mosaic = LIT.frame(3000.0, 5).astype(np.float32)
    _, mask = repair_listed(mosaic, read_listed(out / "my.yaml"), Path("a.dng"))
    assert mask[tuple(np.transpose(DEAD))].all()


def test_frames_that_cannot_be_used_are_named(outcome: tuple[Outcome, Path]) -> None:
    result, _ = outcome
    lines = [line for line in result.stdout.splitlines() if line.startswith("not used: ")]
    assert len(lines) == 3
    for name, words in (("flicker.dng", "lamp flickers"), ("clipped.dng", "is clipped"), ("text.dng", "cannot read")):
        assert any(name in line and words in line for line in lines), lines
    assert "ISO 800, 3200 measured from" in result.stdout.splitlines()[-1]


def test_the_report_shows_what_was_measured(outcome: tuple[Outcome, Path]) -> None:
    _, out = outcome
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "Noise of Fabricated Camera" in text and "--report" in text
    assert text.count("<svg xmlns") == 5  # by ISO; of each setting photon transfer and the shape of read noise
    assert all(words in text for words in ("flicker.dng", "is clipped", "saturation, DN", "flat800_0_0.dng"))
    assert "nan" not in text and "src=" not in text
    assert files_of(out) == {"my.yaml", "report.html"}


def test_the_file_works_in_every_script(
    outcome: tuple[Outcome, Path], tmp_path: Path, weights: dict[str, Path], tiny_weights: Path
) -> None:
    camera = outcome[1] / "my.yaml"
    dng = write_frame(tmp_path / "raw" / "a.dng", CAMERA.frame(scene(shape=(64, 64)), 7, (64, 64)), 1600, 0.1)
    for noise in (camera, f"{camera}@3200"):  # at the picture's ISO, which lies between, and at another one
        line = ("--device", "cpu", dng, "--output", tmp_path / str(noise)[-4:], "--weights", weights["raw-identity"])
        result = call_script(denoise.main, *line, "--noise", noise)
        assert result.returncode == 0 and "my.yaml" in result.stdout + result.stderr, result.stdout + result.stderr
    write_png(tmp_path / "photos" / "0.png", random_picture(24, 32))
    recipe = tmp_path / "generate.yaml"
    recipe.write_text(f"noise: {camera}@800\nspace: raw\n")
    words = ("--config", recipe, "--device", "cpu", "--weights", tiny_weights, "--input", tmp_path / "photos")
    assert call_script(generate_data.main, *words, "--output", tmp_path / "pairs").returncode == 0
    (record,) = read_manifest(tmp_path / "pairs")
    assert record["sensor_noise"]["iso"] == 800 and record["sensor_noise"]["name"] == "Fabricated Camera"


def test_existing_files_are_kept_unless_told(frames: Path, tmp_path: Path) -> None:
    output = tmp_path / "my.yaml"
    output.write_text("mine")
    line = error_line(call_script(calibrate_camera.main, "--frames", frames, "--output", output))
    assert "is there already; give another name, or --overwrite" in line and output.read_text() == "mine"
    for option, name in (("--output", "my.txt"), ("--output", "."), ("--report", "report.yaml")):
        places = {"--output": tmp_path / "new.yaml", option: tmp_path / name}
        words = [each for pair in places.items() for each in pair]
        assert "expected the name of a" in error_line(call_script(calibrate_camera.main, "--frames", frames, *words))
    assert files_of(tmp_path) == {"my.yaml"}


def test_too_few_frames_are_told_with_what_to_take(frames: Path, tmp_path: Path) -> None:
    for name in ("flat800_0_0.dng", "dark800_0.dng"):
        (tmp_path / "in").mkdir(exist_ok=True)
        shutil.copy(frames / name, tmp_path / "in" / name)
    result = call_script(calibrate_camera.main, "--frames", tmp_path / "in", "--output", tmp_path / "my.yaml")
    assert "no ISO setting can be measured" in error_line(result)
    assert result.stderr.count("take two or more") == 2 and "close the lens cap" in result.stderr
    assert not (tmp_path / "my.yaml").exists()


def test_darks_alone_say_that_flats_are_missing(frames: Path, tmp_path: Path) -> None:
    darks = sorted(frames.glob("dark800_*"))
    result = call_script(calibrate_camera.main, "--frames", *darks, "--output", tmp_path / "my.yaml")
    assert "no ISO setting can be measured" in error_line(result)
    assert "shot noise is unknown: no two flat frames" in result.stderr and "white paper" in result.stderr


def test_a_burst_of_a_scene_is_enough(tmp_path: Path) -> None:
    """Without dark frames read noise is where the line of variances meets black."""
    for seed in range(4):
        write_frame(tmp_path / "in" / f"{seed}.dng", CAMERA.frame(scene(), seed), 800, 0.1)
    result = call_script(calibrate_camera.main, "--frames", tmp_path / "in", "--output", tmp_path / "my.yaml")
    assert result.returncode == 0, result.stderr
    assert "Missing at ISO 800: dark frames (none there)" in result.stdout
    shot = np.array(read_camera_file(tmp_path / "my.yaml").iso[800].shot_noise)
    assert shot * (CAMERA.white - CAMERA.black) == pytest.approx(np.full(4, CAMERA.gain), rel=0.1)


def test_ordinary_pictures_tell_shot_and_read_noise(tmp_path: Path) -> None:
    for seed in range(3):
        write_frame(tmp_path / "in" / f"{seed}.dng", CAMERA.frame(scene(seed), seed), 800, 0.1 + seed)
    write_frame(tmp_path / "in" / "other.dng", CAMERA.frame(scene(), 9), 800, 0.1, FakeCamera(name=("X", "Y")))
    places = ("--output", tmp_path / "my.yaml", "--report", tmp_path / "report.html")
    result = call_script(calibrate_camera.main, "--pictures", tmp_path / "in", *places)
    assert result.returncode == 1, result.stderr
    assert "other.dng: was taken by X Y, most pictures by Fabricated Camera" in result.stdout
    noise = read_camera_file(tmp_path / "my.yaml").iso[800]
    about = yaml.safe_load((tmp_path / "my.yaml").read_text())["calibration"][800]
    truth = CAMERA.gain / (CAMERA.white - CAMERA.black)
    assert abs(noise.shot_noise[0] - truth) < 5 * about["standard_errors"]["shot_noise"] < truth
    assert about["pictures"] == 3
    assert "variance of a middle grey" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_pictures_that_say_nothing_are_named(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "text.dng").write_bytes(b"this is no picture")
    result = call_script(calibrate_camera.main, "--pictures", tmp_path / "in", "--output", tmp_path / "my.yaml")
    assert "no ISO setting can be measured" in error_line(result) and "text.dng" in result.stderr
