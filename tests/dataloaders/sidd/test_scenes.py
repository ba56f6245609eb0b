"""SIDD's scenes: what their names and the tables tell, and bad tables."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cycleisp.dataloaders.sidd.scenes import (
    VALIDATION_SCENES,
    Scene,
    SiddError,
    parse_scene,
    pattern_of,
    read_noise_levels,
    read_patterns,
    read_scenes,
    scene_of,
)
from tests.support.sidd import BETAS, noise_levels, write_noise_levels, write_patterns

FIVE = {"GP": "BGGR", "IP": "RGGB", "S6": "GRBG", "N6": "BGGR", "G4": "BGGR"}


# ---------------------------------------------------------------- scenes


def test_a_scene_by_hand() -> None:
    assert parse_scene("0009_001_S6_00800_00350_3200_L") == Scene(
        "0009_001_S6_00800_00350_3200_L", 9, "S6", 800, 350, 3200, "L"
    )
    assert parse_scene(" 0021_001_GP_10000_05000_5500_N\n").name == "0021_001_GP_10000_05000_5500_N"


def test_the_folder_of_a_file_names_its_scene(tmp_path: Path) -> None:
    folder = tmp_path / "0021_001_GP_10000_05000_5500_N"
    assert scene_of(folder / "0021_GT_RAW_010.MAT").camera == "GP"
    with pytest.raises(SiddError, match="is no scene of SIDD"):
        scene_of(folder / "deeper" / "0021_GT_RAW_010.MAT")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "0009_001_S6_00800_00350_3200",
        "0009_001_S6_00800_00350_3200_X",
        "0009_001_S6_800_350_3200_L",
        "0009-001-S6-00800-00350-3200-L",
        "0009_001_S6_00800_00350_3200_L.mat",
        "9_001_S6_00800_00350_3200_L",
    ],
)
def test_other_names_are_no_scenes(name: str) -> None:
    with pytest.raises(SiddError, match=re.escape(f"{name!r} is no scene of SIDD; expected a name like 0009_001_S6")):
        parse_scene(name)


def test_the_validation_scenes() -> None:
    scenes = read_scenes(None)
    assert len(scenes) == len({scene.name for scene in scenes}) == 40
    assert [scene.name for scene in scenes] == list(VALIDATION_SCENES)
    instances = [scene.instance for scene in scenes]
    assert instances == sorted(instances) and (instances[0], instances[-1]) == (9, 187)
    assert Counter(scene.camera for scene in scenes) == dict.fromkeys(FIVE, 8)
    assert (scenes[19].camera, scenes[19].iso, scenes[19].brightness) == ("IP", 1250, "L")


def test_scenes_of_other_blocks_come_from_a_text(tmp_path: Path) -> None:
    path = tmp_path / "scenes.txt"
    path.write_text("\r\n".join(reversed(VALIDATION_SCENES)) + "\n\n")
    assert [scene.name for scene in read_scenes(path)] == list(reversed(VALIDATION_SCENES))
    for content, words in (
        ("\n".join(VALIDATION_SCENES[:39]), "expected 40 scene names, one for each row of blocks, got 39"),
        ("", "expected 40 scene names, one for each row of blocks, got 0"),
        ("\n".join(["garden", *VALIDATION_SCENES[1:]]), "'garden' is no scene of SIDD"),
    ):
        path.write_text(content)
        with pytest.raises(SiddError, match=words):
            read_scenes(path)
    path.write_bytes(b"\xff\xfe\x00")
    for bad in (path, tmp_path / "nowhere.txt"):
        with pytest.raises(SiddError, match=r"(scenes|nowhere)\.txt: cannot be read"):
            read_scenes(bad)


# ---------------------------------------------------------------- patterns


def test_patterns_of_the_five_cameras(tmp_path: Path) -> None:
    assert read_patterns(tmp_path / "nowhere.csv") == FIVE
    assert read_patterns(write_patterns(tmp_path / "a.csv")) == FIVE
    assert {pattern_of(scene, FIVE) for scene in read_scenes(None) if scene.camera == "S6"} == {"GRBG"}


@pytest.mark.parametrize(
    "content",
    [
        b"camera_id,bayer_pattern\nGP,BGGR\nS6,grbg\n",
        b"\xef\xbb\xbfcamera_id,bayer_pattern\r\nGP,BGGR\r\nS6,GRBG\r\n",
        b"Camera_ID , Bayer_Pattern\n GP , bggr\n\n,\nS6,GRBG\n\n",
        b"number,bayer_pattern,camera_id,note\n1,BGGR,GP,x\n2,GRBG,S6,\n",
    ],
    ids=["plain", "mark", "blanks", "columns"],
)
def test_patterns_however_the_table_is_laid_out(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bayer_patterns.csv"
    path.write_bytes(content)
    assert read_patterns(path) == {"GP": "BGGR", "S6": "GRBG"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "lacks the columns camera_id, bayer_pattern; it has none"),
        (b"camera,pattern\nGP,BGGR\n", "lacks the columns camera_id, bayer_pattern; it has camera, pattern"),
        (b"camera_id,pattern\nGP,BGGR\n", "lacks the columns bayer_pattern; it has camera_id, pattern"),
        (b"camera_id,bayer_pattern\nGP,RGBG\n", "unknown Bayer pattern 'RGBG'; expected one of RGGB, BGGR, GRBG, GBRG"),
        (b"camera_id,bayer_pattern\nGP\n", "a row has fewer than 2 values"),
        (b"\xff\xfe\n", "cannot be read"),
    ],
)
def test_a_bad_table_of_patterns(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bayer_patterns.csv"
    path.write_bytes(content)
    with pytest.raises(SiddError, match=words) as refused:
        read_patterns(path)
    assert str(refused.value).startswith(f"{path}: ")


def test_the_pattern_of_an_unknown_camera_is_not_guessed() -> None:
    scene = parse_scene("0009_001_X9_00800_00350_3200_L")
    with pytest.raises(SiddError, match="camera X9 has no known Bayer pattern; add it"):
        pattern_of(scene, FIVE)


# ---------------------------------------------------------------- noise levels


def test_noise_levels_by_scene_and_plane(tmp_path: Path) -> None:
    levels = read_noise_levels(write_noise_levels(tmp_path / "a.csv"), read_scenes(None))
    assert levels.shape == (40, 2, 4) and levels.dtype == np.float32
    for number in (0, 17, 39):
        known = noise_levels(number)
        for part in (1, 2):
            expected = [known[f"beta{part}_{color}"] for color in "rggb"]
            np.testing.assert_allclose(levels[number, part - 1], expected, rtol=1e-6)


def test_scenes_are_found_by_name_in_any_order_and_column(tmp_path: Path) -> None:
    scenes = read_scenes(None)
    expected = read_noise_levels(write_noise_levels(tmp_path / "a.csv"), scenes)
    header, *rows = (tmp_path / "a.csv").read_text().splitlines()
    names = [row.split(",")[0] for row in rows]
    turned = [",".join([*row.split(",")[1:], f" {name} ", "note"]) for row, name in zip(rows, names, strict=True)]
    table = [",".join([*header.upper().split(",")[1:], "Scene", "Note"]), *reversed(turned), "", " , ,"]
    (tmp_path / "b.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(table).encode())
    np.testing.assert_array_equal(read_noise_levels(tmp_path / "b.csv", scenes), expected)
    np.testing.assert_array_equal(read_noise_levels(tmp_path / "a.csv", scenes[::-1]), expected[::-1])


@pytest.mark.parametrize("value", ["-1e-6", "nan", "inf", "", "a lot"])
def test_a_value_that_is_no_variance(tmp_path: Path, value: str) -> None:
    path = write_noise_levels(tmp_path / "a.csv")
    put(path, 3, "beta1_g", value)
    with pytest.raises(
        SiddError, match=rf"a\.csv: {VALIDATION_SCENES[2]}: expected (variances, shot noise 0 or more|six numbers)"
    ):
        read_noise_levels(path, read_scenes(None))


def test_a_fitted_line_may_cross_zero_below_black(tmp_path: Path) -> None:
    path = write_noise_levels(tmp_path / "a.csv")
    before = read_noise_levels(path, read_scenes(None))
    put(path, 3, "beta2_g", "-1e-6")
    levels = read_noise_levels(path, read_scenes(None))
    assert (levels[2, 1] == [before[2, 1, 0], 0, 0, before[2, 1, 3]]).all()


def put(path: Path, line: int, column: str, value: str) -> None:
    """Changes one value of a CSV."""
    lines = [text.split(",") for text in path.read_text().splitlines()]
    lines[line][lines[0].index(column)] = value
    path.write_text("\n".join(map(",".join, lines)))


def test_zero_is_a_variance(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"name,{','.join(BETAS)}\n{VALIDATION_SCENES[0]},0,0,0,0,0,0\n")
    assert not read_noise_levels(tmp_path / "a.csv", read_scenes(None)[:1]).any()


def test_missing_scenes_columns_and_names(tmp_path: Path) -> None:
    scenes, path = read_scenes(None), write_noise_levels(tmp_path / "a.csv", VALIDATION_SCENES[2:])
    with pytest.raises(SiddError, match=f"no noise level for 2 of 40 scenes, first {VALIDATION_SCENES[0]}"):
        read_noise_levels(path, scenes)
    header, row = path.read_text().splitlines()[:2]
    for lines, words in (
        (["scene,beta1_r,beta2_r", row], "lacks the columns beta1_g, beta1_b, beta2_g, beta2_b; it has scene, beta1_r"),
        ([header, "garden" + row[row.index(",") :]], "a row names no scene: garden, "),
        ([header, row[: row.rindex(",")]], "a row has fewer than 7 values"),
    ):
        path.write_text("\n".join(lines))
        with pytest.raises(SiddError, match=words):
            read_noise_levels(path, scenes)
    with pytest.raises(SiddError, match=r"nowhere\.csv: cannot be read"):
        read_noise_levels(tmp_path / "nowhere.csv", scenes)
