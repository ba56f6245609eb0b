"""denoise.py on camera files as cameras and converters really write them."""

import re
from pathlib import Path

import numpy as np
import pytest
import rawpy

from cycleisp.dataloaders.photos import read_photo
from cycleisp.utils.raw.camera_files import read_raw
from denoise import main
from tests.support.dng_layouts import (
    AS_SHOT_NEUTRAL,
    BLACK,
    BLACK_LEVEL,
    COLOR_MATRIX,
    NOISE_PROFILE,
    ORIENTATION,
    WHITE,
    WHITE_LEVEL,
    Value,
    write_tagged_dng,
)
from tests.support.paths import shared
from tests.support.pictures import random_mosaic
from tests.support.scripts import Outcome, call_script

PROFILE: dict[int, Value | None] = {NOISE_PROFILE: ("d", 2, (0.01, 4e-4))}


def denoise(folder: Path, output: Path, weights: Path) -> Outcome:
    return call_script(main, "--device", "cpu", folder, "--output", output, "--weights", weights)


def level_of(said: str, name: str) -> tuple[float, float]:
    """Returns the noise level that the log names for a file without a profile."""
    match = re.search(rf"{name}: noise from an estimate, shot=([\d.e-]+),read=([\d.e-]+)", said)
    assert match, said
    return float(match[1]), float(match[2])


def test_all_eight_orientations_stand_as_libraw_shows_them(tmp_path: Path, weights: dict[str, Path]) -> None:
    for turn in range(1, 9):
        tags = {**PROFILE, ORIENTATION: ("H", 1, turn)}
        write_tagged_dng(tmp_path / "in" / f"{turn}.dng", random_mosaic(32, 48), tags, preview=turn % 2 == 0)
    result = denoise(tmp_path / "in", tmp_path / "out", weights["raw-identity"])
    assert result.returncode == 0, result.stderr
    for turn in range(1, 9):
        with rawpy.imread(str(tmp_path / "in" / f"{turn}.dng")) as raw:
            options = {"use_camera_wb": True, "no_auto_bright": True, "adjust_maximum_thr": 0.0}
            shown = raw.postprocess(user_sat=WHITE - BLACK, **options)
        picture = read_photo(tmp_path / "out" / f"{turn}.png")
        assert picture.shape == shown.shape
        assert np.abs(picture.astype(int) - shown).mean() < 1  # 16-bit values are scaled in other steps
        assert read_raw(tmp_path / "out" / f"{turn}.dng").orientation == turn


def test_a_dark_file_without_a_profile_gets_a_level_from_its_unclipped_values(
    tmp_path: Path, weights: dict[str, Path]
) -> None:
    """The mean signal is half of the read noise's deviation.

    The variance there has a standard error of 0.9 % (tests/utils/raw/test_noise_estimate.py), and
    the bound is five of them.
    """
    rng, shot, read, black = np.random.default_rng(0), 0.01, 4e-4, 2048
    signal = np.tile(np.linspace(0, 0.02, 512), (512, 1))
    noisy = signal + np.sqrt(shot * signal + read) * rng.standard_normal(signal.shape)
    mosaic = (black + noisy * (16383 - black)).round().clip(0, 16383).astype(np.uint16)
    levels: dict[int, Value | None] = {BLACK_LEVEL: ("H", 1, black), WHITE_LEVEL: ("H", 1, 16383)}
    write_tagged_dng(tmp_path / "in" / "night.dng", mosaic, levels)
    result = denoise(tmp_path / "in", tmp_path / "out", weights["raw-identity"])
    assert result.returncode == 0, result.stdout
    told = level_of(result.stdout + result.stderr, "night.dng")
    assert told[0] * 0.01 + told[1] == pytest.approx(shot * 0.01 + read, rel=5 * 0.009)


