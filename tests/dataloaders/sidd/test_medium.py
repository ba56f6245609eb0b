"""SIDD-Medium's clean frames as training pairs: the right picture, turned as its RAW."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import train_raw2rgb
from cycleisp.dataloaders.sidd.medium import find_sidd_frames, orient_to_raw
from cycleisp.dataloaders.sidd.scenes import SiddError
from cycleisp.dataloaders.training.raw_pair_store import RawPairStore
from cycleisp.dataloaders.training.raw_pairs import prepare
from cycleisp.networks.cycleisp import CycleISP
from cycleisp.networks.pretrained import load_network
from cycleisp.utils.errors import UserError
from tests.support.paths import ROOT
from tests.support.pictures import random_picture, write_dng, write_png
from tests.support.real_noise import SCENES, red_at, write_known_cameras, write_scene
from tests.support.scripts import call_script

HEIGHT, WIDTH = 70, 94


def frame(seed: int, pattern: str) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Returns a clean mosaic and its picture, which is grey, so that any pattern has the same."""
    light = random_picture(HEIGHT, WIDTH, np.uint16, seed)[..., 1].astype(np.float64) / 65535
    picture = np.round(255 * light ** (1 / 2.2)).astype(np.uint8)
    return light, np.repeat(picture[..., None], 3, axis=2)


def write_frame_pair(raw: Path, srgb: Path, pattern: str, seed: int = 0, turns: int = 0) -> tuple[NDArray, NDArray]:
    mosaic, picture = frame(seed, pattern)
    scene = SCENES[pattern]
    write_scene(raw / "Data", scene, None, mosaic)
    write_png(srgb / "Data" / scene / f"{scene[:4]}_GT_SRGB_010.PNG", np.ascontiguousarray(np.rot90(picture, turns)))
    return mosaic, picture


@pytest.mark.parametrize("pattern", SCENES)
@pytest.mark.parametrize("turns", range(4))
def test_a_frame_becomes_a_pair_cut_to_rggb_and_turned_as_its_raw(tmp_path: Path, pattern: str, turns: int) -> None:
    write_known_cameras(tmp_path / "raw")
    mosaic, picture = write_frame_pair(tmp_path / "raw", tmp_path / "srgb", pattern, turns=turns)
    report = prepare([tmp_path / "raw", tmp_path / "srgb"], tmp_path / "store")
    assert report.ready == [f"{SCENES[pattern]}/{SCENES[pattern][:4]}_010"]
    stored, photo = RawPairStore(tmp_path / "store", report.ready).pair(report.ready[0])
    top, left = red_at(pattern)
    window = np.s_[top : top + (HEIGHT - top) // 2 * 2, left : left + (WIDTH - left) // 2 * 2]
    np.testing.assert_array_equal(stored, np.round(mosaic[window].astype(np.float32) * 65535))
    np.testing.assert_array_equal(photo, picture[window])


def test_both_sets_may_lie_in_one_folder_beside_camera_files(tmp_path: Path) -> None:
    write_frame_pair(tmp_path / "in", tmp_path / "in", "RGGB")
    write_dng(tmp_path / "in" / "camera.dng", np.random.default_rng(0).integers(64, 1024, (40, 40)).astype(np.uint16))
    store = tmp_path / "store"
    names = [f"{SCENES['RGGB']}/0031_010", "camera"]
    assert prepare([tmp_path / "in"], store).ready == names
    times = {path: path.stat().st_mtime_ns for path in store.rglob("*.npy")}
    assert prepare([tmp_path / "in"], store).ready == names  # nothing is made again
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*.npy")} == times


def test_names_of_sidd_small_are_taken_in_either_case(tmp_path: Path) -> None:
    mosaic, picture = write_frame_pair(tmp_path / "raw", tmp_path / "srgb", "RGGB")
    for path in [*tmp_path.rglob("*.MAT"), *tmp_path.rglob("*.PNG")]:
        small = path.name.partition("_")[2]  # without NNNN_
        path.rename(path.with_name(small.lower() if path.suffix == ".PNG" else small))
    report = prepare([tmp_path / "raw", tmp_path / "srgb"], tmp_path / "store")
    assert report.ready == [f"{SCENES['RGGB']}/010"]
    assert report.scenes == {report.ready[0]: SCENES["RGGB"]}
    stored, photo = RawPairStore(tmp_path / "store", report.ready).pair(report.ready[0])
    np.testing.assert_array_equal(stored, np.round(mosaic.astype(np.float32) * 65535))
    np.testing.assert_array_equal(photo, picture)


def test_archives_are_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "0001_Raw.ZIP").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"no camera RAW file.*unpack its 1 archives first, such as 0001_Raw\.ZIP"):
        prepare([tmp_path], tmp_path / "store")


