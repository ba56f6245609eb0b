"""denoise.py and match_colors.py: results know their sources, settings and formats."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import denoise
import match_colors
from cycleisp.dataloaders.photos import read_photo
from cycleisp.utils.output.claim import claimed
from tests.support.paths import files_of, shared
from tests.support.pictures import (
    PROFILE,
    camera_exif,
    random_mosaic,
    random_picture,
    write_dng,
    write_png,
    write_raw_behind_thumbnail,
)
from tests.support.scripts import Outcome, call_script, error_line


def run(weights: Path, output: Path, *options: object) -> Outcome:
    return call_script(denoise.main, "--weights", weights, "--device", "cpu", "--output", output, *options)


def match(weights: Path, source: Path, target: Path, output: Path, *options: object) -> Outcome:
    line = ("--weights", weights, "--working-size", 64, "--device", "cpu", *options)
    return call_script(match_colors.main, *line, "--source", source, "--target", target, "--output", output)


# ---------------------------------------------------------------- denoise.py


def test_a_jpeg_added_beside_one_of_its_stem_is_denoised(tmp_path: Path, weights: dict[str, Path]) -> None:
    (tmp_path / "in").mkdir()
    for number, name in enumerate(("a.jpg", "a.jpeg")):
        Image.fromarray(random_picture(24, 32, seed=number)).save(tmp_path / "in" / name, quality=100)
        outcome = run(weights["srgb-identity"], tmp_path / "out", tmp_path / "in")
        assert f"1 denoised, {number} kept from before, 0 skipped" in outcome.stdout, outcome.stderr
    for name, result in (("a.jpg", "a.png"), ("a.jpeg", "a.jpeg.png")):
        np.testing.assert_array_equal(read_photo(tmp_path / "out" / result), read_photo(tmp_path / "in" / name))


@pytest.mark.parametrize("name", ["EOS1D.TIF", "IMG_1", "photo.jpg"])
def test_camera_files_are_told_by_their_content(tmp_path: Path, weights: dict[str, Path], name: str) -> None:
    path = write_raw_behind_thumbnail(tmp_path / "in" / name, random_mosaic(64, 96))
    outcome = run(weights["raw-identity"], tmp_path / "out", path)
    assert outcome.returncode == 0, outcome.stdout
    stem = Path(name).stem
    assert files_of(tmp_path / "out") == {f"{stem}.dng", f"{stem}.png"}
    assert read_photo(tmp_path / "out" / f"{stem}.png").shape == (64, 96, 3)


@pytest.mark.parametrize("case", ["raw-in-tif/EOS1D.TIF", "raw-no-suffix/IMG_RAW_NO_SUFFIX"])
def test_given_camera_files_of_odd_names_are_developed(tmp_path: Path, weights: dict[str, Path], case: str) -> None:
    outcome = run(weights["raw-identity"], tmp_path / "out", shared("cases") / case)
    assert outcome.returncode == 0, outcome.stdout
    assert min(read_photo(next((tmp_path / "out").glob("*.png"))).shape[:2]) >= 192


def test_other_settings_are_one_line_and_touch_nothing(tmp_path: Path, weights: dict[str, Path]) -> None:
    photo = write_png(tmp_path / "a.png", random_picture(24, 32))
    assert run(weights["srgb-identity"], tmp_path / "out", photo).returncode == 0
    before = (tmp_path / "out" / "a.png").read_bytes()
    for line in ((weights["srgb"], ()), (weights["srgb-identity"], ("--tile", 64))):
        outcome = run(line[0], tmp_path / "out", photo, *line[1])
        assert f"{tmp_path / 'out' / 'a.png'}: made with " in error_line(outcome)
    assert (tmp_path / "out" / "a.png").read_bytes() == before
    assert "1 denoised" in run(weights["srgb"], tmp_path / "out", photo, "--overwrite").stdout


def test_a_second_run_says_who_holds_the_folder(tmp_path: Path, weights: dict[str, Path]) -> None:
    photo = write_png(tmp_path / "a.png", random_picture(24, 32))
    with claimed(tmp_path / "out"):
        line = error_line(run(weights["srgb-identity"], tmp_path / "out", photo))
    assert f"another run writes there, process {os.getpid()} of" in line


@pytest.mark.parametrize(("name", "suffix", "bits"), [("png", ".png", 16), ("tiff", ".tif", 16), ("jpeg", ".jpg", 8)])
def test_pictures_come_in_the_format_asked_for(
    tmp_path: Path, weights: dict[str, Path], name: str, suffix: str, bits: int
) -> None:
    photo = write_png(tmp_path / "a.png", random_picture(24, 32, np.uint16))
    Image.fromarray(random_picture(24, 32)).save(tmp_path / "b.jpg", exif=camera_exif(1), icc_profile=PROFILE)
    outcome = run(weights["srgb-identity"], tmp_path / "out", photo, tmp_path / "b.jpg", "--format", name)
    assert outcome.returncode == 0, outcome.stdout
    assert files_of(tmp_path / "out") == {f"a{suffix}", f"b{suffix}"}
    stored = read_photo(tmp_path / "out" / f"a{suffix}")
    assert stored.dtype.itemsize * 8 == bits
    exact = read_photo(photo).astype(float) / 65535
    np.testing.assert_allclose(stored / np.iinfo(stored.dtype).max, exact, atol=0 if bits == 16 else 0.15)
    with Image.open(tmp_path / "out" / f"b{suffix}") as image:
        assert image.format == {"png": "PNG", "tiff": "TIFF", "jpeg": "JPEG"}[name]
        assert image.info["icc_profile"] == PROFILE and image.getexif()[271] == "Maker"


def test_camera_files_take_the_format_for_their_rendering(tmp_path: Path, weights: dict[str, Path]) -> None:
    path = write_dng(tmp_path / "a.dng", random_mosaic(32, 48), noise_profile=[0.01, 1e-4])
    (tmp_path / "a.xmp").write_text("a sidecar")
    assert run(weights["raw-identity"], tmp_path / "out", path, "--format", "jpeg", "--quality", 80).returncode == 0
    assert files_of(tmp_path / "out") == {"a.dng", "a.jpg", "a.xmp"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--quality", 80), "--quality 80: is for --format jpeg; png is lossless"),
        (("--format", "jpeg", "--quality", 101), "--quality 101: expected 1 to 100"),
    ],
)
def test_a_quality_without_sense_is_one_line(
    tmp_path: Path, weights: dict[str, Path], options: tuple[object, ...], words: str
) -> None:
    photo = write_png(tmp_path / "a.png", random_picture(8, 8))
    assert words in error_line(run(weights["srgb-identity"], tmp_path / "out", photo, *options))


# ---------------------------------------------------------------- match_colors.py


def test_a_single_result_is_made_again_for_another_content_and_refused_for_another_source(
    tmp_path: Path, tiny_weights: Path
) -> None:
    first, second, target = (write_png(tmp_path / f"{n}.png", random_picture(40, 48, seed=n)) for n in range(3))
    output = tmp_path / "out" / "x.png"
    assert "1 matched, 0 kept" in match(tiny_weights, first, target, output).stdout
    assert "0 matched, 1 kept" in match(tiny_weights, first, target, output).stdout
    before = output.read_bytes()
    line = error_line(match(tiny_weights, second, target, output))
    assert f"{output}: exists, and is no result of {second}; give --overwrite or another --output" in line
    assert "made with target_sha256=" in error_line(match(tiny_weights, first, second, output))
    assert output.read_bytes() == before
    assert "1 matched" in match(tiny_weights, first, target, tmp_path / "out" / "y.png").stdout
    assert "0 matched, 1 kept" in match(tiny_weights, first, target, output).stdout
    write_png(first, random_picture(40, 48, seed=9))
    assert "1 matched, 0 kept" in match(tiny_weights, first, target, output).stdout
    assert output.read_bytes() != before


def test_a_target_that_changes_changes_its_result_alone(tmp_path: Path, tiny_weights: Path) -> None:
    for name in "abcd":
        for folder in "st":
            write_png(tmp_path / folder / f"{name}.png", random_picture(40, 48, seed=ord(name) + ord(folder)))
    folders = tmp_path / "s", tmp_path / "t"
    for smooth, again in ((0, 1), (0.4, 2)):
        output = tmp_path / f"out {smooth}"
        assert "4 matched" in match(tiny_weights, *folders, output, "--smooth", smooth).stdout
        write_png(tmp_path / "t" / "a.png", random_picture(40, 48, seed=int(100 * smooth)))
        words = f"{again} matched, {4 - again} kept"  # a neighbour in the film depends on it, too
        assert words in match(tiny_weights, *folders, output, "--smooth", smooth).stdout


def test_matched_pictures_come_in_the_format_asked_for(tmp_path: Path, tiny_weights: Path) -> None:
    photo = write_png(tmp_path / "a.png", random_picture(40, 48))
    outcome = match(tiny_weights, photo, photo, tmp_path / "x.png", "--format", "tiff")
    assert "expected a file that ends in .tif or .tiff" in error_line(outcome)
    assert match(tiny_weights, photo, photo, tmp_path / "x.tif", "--format", "tiff").returncode == 0
    assert read_photo(tmp_path / "x.tif").shape == (40, 48, 3)
