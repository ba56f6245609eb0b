"""generate_data.py --noise residual from end to end: real noise arrives in the files, and the
promises still hold.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import generate_data
from cycleisp.dataloaders.pairs.store import Record, read_manifest, read_raw_pair
from cycleisp.dataloaders.photos import read_photo
from cycleisp.dataloaders.real_noise.finding import find_residual_sources
from cycleisp.dataloaders.real_noise.residuals import ResidualNoise
from cycleisp.dataloaders.training.stored_pairs import StoredPairs
from cycleisp.networks.cycleisp import CycleISP
from cycleisp.networks.synthesis.learned_camera import LearnedCamera
from cycleisp.networks.synthesis.photo_pairs import PairSynthesizer
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import as_float
from cycleisp.utils.raw.camera_files import read_raw
from tests.support.paths import shared
from tests.support.pictures import random_picture, write_dng, write_png
from tests.support.real_noise import (
    READ_NOISE,
    SCENES,
    SHOT_NOISE,
    add_noise,
    clean_mosaic,
    planes_of,
    window_of,
    write_frame,
    write_known_cameras,
    write_levels,
    write_scene,
)
from tests.support.scripts import Outcome, call_script

Generate = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _same_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The version in the files shall not change if someone commits between two runs of a test."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "no-repository"))


@pytest.fixture
def sidd(tmp_path: Path) -> Path:
    """Four scenes, one of each Bayer pattern, of odd and even sizes."""
    folder = tmp_path / "sidd"
    write_known_cameras(folder)
    for number, (pattern, scene) in enumerate(SCENES.items()):
        clean = clean_mosaic(40 + 6 * number, 60, seed=number)
        write_scene(folder / "Data", scene, add_noise(clean, pattern, seed=number)[:, :57], clean[:, :57])
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Writes photos of odd and even sizes, some larger than all scenes, and a camera file."""
    folder = tmp_path / "photos"
    sizes = [(24, 32), (24, 32), (17, 21), (24, 32), (2, 3), (90, 70)]
    for number, (height, width) in enumerate(sizes):
        dtype = (np.uint8, np.uint16)[number % 2]
        write_png(folder / f"{number}.png", random_picture(height, width, dtype, seed=number))
    write_dng(folder / "camera.dng", np.random.default_rng(0).integers(300, 700, (35, 47)).astype(np.uint16), "GBRG")
    return folder


NAMES = ["0", "1", "2", "3", "4", "5", "camera"]


@pytest.fixture
def generate(tiny_weights: Path, photos: Path, sidd: Path, tmp_path: Path) -> Generate:
    """`generate("pairs", "--seed", 1)` fills the folder `pairs` with residual noise of `sidd`."""

    def run(output: str, *options: object) -> Outcome:
        words = ["--device", "cpu", "--weights", tiny_weights, "--input", photos, "--output", tmp_path / output]
        return call_script(generate_data.main, *words, "--noise", "residual", "--residual-source", sidd, *options)

    return run


