"""denoise.py as users call it: photos and camera files in, pictures out; bad input in one line."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cycleisp.dataloaders.photos import read_photo
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import read_raw
from denoise import main
from tests.support.paths import files_of
from tests.support.pictures import HALF_A_LEVEL, encode_png, random_mosaic, random_picture, write_dng, write_png
from tests.support.scripts import Outcome, call_script, error_line, start_script


def denoise(*options: object) -> Outcome:
    return call_script(main, "--device", "cpu", *options)


def test_photos_and_folders_are_denoised_and_kept_by_the_next_run(tmp_path: Path, weights: dict[str, Path]) -> None:
    single = write_png(tmp_path / "single.png", random_picture(15, 21, np.uint16, seed=1))
    write_png(tmp_path / "folder" / "deep" / "a.png", random_picture(16, 24, seed=2))
    Image.fromarray(random_picture(16, 24, seed=3)).save(tmp_path / "folder" / "b.jpg")
    line = (single, tmp_path / "folder", "--output", tmp_path / "out", "--weights", weights["srgb"])
    result = denoise(*line)
    assert result.returncode == 0, result.stderr
    assert "3 denoised, 0 kept from before, 0 skipped" in result.stdout
    assert files_of(tmp_path / "out") == {"single.png", "deep/a.png", "b.png"}
    stored = read_photo(tmp_path / "out" / "single.png")
    assert (stored.dtype, stored.shape) == (np.uint16, (15, 21, 3))
    assert not np.array_equal(stored, read_photo(single))
    before = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in files_of(tmp_path / "out")}
    assert "0 denoised, 3 kept from before, 0 skipped" in denoise(*line).stdout
    assert before == {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in before}
    assert "3 denoised, 0 kept" in denoise(*line, "--overwrite").stdout
    np.testing.assert_array_equal(read_photo(tmp_path / "out" / "single.png"), stored)  # the same again


def test_the_script_runs_from_the_shell(tmp_path: Path, weights: dict[str, Path]) -> None:
    photo = write_png(tmp_path / "a.png", random_picture(8, 8))
    common = ("--output", tmp_path / "out", "--weights", weights["srgb-identity"], "--device", "cpu")
    result = start_script("denoise.py", photo, *common)
    assert result.returncode == 0, result.stderr
    assert "1 denoised, 0 kept from before, 0 skipped" in result.stdout
    np.testing.assert_array_equal(read_photo(tmp_path / "out" / "a.png"), read_photo(photo))


def test_an_identity_gives_back_the_very_pixels_whole_and_in_tiles(tmp_path: Path, weights: dict[str, Path]) -> None:
    pictures = {"a": random_picture(70, 90, np.uint8), "b": random_picture(71, 33, np.uint16)}
    for name, picture in pictures.items():
        write_png(tmp_path / "in" / f"{name}.png", picture)
    for tile in (1024, 16):
        out = tmp_path / f"out{tile}"
        result = denoise(tmp_path / "in", "--output", out, "--weights", weights["srgb-identity"], "--tile", tile)
        assert result.returncode == 0, result.stderr
        for name, picture in pictures.items():
            np.testing.assert_array_equal(read_photo(out / f"{name}.png"), picture)


def test_camera_files_come_out_as_dng_and_picture_with_the_origin_of_the_noise(
    tmp_path: Path, weights: dict[str, Path]
) -> None:
    for pattern in bayer.PATTERNS:
        write_dng(tmp_path / "in" / f"{pattern}.dng", random_mosaic(65, 80), pattern, noise_profile=[0.01, 1e-4])
    write_dng(tmp_path / "in" / "silent.dng", random_mosaic(200, 240))
    result = denoise(tmp_path / "in", "--output", tmp_path / "out", "--weights", weights["raw-identity"])
    assert result.returncode == 0, result.stderr
    assert "5 denoised" in result.stdout
    said = result.stdout + result.stderr
    assert "RGGB.dng: noise from the file's NoiseProfile, shot=0.01,read=0.0001" in said
    assert re.search(r"silent\.dng: noise from an estimate, shot=[\d.e-]+,read=[\d.e-]+", said)
    for path in (tmp_path / "in").iterdir():
        before, after = read_raw(path), read_raw(tmp_path / "out" / path.name)
        assert after.pattern == before.pattern
        np.testing.assert_allclose(after.mosaic, before.mosaic, atol=HALF_A_LEVEL)
        assert read_photo(tmp_path / "out" / f"{path.stem}.png").shape == (*before.mosaic.shape, 3)


def test_a_given_noise_level_is_used_and_matters(tmp_path: Path, weights: dict[str, Path]) -> None:
    path = write_dng(tmp_path / "a.dng", random_mosaic(32, 40), noise_profile=[0.01, 1e-4])
    mosaics = []
    for noise in ("auto", "shot=0.5,read=0.5"):
        out = tmp_path / noise
        result = denoise(path, "--output", out, "--weights", weights["raw"], "--noise", noise)
        assert result.returncode == 0, result.stderr
        mosaics.append(read_raw(out / "a.dng").mosaic)
    assert "noise from --noise, shot=0.5,read=0.5" in result.stdout + result.stderr
    assert np.abs(mosaics[0] - mosaics[1]).max() > 1e-3


def test_bad_files_are_listed_with_status_one_and_the_good_ones_made(tmp_path: Path, weights: dict[str, Path]) -> None:
    write_png(tmp_path / "in" / "good.png", random_picture(8, 8))
    bad = {
        "alpha.png": encode_png(np.zeros((8, 8, 4), np.uint8)),
        "truncated.png": encode_png(random_picture(24, 32))[:500],
    }
    for name, content in bad.items():
        (tmp_path / "in" / name).write_bytes(content)
    write_dng(tmp_path / "in" / "camera.dng", random_mosaic(32, 32))
    result = denoise(tmp_path / "in", "--output", tmp_path / "out", "--weights", weights["srgb"])
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "1 denoised, 0 kept from before, 3 skipped" in result.stdout
    lines = [line for line in result.stdout.splitlines() if line.startswith("skipped ")]
    for name in (*bad, "camera.dng"):
        (line,) = (line for line in lines if str(tmp_path / "in" / name) in line)
        assert line.count(str(tmp_path / "in" / name)) == 1
    assert "is a camera RAW file, the weights are for sRGB" in result.stdout


def test_weights_for_raw_refuse_a_photo(tmp_path: Path, weights: dict[str, Path]) -> None:
    photo = write_png(tmp_path / "a.png", random_picture(8, 8))
    result = denoise(photo, "--output", tmp_path / "out", "--weights", weights["raw"])
    assert result.returncode == 1
    assert f"skipped {photo}: is an sRGB photo, the weights are for RAW" in result.stdout


def test_an_output_inside_the_input_is_no_input(tmp_path: Path, weights: dict[str, Path]) -> None:
    write_png(tmp_path / "in" / "a.png", random_picture(8, 8))
    line = (tmp_path / "in", "--output", tmp_path / "in" / "denoised", "--weights", weights["srgb"])
    assert "1 denoised" in denoise(*line).stdout
    assert "0 denoised, 1 kept from before" in denoise(*line).stdout
    assert files_of(tmp_path / "in") == {"a.png", "denoised/a.png"}


def test_an_input_is_never_replaced(tmp_path: Path, weights: dict[str, Path]) -> None:
    path = write_dng(tmp_path / "a.dng", random_mosaic(32, 40), noise_profile=[0.01, 1e-4])
    before = path.read_bytes()
    result = denoise(path, "--output", tmp_path, "--weights", weights["raw"], "--overwrite")
    assert result.returncode == 1
    assert "would replace an input; give another --output" in result.stdout
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--tile", 0), "--tile 0: expected"),
        (("--tile", -8), "--tile -8: expected"),
        (("--noise", "dnd"), "--noise dnd: expected auto or the file's own level"),
        (("--noise", "loud"), "unknown noise 'loud'"),
        (("--noise", "shot=2,read=0"), "variances on the [0, 1] scale"),
        (("--weights", "nowhere.safetensors"), "nowhere.safetensors: neither a file nor shipped weights"),
        (("--output", "FILE"), "cannot be written"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_options_without_sense_are_one_line(
    tmp_path: Path, weights: dict[str, Path], options: tuple[object, object], words: str
) -> None:
    photo = write_png(tmp_path / "a.png", random_picture(8, 8))
    (tmp_path / "file").write_text("here already")
    given = [tmp_path / "file" if option == "FILE" else option for option in options]
    result = denoise(photo, "--output", tmp_path / "out", "--weights", weights["srgb"], *given)
    assert words in error_line(result)


def test_inputs_that_are_not_there_are_one_line(tmp_path: Path, weights: dict[str, Path]) -> None:
    (tmp_path / "empty").mkdir()
    for name, words in (("gone.png", "no such file or folder"), ("empty", "no photo in this folder")):
        result = denoise(tmp_path / name, "--output", tmp_path / "out", "--weights", weights["srgb"])
        assert f"{tmp_path / name}: {words}" in error_line(result)
    assert not (tmp_path / "out").exists()


def test_weights_of_another_network_are_one_line(tmp_path: Path, tiny_weights: Path) -> None:
    photo = write_png(tmp_path / "a.png", random_picture(8, 8))
    line = error_line(denoise(photo, "--output", tmp_path / "out", "--weights", tiny_weights))
    assert f"{tiny_weights}: holds a CycleISP" in line