def test_frames_that_cannot_serve_are_reported_and_the_others_made(tmp_path: Path) -> None:
    raw, srgb = tmp_path / "raw", tmp_path / "srgb"
    write_known_cameras(raw)
    for seed, pattern in enumerate(SCENES):
        write_frame_pair(raw, srgb, pattern, seed)
    photo = {pattern: next((srgb / "Data" / scene).iterdir()) for pattern, scene in SCENES.items()}
    photo["BGGR"].unlink()
    write_png(photo["GRBG"], frame(77, "GRBG")[1])  # of another scene
    write_png(photo["GBRG"], frame(3, "GBRG")[1][:-2])  # of another size
    report = prepare([raw, srgb], tmp_path / "store")
    assert report.ready == [f"{SCENES['RGGB']}/0031_010"]
    reasons = {path.name[:4]: reason for path, reason in report.skipped}
    assert "has no 0021_GT_SRGB_010.PNG" in reasons["0021"]
    assert "does not show what its RAW shows" in reasons["0009"]
    assert "94x68 pixels, its RAW has 94x70" in reasons["0300"]


def test_a_damaged_raw_is_reported(tmp_path: Path) -> None:
    write_frame_pair(tmp_path, tmp_path, "RGGB")
    (path,) = tmp_path.rglob("*.MAT")
    path.write_bytes(path.read_bytes()[:-300])
    ((skipped, reason),) = prepare([tmp_path], tmp_path / "store").skipped
    assert skipped == path
    assert "not a whole RAW file of SIDD-Medium" in reason


def test_mirrored_pictures_are_told_from_turned_ones() -> None:
    mosaic, picture = frame(5, "RGGB")
    for flipped in (picture[::-1], picture[:, ::-1], picture.transpose(1, 0, 2)):
        np.testing.assert_array_equal(orient_to_raw(flipped, mosaic.astype(np.float32), Path("a.png")), picture)
    with pytest.raises(SiddError, match="does not show"):
        orient_to_raw(np.zeros_like(picture), mosaic.astype(np.float32), Path("a.png"))


def test_folders_without_frames_hold_none(tmp_path: Path) -> None:
    assert find_sidd_frames([tmp_path, tmp_path / "nowhere"]) == []


def test_joint_training_goes_on_from_weights_with_frames_of_sidd(tmp_path: Path) -> None:
    for pattern in ("RGGB", "BGGR"):
        write_frame_pair(tmp_path / "raw", tmp_path / "srgb", pattern)
    photos, joint = [tmp_path / f"{number}.png" for number in range(2)], tmp_path / "joint"
    for number, photo in enumerate(photos):
        cv2.imwrite(str(photo), random_picture(96, 96, seed=number))
    common = ["--stage", "joint", "--config", ROOT / "configs" / "smoke.yaml", "--device", "cpu"]
    short = ["train.steps=4", "data.validation_patches=1"]
    first = call_script(train_raw2rgb.main, *common, "--photos", *photos, "--run-dir", joint, "--set", *short)
    assert first.returncode == 0, first.stderr
    frames = ["--raw", tmp_path / "raw", tmp_path / "srgb", "--prepared", tmp_path / "store"]
    start = ["--isp", joint / "weights.safetensors", "--run-dir", tmp_path / "fine-tuned"]
    settings = ["--set", *short, "data.simulated_share=0", "data.patch_size=32", "data.validation_size=32", "seed=7"]
    second = call_script(train_raw2rgb.main, *common, *frames, *start, *settings)
    assert second.returncode == 0, second.stderr
    assert "1 RAW files to train on, 1 held out" in second.stderr
    before, after = (load_network(tmp_path / run / "weights.safetensors", CycleISP) for run in ("joint", "fine-tuned"))
    pairs = list(zip(before.parameters(), after.parameters(), strict=True))
    largest = max(float((a - b).abs().max()) for a, b in pairs)
    assert 0 < largest < 0.05  # it has moved, from where the other run ended