def pairs_of(folder: Path) -> dict[str, bytes]:
    """The bytes of all files of an output folder but the lock."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def stored_mosaic(path: Path) -> NDArray[np.float32]:
    with h5py.File(path) as file:
        return np.asarray(file["x"]).T


def expected_noise(folder: Path, record: Record) -> NDArray[np.float32]:
    """The residual that a manifest's line tells, as planes of the size of its pair's RAW."""
    place = record["residual"]
    noisy = folder / place["file"]
    clean = noisy.with_name(noisy.name.replace("NOISY", "GT"))
    residual = (stored_mosaic(noisy) - stored_mosaic(clean))[window_of(place)]
    missing = [(0, place["reflected_rows"]), (0, place["reflected_columns"])]
    planes = np.stack(planes_of(np.pad(residual, missing, mode="reflect"), "RGGB"))
    return planes[:, : record["height"] // 2, : record["width"] // 2]


# ---------------------------------------------------------------- what it writes


def test_noisy_raw_is_clean_raw_plus_the_residual_that_the_manifest_tells(
    tmp_path: Path, sidd: Path, generate: Generate
) -> None:
    outcome = generate("pairs", "--preview")
    assert outcome.returncode == 0, outcome.stderr
    assert "7 pairs made, 0 kept from before, 0 skipped" in outcome.stdout
    assert "real noise from 4 sources" in outcome.stderr
    records = read_manifest(tmp_path / "pairs")
    assert [record["name"] for record in records] == NAMES
    settings = json.loads((tmp_path / "pairs" / "settings.json").read_text())
    assert settings["noise"] == "residual"
    assert settings["residual_source"] == "sidd"
    assert settings["residual_match"] == 8
    assert len(settings["residual_sha256"]) == 64
    for record in records:
        assert settings.items() <= record.items()
        assert record["shot_noise"] is record["read_noise"] is None
        clean, noisy, attributes = read_raw_pair(tmp_path / "pairs" / record["files"]["raw"])
        assert set(attributes) == {"pattern", "seed", "weights_sha256", "version"}
        expected = np.clip(clean / 65535 + expected_noise(sidd, record), 0, 1)
        assert np.abs(noisy - 65535 * expected).max() < 1.1
        assert record["files"].keys() == {"raw", "srgb_clean", "srgb_noisy"}
    assert any(record["residual"]["reflected_rows"] for record in records)
    assert len({record["residual"]["source"] for record in records}) > 1
    preview = cv2.imread(str(tmp_path / "pairs" / "preview.png"))
    assert preview is not None


def test_noisy_srgb_is_what_the_networks_make_of_it(
    tmp_path: Path, sidd: Path, tiny_isp: CycleISP, generate: Generate
) -> None:
    generate("pairs", "--clean-target", "cycle", "--limit", 6)
    noise = ResidualNoise(sidd, find_residual_sources(sidd)[0], match=8)
    synthesize = PairSynthesizer(LearnedCamera(tiny_isp, "cycle"), noise)
    for record in read_manifest(tmp_path / "pairs"):
        photo = torch.from_numpy(as_float(read_photo(Path(record["source"])))).permute(2, 0, 1)
        (pair,) = synthesize(photo[None], [record["pair_seed"]])
        assert pair.noise_origin == {"residual": record["residual"]}
        assert pair.noisy_srgb is not None
        stored = read_photo(tmp_path / "pairs" / record["files"]["srgb_noisy"])
        expected = pair.noisy_srgb.permute(1, 2, 0).numpy() * np.iinfo(stored.dtype).max
        assert np.abs(stored - expected).max() < 0.6


def test_matched_noise_follows_the_signal_of_the_image(tmp_path: Path, tiny_weights: Path) -> None:
    """Flat scenes of many levels, flat images: the variance in the pairs is that of a camera at the
    image's level.
    """
    levels = [0.1, 0.25, 0.4, 0.55, 0.7]
    for number, level in enumerate(levels):
        scene = f"{number:04d}_001_GP_00800_00350_3200_L"
        clean = np.full((400, 400), level)
        write_scene(tmp_path / "sidd", scene, add_noise(clean, "BGGR", seed=number), clean)
        flat = np.full((300, 300), round(64 + 959 * level), np.uint16)
        flat[0, 0] += 1 + number  # no two files of equal bytes
        write_dng(tmp_path / "raw" / f"{number}.dng", flat)
    words = ["--device", "cpu", "--weights", tiny_weights, "--space", "raw", "--input", tmp_path / "raw"]
    words += ["--noise", "residual", "--residual-source", tmp_path / "sidd", "--residual-match", 40]
    outcome = call_script(generate_data.main, *words, "--output", tmp_path / "pairs")
    assert outcome.returncode == 0, outcome.stderr
    for number, level in enumerate(levels):
        clean, noisy, _ = read_raw_pair(tmp_path / "pairs" / "raw" / f"{number}.h5")
        noise = (noisy.astype(np.float64) - clean) / 65535
        assert noise.var() == pytest.approx(SHOT_NOISE * level + READ_NOISE, rel=0.05)


def test_true_camera_files_serve_as_frames_and_as_photos(tmp_path: Path, tiny_weights: Path) -> None:
    mosaic = read_raw(shared("data/raw/train/a7r4_river_1.dng")).mosaic[1000:1400, 1000:1400].astype(np.float64)
    for number in range(3):
        noisy = add_noise(mosaic, shot=1e-3, read=1e-5, seed=number)
        write_frame(tmp_path / "bursts" / "river" / f"{number}.dng", noisy)
    write_frame(tmp_path / "raw" / "river.dng", mosaic)
    words = ["--device", "cpu", "--weights", tiny_weights, "--space", "raw", "--input", tmp_path / "raw"]
    words += ["--noise", "residual", "--residual-source", tmp_path / "bursts"]
    outcome = call_script(generate_data.main, *words, "--output", tmp_path / "pairs")
    assert outcome.returncode == 0, outcome.stderr
    (record,) = read_manifest(tmp_path / "pairs")
    assert record["residual"]["source"] == "river/frames"
    clean, noisy = (
        plane.astype(np.float64) / 65535 for plane in read_raw_pair(tmp_path / "pairs" / record["files"]["raw"])[:2]
    )
    inside = (noisy > 0) & (clean > 0.02)
    assert inside.mean() > 0.5
    # the source has the size of the photo and shows the same: every pixel has the noise of its own
    # signal
    assert ((noisy - clean)[inside] ** 2).mean() == pytest.approx((1e-3 * clean + 1e-5)[inside].mean(), rel=0.05)


# ---------------------------------------------------------------- made again


@pytest.mark.parametrize(
    "options",
    [("--workers", 1), ("--batch-size", 3), ("--batch-size", 2, "--workers", 1)],
    ids=lambda options: " ".join(map(str, options)),
)
def test_batches_and_threads_change_no_byte(tmp_path: Path, generate: Generate, options: tuple[object, ...]) -> None:
    generate("plain", "--workers", 2)
    generate("other", *options)
    assert pairs_of(tmp_path / "other") == pairs_of(tmp_path / "plain")


def test_processes_that_share_the_work_give_what_one_gives(
    tmp_path: Path, generate: Generate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other; test_generate_data.py runs two at a time."""
    generate("alone")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        ended = generate("shared")
        assert ended.returncode == 0, ended.stderr
    assert pairs_of(tmp_path / "shared") == pairs_of(tmp_path / "alone")


