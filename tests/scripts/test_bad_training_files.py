"""Damaged pairs before a training, and photos that go while one runs: named, and never a hang."""

import multiprocessing
import threading
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from cycleisp.dataloaders.pairs.store import PairFiles, read_manifest
from cycleisp.dataloaders.photo_store import PhotoStore
from tests.support.pairs import numbered, store_pair
from tests.support.paths import ROOT
from tests.support.pictures import random_picture, write_png
from tests.support.scripts import Outcome, call_script, error_line
from train_denoiser import main

COMMON = ("--config", ROOT / "configs" / "denoiser_smoke.yaml", "--device", "cpu")
SHORT = ("train.steps=1", "data.validation_patches=1")
SIDE = 40  # pixels, a little more than a patch


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    planes = np.arange(4 * (SIDE // 2) ** 2, dtype=np.uint16).reshape(4, SIDE // 2, SIDE // 2)
    for number in range(3):
        picture = numbered(SIDE, SIDE, number)
        pair = PairFiles(planes + number, planes, None, picture, picture)
        store_pair(tmp_path / "pairs", f"{number}", pair, SIDE, SIDE)
    return tmp_path / "pairs"


def train(space: str, *options: object) -> Outcome:
    return call_script(main, *COMMON, "--space", space, *options)


def file_of(pairs: Path, key: str, number: int) -> Path:
    return pairs / read_manifest(pairs)[number]["files"][key]


# ---------------------------------------------------------------- pairs, before a training


def deleted(path: Path) -> None:
    path.unlink()


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def flipped(path: Path) -> None:
    """Damages what only the checksum of the compressed values can tell."""
    with h5py.File(path) as file:
        place = file["noisy"].id.get_chunk_info(3)
    content = bytearray(path.read_bytes())
    content[place.byte_offset + place.size // 2] ^= 16
    path.write_bytes(content)


def without_partner(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["noisy"]


def of_two_shapes(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["noisy"]
        file["noisy"] = np.ones((4, SIDE, SIDE), np.uint16)


def smaller(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        for key in ("clean", "noisy"):
            del file[key]
            file[key] = np.ones((4, 6, 6), np.uint16)


def text(path: Path) -> None:
    path.write_text("this is no pair")


DAMAGES = (deleted, truncated, flipped, without_partner, of_two_shapes, smaller, text)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_raw_pair_is_left_out_and_named(tmp_path: Path, pairs: Path, damage: Callable[[Path], None]) -> None:
    bad = file_of(pairs, "raw", 1)
    damage(bad)
    trained = train("raw", "--pairs", pairs, "--run-dir", tmp_path / "run", "--set", *SHORT)
    assert trained.returncode == 0, trained.stderr
    assert sum(f"left out {bad}: " in line for line in trained.stderr.splitlines()) == 1
    assert "1 pairs to train on, 1 held out" in trained.stderr


@pytest.mark.parametrize("damage", [deleted, truncated])
@pytest.mark.parametrize(("space", "key"), [("raw", "raw"), ("srgb", "srgb_clean")])
def test_without_any_whole_pair_nothing_is_trained(
    tmp_path: Path, pairs: Path, space: str, key: str, damage: Callable[[Path], None]
) -> None:
    for number in range(3):
        damage(file_of(pairs, key, number))
    assert "can be used" in error_line(train(space, "--pairs", pairs, "--run-dir", tmp_path / "run"))
    assert not (tmp_path / "run" / "checkpoint.ckpt").exists()


def test_a_picture_of_another_size_than_its_manifest_says_is_left_out(tmp_path: Path, pairs: Path) -> None:
    for key, number in (("srgb_clean", 0), ("srgb_clean", 1), ("srgb_noisy", 1)):
        write_png(file_of(pairs, key, number), random_picture(16, 16))
    trained = train("srgb", "--pairs", pairs, "--run-dir", tmp_path / "run", "--set", *SHORT)
    assert trained.returncode == 0, trained.stderr
    assert "its clean partner" in trained.stderr and "its shorter side is 16, expected 40" in trained.stderr


def test_a_raw_pair_that_a_run_has_begun_with_is_missed(tmp_path: Path, pairs: Path) -> None:
    options = ("--pairs", pairs, "--run-dir", tmp_path / "run")
    assert train("raw", *options, "--stop-after", 0).returncode == 3
    path = file_of(pairs, "raw", 2)
    content = path.read_bytes()
    path.unlink()
    assert f"{path}: 1 of the files that this run has begun with are gone" in error_line(train("raw", *options))
    path.write_bytes(content[:100])
    assert "this run has begun with it" in error_line(train("raw", *options))
    path.write_bytes(content)
    assert train("raw", *options).returncode == 0


# ---------------------------------------------------------------- photos, while a training runs


@pytest.mark.parametrize("damage", [deleted, truncated])
@pytest.mark.parametrize("workers", [0, 2])
def test_photos_that_go_while_a_training_runs_end_it_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, damage: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(PhotoStore.__init__, "__defaults__", (0, None))  # keeps none in memory, as if there were many
    photos = [write_png(tmp_path / "photos" / f"{n}.png", random_picture(40, 48, seed=n)) for n in range(4)]
    checkpoint = tmp_path / "run" / "checkpoint.ckpt"

    def strike() -> None:
        end = time.monotonic() + 60
        while not checkpoint.exists() and time.monotonic() < end:
            time.sleep(0.01)
        for photo in photos:
            damage(photo)

    changes = ("train.steps=100000", "train.checkpoint_every=2", "train.validate_every=100000")
    options = ("--photos", tmp_path / "photos", "--noise", "awgn", "--run-dir", tmp_path / "run")
    striker = threading.Thread(target=strike)
    striker.start()
    ended = train("srgb", *options, "--set", *changes, f"train.workers={workers}")
    striker.join()
    line = error_line(ended)
    assert any(line.startswith(f"error: {photo}: ") for photo in photos), line
    assert not multiprocessing.active_children()
    torch.load(checkpoint, weights_only=True)  # whole, and what the same command goes on from
