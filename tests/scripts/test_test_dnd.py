"""test_dnd.py as users call it: data in, a valid submission out; missing data and bad options told
at once.
"""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cycleisp.dataloaders.dnd.submission import file_name, read_bundle
from cycleisp.dataloaders.photos import read_photo
from cycleisp.utils.fingerprints import file_sha256
from cycleisp.utils.images import Space
from test_dnd import main
from tests.support.dnd import SMALL, fake_images, write_dnd
from tests.support.scripts import Outcome, call_script, start_script

SPACES: tuple[Space, ...] = ("raw", "srgb")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dnd(tmp_path_factory.mktemp("dnd"), fake_images())


def run_dnd(*options: object) -> Outcome:
    return call_script(partial(main, SMALL), "--device", "cpu", *options)


def error_of(result: Outcome) -> str:
    """The one error of a run that could not start."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.count("error: ") == 1
    return result.stderr[result.stderr.index("error: ") :]


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("orientation", ["corrected", "released"])
def test_an_identity_makes_a_valid_submission_of_the_noisy_crops(
    tmp_path: Path, data: Path, weights: dict[str, Path], space: Space, orientation: str
) -> None:
    out = tmp_path / "out"
    line = ("--data", data, "--space", space, "--output", out, "--weights", weights[f"{space}-identity"])
    result = run_dnd(*line, "--orientation", orientation, "--batch-size", 2)
    assert result.returncode == 0, result.stderr
    assert "4 images denoised, 0 kept from before" in result.stdout
    assert (
        f"{out / 'bundle'}: a valid submission; upload 0001.mat ... 0004.mat at https://noise.visinf" in result.stdout
    )
    for number, fake in enumerate(fake_images(), start=1):
        denoised = read_bundle(out / "bundle" / file_name(number))
        for box in range(SMALL.boxes):
            np.testing.assert_array_equal(denoised[box], fake.crop(box, space))
    assert sorted(path.name for path in out.glob("[!.]*")) == ["bundle", "settings.json"]
    assert json.loads((out / "settings.json").read_text()) == {
        "benchmark": "DND",
        "space": space,
        "orientation": orientation if space == "raw" else None,
        "weights": file_sha256(weights[f"{space}-identity"]),
    }


def test_orientation_matters_to_a_network_and_only_for_grbg_and_gbrg(
    tmp_path: Path, data: Path, weights: dict[str, Path]
) -> None:
    for orientation in ("corrected", "released"):
        common = ("--data", data, "--space", "raw", "--weights", weights["raw"], "--orientation", orientation)
        assert run_dnd(*common, "--output", tmp_path / orientation).returncode == 0
    for number, fake in enumerate(fake_images(), start=1):
        pair = (read_bundle(tmp_path / name / "bundle" / file_name(number)) for name in ("corrected", "released"))
        equal = [np.array_equal(one, other) for one, other in zip(*pair, strict=True)]
        expected = fake.camera["bayertype"] in ("rggb", "bggr")
        assert equal == [expected] * SMALL.boxes


def test_batches_give_what_single_crops_give(tmp_path: Path, data: Path, weights: dict[str, Path]) -> None:
    for size in (1, 3):
        common = ("--data", data, "--space", "srgb", "--weights", weights["srgb"], "--batch-size", size)
        assert run_dnd(*common, "--output", tmp_path / str(size)).returncode == 0
    for number in SMALL.numbers:
        pair = (read_bundle(tmp_path / size / "bundle" / file_name(number)) for size in ("1", "3"))
        for one, other in zip(*pair, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_same_line_goes_on_and_another_is_refused(tmp_path: Path, data: Path, weights: dict[str, Path]) -> None:
    out = tmp_path / "out"
    line = ("--data", data, "--space", "raw", "--output", out, "--weights", weights["raw"])
    assert run_dnd(*line).returncode == 0
    before = {path.name: path.read_bytes() for path in (out / "bundle").iterdir()}
    (out / "bundle" / "0002.mat").unlink()
    (out / "bundle" / "0004.mat").write_bytes(before["0004.mat"][:1000])
    result = run_dnd(*line)
    assert result.returncode == 0
    assert "2 images denoised, 2 kept from before" in result.stdout
    for change in (
        ("--orientation", "released"),
        ("--weights", weights["raw-identity"]),
        ("--space", "srgb", "--weights", weights["srgb"]),
    ):
        assert f"{out}: holds DND results made with" in error_of(run_dnd(*line, *change))


def test_previews_are_pictures(tmp_path: Path, data: Path, weights: dict[str, Path]) -> None:
    out = tmp_path / "out"
    line = ("--data", data, "--space", "raw", "--output", out, "--weights", weights["raw"], "--previews")
    assert run_dnd(*line).returncode == 0
    for number in SMALL.numbers:
        sheet = read_photo(out / "previews" / f"{number:04d}.png")
        assert sheet.ndim == 3 and len(np.unique(sheet)) > 10
    assert sorted(path.name for path in (out / "bundle").iterdir()) == [file_name(number) for number in SMALL.numbers]


# ---------------------------------------------------------------- validating alone


def test_validate_takes_any_folder_and_lists_every_problem(
    tmp_path: Path, data: Path, weights: dict[str, Path]
) -> None:
    out = tmp_path / "out"
    assert run_dnd("--data", data, "--space", "raw", "--output", out, "--weights", weights["raw"]).returncode == 0
    assert run_dnd("--validate", out / "bundle").returncode == 0
    assert run_dnd("--validate", out / "bundle", "--space", "raw").returncode == 0
    result = run_dnd("--validate", out / "bundle", "--space", "srgb")
    assert result.returncode == 1
    assert "problem 0001.mat: israw is true, expected a submission of srgb" in result.stdout
    (out / "bundle" / "0003.mat").unlink()
    (out / "bundle" / "0001.mat").write_bytes(b"")
    result = run_dnd("--validate", out / "bundle")
    assert result.returncode == 1
    assert "problem missing: 0003.mat" in result.stdout
    assert "problem 0001.mat: cannot be read" in result.stdout
    assert "not a valid submission, 2 problems" in result.stdout


def test_validate_wants_fifty_files_of_the_true_size(tmp_path: Path, data: Path, weights: dict[str, Path]) -> None:
    out = tmp_path / "out"
    assert run_dnd("--data", data, "--space", "raw", "--output", out, "--weights", weights["raw"]).returncode == 0
    result = call_script(main, "--validate", out / "bundle")
    assert result.returncode == 1
    assert "problem missing: 0005.mat ... 0050.mat" in result.stdout
    assert "problem 0001.mat: Idenoised: expected a 1x20 cell, got cell 1x3" in result.stdout


# ---------------------------------------------------------------- what cannot run


def test_missing_data_are_the_first_thing_that_is_said(tmp_path: Path) -> None:
    result = start_script(
        "test_dnd.py",
        *("--data", tmp_path / "nowhere", "--space", "raw", "--output", tmp_path / "out"),
        *("--weights", "no such weights", "--device", "cuda"),  # are wrong as well, but no one got that far
    )
    message = error_of(result)
    assert "files of DND are missing: info.mat, images_raw/: 0001.mat ... 0050.mat" in message
    assert "https://noise.visinf.tu-darmstadt.de" in message
    assert f"{tmp_path / 'nowhere' / 'images_raw'}/0001.mat ... 0050.mat    Inoisy" in message
    assert result.stderr.startswith("error: ")
    assert not (tmp_path / "out").exists()


def test_data_of_another_size_are_not_dnd(tmp_path: Path, data: Path) -> None:
    result = call_script(main, "--data", data, "--space", "raw", "--output", tmp_path / "out")
    assert "images_raw/: 0005.mat ... 0050.mat" in error_of(result)


def test_an_unknown_pattern_stops(tmp_path: Path, weights: dict[str, Path]) -> None:
    fakes = fake_images()
    fakes[3].camera["pattern"] = np.array([[1, 2], [3, 2]])
    data = write_dnd(tmp_path / "data", fakes)
    line = ("--data", data, "--space", "raw", "--output", tmp_path / "out", "--weights", weights["raw"])
    for orientation in ("corrected", "released"):
        message = error_of(run_dnd(*line, "--orientation", orientation))
        assert f"{data / 'info.mat'}: image 0004: unknown Bayer pattern" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--weights", "nowhere.safetensors"), "nowhere.safetensors"),
        (("--weights", "OTHER"), "a RawDenoiser or RawGatedDenoiser is needed here"),
        (("--output", "FILE"), "cannot be written"),
        (("--batch-size", 0), "--batch-size 0: expected at least 1"),
        (("--space", "xyz"), "invalid choice"),
        (("--orientation", "sideways"), "invalid choice"),
        (("--validate", "nowhere"), "nowhere: no such folder"),
    ],
    ids=str,
)
def test_options_without_sense_are_one_line(
    tmp_path: Path,
    data: Path,
    weights: dict[str, Path],
    options: tuple[str, object],
    words: str,
) -> None:
    (tmp_path / "file").write_text("here already")
    places = {"FILE": tmp_path / "file", "OTHER": weights["srgb"]}
    given = [places.get(option, option) if isinstance(option, str) else option for option in options]
    line = ("--data", data, "--space", "raw", "--output", tmp_path / "out", "--weights", weights["raw"])
    assert words in error_of(run_dnd(*line, *given))


def test_nothing_given_is_one_line() -> None:
    assert "--data, --space and --output are needed, or --validate" in error_of(call_script(main))