def test_another_seed_takes_noise_from_other_places(tmp_path: Path, generate: Generate) -> None:
    for seed in (0, 1):
        generate(str(seed), "--seed", seed)
    places = [[record["residual"] for record in read_manifest(tmp_path / seed)] for seed in "01"]
    assert places[0] != places[1]
    for name in NAMES[:4]:
        pairs = [read_raw_pair(tmp_path / seed / "raw" / f"{name}.h5") for seed in "01"]
        np.testing.assert_array_equal(pairs[0][0], pairs[1][0])
        assert not np.array_equal(pairs[0][1], pairs[1][1])


def test_a_stopped_run_goes_on_to_the_same_bytes(tmp_path: Path, generate: Generate) -> None:
    generate("whole")
    generate("parts", "--limit", 2)
    (tmp_path / "parts" / "raw" / "1.h5").unlink()
    outcome = generate("parts")
    assert "6 pairs made, 1 kept from before, 0 skipped" in outcome.stdout
    whole, parts = pairs_of(tmp_path / "whole"), pairs_of(tmp_path / "parts")
    assert {name for name in whole if whole[name] != parts[name]} == {"manifest.jsonl"}  # 1 is told to be remade
    assert "0 pairs made, 7 kept" in generate("parts").stdout


def test_a_folder_of_other_real_noise_is_refused(tmp_path: Path, sidd: Path, generate: Generate) -> None:
    generate("pairs")
    before = pairs_of(tmp_path / "pairs")
    outcome = generate("pairs", "--residual-match", 1)
    assert outcome.returncode == 2
    assert "holds pairs made with residual_match=8" in outcome.stderr
    shutil.rmtree(sidd / "Data" / SCENES["GRBG"])
    outcome = generate("pairs")
    assert outcome.returncode == 2
    assert "holds pairs made with residual_sha256=" in outcome.stderr
    assert pairs_of(tmp_path / "pairs") == before


# ---------------------------------------------------------------- bad sources


def test_one_bad_scene_is_told_and_stops_nothing(tmp_path: Path, sidd: Path, generate: Generate) -> None:
    bad = next((sidd / "Data" / SCENES["GBRG"]).glob("*_GT_*"))
    bad.write_bytes(bad.read_bytes()[:2000])
    outcome = generate("pairs")
    assert outcome.returncode == 0
    assert f"no noise from {bad}: not a whole RAW file of SIDD-Medium" in outcome.stderr
    assert "real noise from 3 sources" in outcome.stderr
    records = read_manifest(tmp_path / "pairs")
    assert len(records) == 7
    assert all(SCENES["GBRG"] not in record["residual"]["source"] for record in records)


def test_without_a_usable_source_nothing_is_begun(tmp_path: Path, sidd: Path, generate: Generate) -> None:
    for path in sidd.rglob("*_NOISY_*"):
        path.unlink()
    outcome = generate("pairs")
    assert outcome.returncode == 2
    assert f"error: {sidd}: no source of real noise; looked for SIDD's" in outcome.stderr
    assert not (tmp_path / "pairs").exists()


# ---------------------------------------------------------------- noise levels


def test_a_variance_map_without_noise_level_function_is_refused(tmp_path: Path, generate: Generate) -> None:
    outcome = generate("pairs", "--variance")
    assert outcome.returncode == 2
    assert "4 of 4 sources have no known noise level function" in outcome.stderr
    assert not (tmp_path / "pairs").exists()
    generate("pairs")
    with pytest.raises(UserError, match="real noise without noise level"):
        StoredPairs(tmp_path / "pairs", "raw", patch_size=8, seed=0, length=4)
    assert len(StoredPairs(tmp_path / "pairs", "srgb", patch_size=8, seed=0, length=4)) == 4


def test_scenes_with_noise_levels_give_variance_maps_and_training_pairs(
    tmp_path: Path, sidd: Path, generate: Generate
) -> None:
    write_levels(sidd, list(SCENES.values()))
    assert generate("pairs", "--variance").returncode == 0
    factors = np.array([1, 2, 2, 1]).reshape(4, 1, 1)
    for record in read_manifest(tmp_path / "pairs"):
        with h5py.File(tmp_path / "pairs" / record["files"]["raw"]) as file:
            noisy, variance = file["noisy"][()] / 65535, file["variance"][()]
            np.testing.assert_allclose(file.attrs["shot_noise"], SHOT_NOISE * factors.ravel(), rtol=1e-6)
        np.testing.assert_allclose(variance, factors * (SHOT_NOISE * noisy + READ_NOISE), atol=1e-7)
    patch = StoredPairs(tmp_path / "pairs", "raw", patch_size=8, seed=0, length=1)[0]
    expected = torch.from_numpy(factors) * (SHOT_NOISE * patch["noisy"] + READ_NOISE)
    torch.testing.assert_close(patch["variance"].double(), expected.double(), atol=1e-7, rtol=1e-5)
