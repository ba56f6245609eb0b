"""Frames are read in the digital numbers of their files, with all that the files say."""

from pathlib import Path

import numpy as np
import pytest

from cycleisp.dataloaders.calibration.collection import collect_frames
from cycleisp.dataloaders.calibration.finding import CalibrationError, find_frames
from cycleisp.dataloaders.calibration.reading import read_levels, read_look
from cycleisp.dataloaders.calibration.sidd_frames import read_sidd_levels, step_count
from cycleisp.dataloaders.calibration.unpacked import unpacked
from cycleisp.dataloaders.sidd.scenes import SiddError
from cycleisp.utils.processes.apart import SWITCH
from cycleisp.utils.raw.calibration.frames import SITES, Frame, tile_of
from cycleisp.utils.raw.camera_metadata import RawFileError
from tests.support.calibration_frames import CAMERA, scene, write_frame
from tests.support.dnd import write_array
from tests.support.pictures import write_dng, write_png

SCENE = "0009_001_S6_00800_00350_3200_L"


@pytest.fixture(autouse=True)
def _read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "0")


def levels(height: int = 66, width: int = 80, seed: int = 0) -> np.ndarray:
    """Returns values on both sides of black and white, of 64 and 1023."""
    return np.random.default_rng(seed).integers(0, 1100, (height, width)).astype(np.uint16)


@pytest.mark.parametrize("pattern", ["RGGB", "BGGR", "GRBG", "GBRG"])
def test_values_and_levels_are_those_of_the_file(tmp_path: Path, pattern: str) -> None:
    mosaic, black = levels(), (64, 65, 66, 67)
    path = write_dng(tmp_path / "a.dng", mosaic, pattern, black=black)
    path = write_frame(path, mosaic, 3200, 1 / 50) if pattern == "RGGB" else path
    if pattern != "RGGB":
        with pytest.raises(RawFileError, match="does not say its ISO setting"):
            read_levels(path)
        return
    header, found = read_levels(path)
    np.testing.assert_array_equal(found, mosaic)
    assert (header.iso, header.exposure, header.camera) == (3200, 0.02, "Fabricated Camera")
    assert header.black == (CAMERA.black,) * 4 and header.white == CAMERA.white and header.lossy == ""


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("RGGB", (("R", "G_r"), ("G_b", "B"))),
        ("BGGR", (("B", "G_b"), ("G_r", "R"))),
        ("GRBG", (("G_r", "R"), ("B", "G_b"))),
        ("GBRG", (("G_b", "B"), ("R", "G_r"))),
    ],
)
def test_the_green_beside_red_is_g_r(pattern: str, expected: tuple) -> None:
    tile = tile_of(pattern)
    assert tile == expected
    mosaic = np.arange(16).reshape(4, 4)
    frame = Frame(Path("a"), mosaic, tile, (0, 0, 0, 0), 1, 100, 0.1, "flat", "")
    for name in SITES:
        row, column = frame.place(name)
        assert tile[row][column] == name
        np.testing.assert_array_equal(frame.site(name), mosaic[row::2, column::2])


def test_odd_borders_are_cut_to_whole_tiles(tmp_path: Path) -> None:
    mosaic = levels(67, 81)
    header, found = read_levels(write_frame(tmp_path / "a.dng", mosaic, 100, 0.1))
    assert header.shape == found.shape == (66, 80)
    np.testing.assert_array_equal(found, mosaic[:66, :80])


