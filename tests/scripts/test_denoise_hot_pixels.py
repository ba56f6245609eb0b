"""denoise.py --hot-pixels: found, listed, left; and what files of other kinds are told."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cycleisp.utils.raw.camera_files import read_raw
from denoise import main
from tests.support.paths import shared
from tests.support.pictures import write_dng
from tests.support.scripts import Outcome, call_script, error_line

HOT = ((20, 31), (41, 50))


def scene() -> NDArray[np.uint16]:
    """Returns a noisy grey mosaic with two hot photosites, one of them saturated."""
    rng = np.random.default_rng(0)
    signal = np.full((96, 128), 0.2)
    levels = np.rint(64 + (signal + np.sqrt(1e-3 * signal + 1e-5) * rng.standard_normal(signal.shape)) * 959)
    levels[HOT[0]], levels[HOT[1]] = 1023, 700
    return levels.astype(np.uint16)


def denoise(path: Path, output: Path, weights: dict[str, Path], *options: object) -> Outcome:
    line = (path, "--output", output, "--weights", weights["raw-identity"], "--device", "cpu")
    return call_script(main, *line, *options)


def values(path: Path) -> list[float]:
    mosaic = read_raw(path, clip=False).mosaic
    return [float(mosaic[place]) for place in HOT]


def test_found_ones_are_repaired_by_default_and_off_leaves_them(tmp_path: Path, weights: dict[str, Path]) -> None:
    """The identity stands for the denoiser, so that all else keeps its values."""
    path = write_dng(tmp_path / "a.dng", scene(), noise_profile=[1e-3, 1e-5])
    result = denoise(path, tmp_path / "auto", weights)
    assert result.returncode == 0, result.stderr
    assert "a.dng: 2 hot or dead photosites repaired" in result.stderr
    assert values(tmp_path / "auto" / "a.dng") == pytest.approx([0.2, 0.2], abs=0.06)
    before, after = (read_raw(one, clip=False).mosaic for one in (path, tmp_path / "auto" / "a.dng"))
    assert (np.abs(before - after) > 1e-4).sum() == 2
    assert denoise(path, tmp_path / "off", weights, "--hot-pixels", "off").returncode == 0
    np.testing.assert_allclose(values(tmp_path / "off" / "a.dng"), values(path), atol=1e-3)


def test_listed_ones_are_repaired(tmp_path: Path, weights: dict[str, Path]) -> None:
    path = write_dng(tmp_path / "a.dng", scene(), noise_profile=[1e-3, 1e-5])
    camera = tmp_path / "mine.yaml"
    camera.write_text(
        "iso: {100: {shot_noise: 1.e-3, read_noise: 1.e-5}}\n"
        "calibration: {100: {mosaic: [96, 128], hot_pixels: [[41, 50]]}}\n"
    )
    result = denoise(path, tmp_path / "out", weights, "--hot-pixels", camera)
    assert result.returncode == 0, result.stderr
    first, second = values(tmp_path / "out" / "a.dng")
    assert first > 0.99 and second == pytest.approx(0.2, abs=0.06)
    assert "a.dng: made with hot_pixels" in error_line(denoise(path, tmp_path / "out", weights))


def test_no_strength_leaves_hot_pixels(tmp_path: Path, weights: dict[str, Path]) -> None:
    path = write_dng(tmp_path / "a.dng", scene(), noise_profile=[1e-3, 1e-5])
    assert denoise(path, tmp_path / "out", weights, "--strength", 0).returncode == 0
    assert values(tmp_path / "out" / "a.dng") == values(path)


def test_a_bad_option_is_one_line(tmp_path: Path, weights: dict[str, Path]) -> None:
    path = write_dng(tmp_path / "a.dng", scene())
    assert "--hot-pixels on: expected auto, off" in error_line(
        denoise(path, tmp_path / "out", weights, "--hot-pixels", "on")
    )


def test_x_trans_is_refused_with_the_reason(tmp_path: Path, weights: dict[str, Path]) -> None:
    """The tile is that of an X-Trans sensor."""
    write_dng(tmp_path / "a.dng", scene(), "GBGGRGRGRBGBGBGGRGGRGGBGBGBRGRGRGGBG")
    result = denoise(tmp_path / "a.dng", tmp_path / "out", weights)
    assert result.returncode == 1
    assert "X-Trans (6x6): its colours do not fit into the four planes" in result.stdout + result.stderr


def test_the_given_dark_file_is_denoised(tmp_path: Path, weights: dict[str, Path]) -> None:
    result = denoise(shared("cases/dark-raw-no-profile/dark_high_iso.dng"), tmp_path / "out", weights)
    assert result.returncode == 0 and "noise from an estimate" in result.stderr
