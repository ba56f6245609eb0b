"""Pairs of one's own: every layout is found, scenes stay together, shares are kept."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from cycleisp.dataloaders.pairs.folders import find_pairs
from cycleisp.dataloaders.training.denoising_data import open_denoising_data, split_pairs
from cycleisp.dataloaders.training.pair_sources import find_training_pairs, shorter_side
from cycleisp.dataloaders.training.stored_pairs import StoredPairs
from cycleisp.utils.config import DenoiserRecipe
from cycleisp.utils.errors import UserError
from tests.support.pairs import numbered, store_raw, store_srgb, write_pair
from tests.support.pictures import write_png

SCENE = "0001_001_S6_00100_00060_3200_L"


def blue_of(pairs: StoredPairs, count: int) -> list[int]:
    """Returns the blue of the clean pictures that patches come from, which tells the picture."""
    return [round(float(pairs[number]["clean"][2, 0, 0]) * 255) for number in range(count)]


def recipe(**data: object) -> DenoiserRecipe:
    data = {"patch_size": 16, "validation_size": 16, "validation_patches": 40, **data}
    return DenoiserRecipe.model_validate({"data": data, "train": {"steps": 50, "batch_size": 4}})


@pytest.mark.parametrize(
    ("noisy", "clean", "name"),
    [
        ("noisy/a.png", "clean/a.png", "a"),
        ("Noisy/deep/a.PNG", "Clean/deep/a.PNG", "deep/a"),
        ("srgb/noisy/a.png", "srgb/clean/a.png", "a"),
        (f"Data/{SCENE}/0001_NOISY_SRGB_010.PNG", f"Data/{SCENE}/0001_GT_SRGB_010.PNG", f"Data/{SCENE}/0001_010"),
        (f"{SCENE}/NOISY_SRGB_011.png", f"{SCENE}/gt_srgb_011.png", f"{SCENE}/011"),
    ],
)
def test_pairs_of_every_layout_are_found(tmp_path: Path, noisy: str, clean: str, name: str) -> None:
    write_png(tmp_path / "set" / noisy, numbered(20, 24, 1))
    write_png(tmp_path / "set" / clean, numbered(20, 24, 2))
    write_png(tmp_path / "set" / Path(noisy).with_name(f"._{Path(noisy).name}"), numbered(2, 2, 0))  # of macOS
    (pair,) = find_pairs(tmp_path / "set")
    assert (pair.name, pair.noisy, pair.clean) == (name, tmp_path / "set" / noisy, tmp_path / "set" / clean)
    (found,) = find_training_pairs(tmp_path / "set", "srgb")
    assert found.side == 20
    assert set(blue_of(StoredPairs(tmp_path / "set", "srgb", 16, seed=0, length=4), 4)) == {2}


def test_a_scene_itself_is_a_folder_of_pairs(tmp_path: Path) -> None:
    for kind in ("NOISY", "GT"):
        write_png(tmp_path / SCENE / f"{kind}_SRGB_010.PNG", numbered(20, 24, 1))
    assert [pair.name for pair in find_pairs(tmp_path / SCENE)] == [f"{SCENE}/010"]


def test_what_is_no_pair_is_refused_in_words(tmp_path: Path) -> None:
    write_png(tmp_path / SCENE / "0001_GT_SRGB_010.PNG", numbered(20, 24, 1))
    with pytest.raises(UserError, match=r"0001_GT_SRGB_010\.PNG: has no partner beside it"):
        find_pairs(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        find_pairs(tmp_path / "nowhere")
    (tmp_path / "zipped").mkdir()
    (tmp_path / "zipped" / "0001_Srgb.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"unpack its 1 archives first, such as 0001_Srgb\.zip"):
        find_pairs(tmp_path / "zipped")
    with pytest.raises(UserError, match="RAW pairs to train on are made with generate_data"):
        find_training_pairs(tmp_path, "raw")


def test_a_picture_that_is_none_is_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a", "b"):
        write_pair(tmp_path, name, numbered(20, 24, 1), numbered(20, 24, 2))
    (tmp_path / "noisy" / "a.png").write_bytes(b"no picture")
    assert [pair.name for pair in find_training_pairs(tmp_path, "srgb")] == ["b"]
    assert "a.png" in caplog.text
    (tmp_path / "noisy" / "b.png").write_bytes(b"%!PS-Adobe EPSF")
    with pytest.raises(UserError, match="none of its 2 pairs can be read"):
        find_training_pairs(tmp_path, "srgb")


def test_a_damaged_manifest_is_one_error(tmp_path: Path) -> None:
    store_srgb(tmp_path, "a", numbered(20, 24, 1), numbered(20, 24, 2))
    (manifest,) = tmp_path.glob("manifest*.jsonl")
    for damage in ('{"name": "a", "files": 3}', '{"name": "a"}', '{"name": "a", "files": {"srgb_noisy": 1}}'):
        manifest.write_text(damage + "\n")
        with pytest.raises(UserError):
            find_training_pairs(tmp_path, "srgb")


# ---------------------------------------------------------------- scenes


def test_noisy_frames_of_one_clean_picture_are_one_scene(tmp_path: Path) -> None:
    for scene in range(3):
        for frame in range(4):
            write_pair(tmp_path, f"{scene}-{frame}", numbered(20, 24, frame), numbered(20, 24, 100 + scene))
    pairs = find_training_pairs(tmp_path, "srgb")
    assert [len({pair.scene for pair in pairs if pair.name[0] == scene}) for scene in "012"] == [1, 1, 1]
    ((train,), (held,)) = split_pairs([pairs], 0.1)
    assert (len(train), len(held)) == (8, 4)
    assert len({pair.name[0] for pair in held}) == 1


def test_repeats_of_a_photo_go_together(tmp_path: Path) -> None:
    for photo in range(4):
        for repeat in ("", ".r2", ".r3"):
            store_srgb(tmp_path, f"photo{photo}{repeat}", numbered(20, 24, photo), numbered(20, 24, photo))
    ((train,), (held,)) = split_pairs([find_training_pairs(tmp_path, "srgb")], 0.25)
    assert [pair.name.partition(".")[0] for pair in held] == [held[0].name.partition(".")[0]] * 3
    assert held[0].name.partition(".")[0] not in {pair.name.partition(".")[0] for pair in train}


def test_frames_of_a_scene_of_sidd_go_together(tmp_path: Path) -> None:
    for number, scene in enumerate((SCENE, SCENE.replace("0001_", "0002_"))):
        for frame in ("010", "011"):
            for kind in ("NOISY", "GT"):
                write_png(tmp_path / scene / f"{scene[:4]}_{kind}_SRGB_{frame}.PNG", numbered(20, 24, number))
    ((train,), (held,)) = split_pairs([find_training_pairs(tmp_path, "srgb")], 0.1)
    assert (len(train), len(held)) == (2, 2)
    assert {pair.scene for pair in train}.isdisjoint(pair.scene for pair in held)


def test_a_folder_of_one_scene_keeps_it_to_train_on(tmp_path: Path) -> None:
    write_pair(tmp_path / "one", "a", numbered(20, 24, 1), numbered(20, 24, 1))
    for blue in range(2, 6):
        write_pair(tmp_path / "many", str(blue), numbered(20, 24, blue), numbered(20, 24, blue))
    groups = [find_training_pairs(tmp_path / name, "srgb") for name in ("one", "many")]
    train, held = split_pairs(groups, 0.9)
    assert all(train)
    assert {pair.name for group in held for pair in group}.isdisjoint(pair.name for group in train for pair in group)


# ---------------------------------------------------------------- mixing folders


@pytest.fixture
def two_folders(tmp_path: Path) -> list[Path]:
    """Nine pairs in one folder, whose blue is below 100; one pair in the other one."""
    for blue in range(9):
        write_pair(tmp_path / "many", str(blue), numbered(20, 24, blue), numbered(20, 24, blue))
    store_srgb(tmp_path / "one", "x", numbered(20, 24, 200), numbered(20, 24, 200))
    return [tmp_path / "many", tmp_path / "one"]


def test_every_pair_is_drawn_equally_often_unless_shares_are_given(two_folders: list[Path]) -> None:
    training, _ = open_denoising_data(recipe(holdout_share=0), "srgb", [], two_folders, [])
    share = np.mean([blue == 200 for blue in blue_of(training, 200)])  # type: ignore[arg-type]
    assert share == pytest.approx(0.1, abs=0.07)
    shares = recipe(holdout_share=0, pair_shares=[3, 7])
    training, _ = open_denoising_data(shares, "srgb", [], two_folders, [])
    share = np.mean([blue == 200 for blue in blue_of(training, 200)])  # type: ignore[arg-type]
    assert share == pytest.approx(0.7, abs=0.1)


def test_validation_is_never_on_pairs_that_are_trained_on(two_folders: list[Path]) -> None:
    training, held = open_denoising_data(recipe(), "srgb", [], two_folders, [])
    seen, kept = (set(blue_of(data, 40 if data is held else 200)) for data in (training, held))  # type: ignore[arg-type]
    assert len(seen) == 9 and len(kept) == 1
    assert not seen & kept
    again = open_denoising_data(recipe(), "srgb", [], two_folders, [])
    assert set(blue_of(again[1], 40)) == kept  # type: ignore[arg-type]


def test_with_folders_to_validate_on_all_pairs_are_trained_on(two_folders: list[Path]) -> None:
    training, _ = open_denoising_data(recipe(), "srgb", [], two_folders, [two_folders[1]])
    assert len(set(blue_of(training, 200))) == 10  # type: ignore[arg-type]


def test_shares_and_folders_must_match(two_folders: list[Path]) -> None:
    with pytest.raises(UserError, match=r"--shares \(data\.pair_shares\): got 3 numbers for 2 folders of --pairs"):
        open_denoising_data(recipe(pair_shares=[1, 1, 1]), "srgb", [], two_folders, [])


def test_raw_pairs_of_two_folders_mix(tmp_path: Path) -> None:
    for name in ("first", "second"):
        planes = np.full((4, 12, 12), 1000 if name == "first" else 2000, np.uint16)
        store_raw(tmp_path / name, "a", planes, planes)
    folders = [tmp_path / "first", tmp_path / "second"]
    training, _ = open_denoising_data(recipe(holdout_share=0), "raw", [], folders, [])
    assert len({float(training[number]["clean"].max()) for number in range(20)}) == 2


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no decoder of AVIF")
def test_the_sides_of_avif_pictures_are_known_too(tmp_path: Path) -> None:
    for role in ("noisy", "clean"):
        (tmp_path / role).mkdir()
        Image.fromarray(np.full((40, 64, 3), 99, np.uint8)).save(tmp_path / role / "a.avif")
    (pair,) = find_pairs(tmp_path)
    assert shorter_side(pair) == 40