@pytest.mark.parametrize("code", [34892, 32767])
def test_lossy_compression_is_told_by_its_tag(tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from cycleisp.dataloaders.calibration import reading

    path = write_frame(tmp_path / "a.dng", levels(), 100, 0.1)
    monkeypatch.setattr(reading, "_number", lambda tags, tag: code if tag == 259 else 0)
    assert "lossy" in read_look(path).header.lossy


def test_what_is_no_frame_is_refused_in_words(tmp_path: Path) -> None:
    small = write_frame(tmp_path / "small.dng", levels(32, 80), 100, 0.1)
    with pytest.raises(RawFileError, match=r"small\.dng: has 80x32 photosites, expected at least 64 a side"):
        read_levels(small)
    xtrans = write_dng(tmp_path / "x.dng", levels(72, 72), "GGRGGBGGBGGRBRGRBGGGBGGRGGRGGBRBGBRG")
    with pytest.raises(RawFileError, match="expected a Bayer sensor"):
        read_levels(xtrans)


def test_folders_are_searched_and_other_files_passed_over(tmp_path: Path) -> None:
    one = write_frame(tmp_path / "in" / "deep" / "a.DNG", levels(), 100, 0.1)
    hidden = tmp_path / "in" / "._a.dng"
    hidden.write_bytes(b"macOS")
    write_png(tmp_path / "in" / "photo.png", np.zeros((8, 8, 3), np.uint8))
    assert find_frames([tmp_path / "in", one]) == [one]
    with pytest.raises(CalibrationError, match="no such file or folder"):
        find_frames([tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(CalibrationError, match="no camera RAW file in this folder"):
        find_frames([tmp_path / "empty"])


def test_bad_files_are_named_and_the_others_used(tmp_path: Path) -> None:
    for seed in range(2):
        write_frame(tmp_path / f"{seed}.dng", CAMERA.frame(scene(), seed), 800, 0.1)
    (tmp_path / "text.dng").write_bytes(b"this is no picture")
    cut = tmp_path / "cut.dng"
    cut.write_bytes((tmp_path / "0.dng").read_bytes()[:-1000])
    write_frame(tmp_path / "silent.dng", CAMERA.frame(scene(), 9), None, 0.1)
    sorting = collect_frames(find_frames([tmp_path]))
    assert {path.name for path, _ in sorting.unusable} == {"text.dng", "cut.dng", "silent.dng"}
    assert sorting.count(800.0, "burst") == 2
    (tmp_path / "1.dng").unlink()
    with unpacked(sorting.settings[800.0], sorting.unusable) as frames:
        assert [frame.path.name for frame in frames] == ["0.dng"]
        np.testing.assert_array_equal(frames[0].mosaic, CAMERA.frame(scene(), 0))
    assert sorting.unusable[-1][0].name == "1.dng" and "no such file" in sorting.unusable[-1][1].lower()


def test_a_scene_of_sidd_comes_back_in_whole_numbers(tmp_path: Path) -> None:
    black, white = 64, 1023
    for number in ("010", "011"):
        counted = np.clip(CAMERA.frame(scene(light=700.0), int(number)) - 448, black, white)
        write_array(
            tmp_path / SCENE / f"0009_NOISY_RAW_{number}.MAT",
            "x",
            ((counted - black) / (white - black)).astype(np.float32),
        )
        write_array(tmp_path / SCENE / f"0009_GT_RAW_{number}.MAT", "x", np.zeros((8, 8), np.float32))
    header, found = read_sidd_levels(tmp_path / SCENE / "0009_NOISY_RAW_011.MAT")
    np.testing.assert_array_equal(found, counted - black)
    assert (header.iso, header.exposure, header.camera) == (800, pytest.approx(1 / 350, rel=1e-3), "S6")
    assert header.white == white - black and header.black == (0, 0, 0, 0) and header.sites == tile_of("GRBG")
    sorting = collect_frames(find_frames([tmp_path]))
    assert sorting.count(800.0, "burst") == 2 and not sorting.unusable


def test_values_below_black_raise_the_black_level(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(-7, 500, (64, 64)).astype(np.float32) / np.float32(959)
    header, found = read_sidd_levels(write_array(tmp_path / SCENE / "0009_NOISY_RAW_010.MAT", "x", values))
    assert header.black == (7, 7, 7, 7) and header.white == 966 and found.min() == 0


@pytest.mark.parametrize("steps", [255, 959, 1023, 3567, 16383])
def test_the_step_between_values_is_found(steps: int) -> None:
    values = np.random.default_rng(0).integers(0, min(steps, 800), 4000) / np.float32(steps)
    assert step_count(values.astype(np.float32), Path("a")) == steps


def test_values_without_a_step_are_refused() -> None:
    values = np.random.default_rng(0).random(4000).astype(np.float32)
    with pytest.raises(SiddError, match="not multiples of one step"):
        step_count(values, Path("a"))