def test_a_bad_profile_is_said_and_replaced_and_the_picture_is_not_black(
    tmp_path: Path, weights: dict[str, Path]
) -> None:
    for name, profile in (("negative", (-0.01, -0.1)), ("nan", (np.nan, np.nan))):
        tags: dict[int, Value | None] = {NOISE_PROFILE: ("d", 2, profile)}
        write_tagged_dng(tmp_path / "in" / f"{name}.dng", random_mosaic(200, 240), tags, preview=True)
    result = denoise(tmp_path / "in", tmp_path / "out", weights["raw"])
    assert result.returncode == 0, result.stdout
    for name in ("negative", "nan"):
        assert f"{name}.dng: its NoiseProfile (" in result.stderr
        level_of(result.stdout + result.stderr, f"{name}.dng")
        assert read_photo(tmp_path / "out" / f"{name}.png").mean() > 10


def test_colours_that_are_impossible_do_not_spoil_the_result(tmp_path: Path, weights: dict[str, Path]) -> None:
    """The sensor's colours are grey here, and stay so where there is no usable matrix."""
    bad: dict[str, tuple[int, Value]] = {
        "singular": (COLOR_MATRIX, ("2i", 9, (1, 1) * 9)),
        "near": (COLOR_MATRIX, ("2i", 9, (1, 1) * 4 + (10001, 10000) + (1, 1) * 3 + (1000001, 1000000))),
        "undefined": (COLOR_MATRIX, ("2i", 9, (0, 0) * 9)),
        "huge": (COLOR_MATRIX, ("2i", 9, (2_000_000_000, 1) * 9)),
        "balance": (AS_SHOT_NEUTRAL, ("2I", 3, (0, 10, 10, 10, 6, 10))),
        "undefined_balance": (AS_SHOT_NEUTRAL, ("2I", 3, (0, 0) * 3)),
    }
    grey = np.full((64, 80), 400, np.uint16)
    for name, (code, value) in bad.items():
        tags = {AS_SHOT_NEUTRAL: ("2I", 3, (1, 1) * 3), **PROFILE, code: value}
        write_tagged_dng(tmp_path / "in" / f"{name}.dng", grey, tags, preview=name == "near")
    result = denoise(tmp_path / "in", tmp_path / "out", weights["raw-identity"])
    assert result.returncode == 0, result.stdout
    for name, (code, _) in bad.items():
        picture = read_photo(tmp_path / "out" / f"{name}.png").astype(int)
        assert picture.min() > 80, name
        assert code != COLOR_MATRIX or (picture.max() < 220 and np.ptp(picture, axis=-1).max() <= 1), name
        before, after = (read_raw(tmp_path / place / f"{name}.dng") for place in ("in", "out"))
        assert after.cam2rgb is not None and after.white_balance.max() < 5
        np.testing.assert_allclose(after.white_balance, before.white_balance, rtol=1e-3)
    assert "singular.dng: its colour matrix cannot be inverted" in result.stderr
    assert "balance.dng: its white balance (0, 1, 0) is impossible" in result.stderr
    assert "out" + "/singular.dng" not in result.stderr  # nothing is wrong with the result


# ---------------------------------------------------------------- files of other writers


@pytest.mark.parametrize("name", ["adobe_layout.dng", "ifd0_layout.dng"])
def test_the_profile_of_either_layout_is_used(tmp_path: Path, weights: dict[str, Path], name: str) -> None:
    result = denoise(shared(f"cases/noiseprofile-subifd/{name}"), tmp_path / "out", weights["raw-identity"])
    assert f"{name}: noise from the file's NoiseProfile, shot=0.01,read=0.0004" in result.stdout + result.stderr


def test_sixteen_black_levels_leave_no_pattern_in_the_dark(tmp_path: Path, weights: dict[str, Path]) -> None:
    path = shared("cases/black-4x4/black16_4x4.dng")
    mosaic = read_raw(path, clip=False).mosaic
    for row, column in np.ndindex(2, 2):
        plane = mosaic[row::2, column::2]  # whose lines differ by 64 units of 15871 in black, 0.004
        assert abs(np.median(plane[::2] - plane[1::2])) < 1e-3
    assert denoise(path, tmp_path / "out", weights["raw-identity"]).returncode == 0


def test_a_monochrome_file_is_called_so(tmp_path: Path, weights: dict[str, Path]) -> None:
    result = denoise(shared("cases/raw-mono/mono_linear.dng"), tmp_path / "out", weights["raw-identity"])
    assert result.returncode == 1
    assert "this file is monochrome" in result.stdout and "X-Trans" not in result.stdout
