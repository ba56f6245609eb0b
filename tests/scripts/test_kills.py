"""Kills at any moment: the same command goes on, and the end is that of a run without kills.

Each script is killed 20 times: half of the times after a share of its time, half of the times just
before it writes, renames or removes a file.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cycleisp.dataloaders.pairs.store import read_raw_pair
from cycleisp.dataloaders.photos import read_photo
from cycleisp.utils.output.claim import claimed
from tests.support.forks import REGISTRY, Ended, Forks
from tests.support.paths import ROOT
from tests.support.pictures import random_mosaic, random_picture, write_dng, write_png
from tests.support.sidd import some_blocks, with_noise, write_validation
from tests.support.training import assert_bit_equal
from tests.support.weights import ENTRY, write_registry

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
KILLS = 20
# What says when something was done, how long it took, and where. Such files differ between two runs
# without kills.
DIARIES = (
    "results.jsonl",
    "events.out.tfevents",
    ".cycleisp.lock",
    ".lock",
    "metrics.json",
    "seconds.npy",
    "report.html",
)
HERE = {"CYCLEISP_APART": "0"}  # reads without another process, whose start takes most of a short run


def content_of(folder: Path) -> dict[str, bytes]:
    """Returns the bytes of all files of a folder, but for diaries."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in sorted(files.items()) if not path.name.startswith(DIARIES)}


def check_kills(forks: Forks, tmp_path: Path, seed: int, run: Callable[..., Ended]) -> None:
    """Kills runs in one folder, lets one end, and compares it with a run without kills."""
    whole = run(tmp_path / "whole" / "out")
    assert whole.status == 0, whole.err
    expected = content_of(tmp_path / "whole" / "out")
    rng = np.random.default_rng(seed)
    folder = tmp_path / "killed" / "out"
    killed, seconds = 0, whole.seconds
    for number in range(10 * KILLS):
        if killed == KILLS:
            break
        if number % 2:
            ended = run(folder, at_write=int(rng.integers(1, whole.writes + 1)))
        else:
            ended = run(folder, after=seconds * rng.random())
        assert ended.status in (0, -9), ended.err
        killed += ended.status == -9
        if ended.status == 0:
            check_equal(folder, expected)
            shutil.rmtree(folder)  # begin again, so that kills meet all parts of a run
            seconds = min(seconds, ended.seconds)  # the first run imports what the others find
    assert killed == KILLS
    ended = run(folder)
    assert ended.status == 0, ended.err
    check_equal(folder, expected)


def check_equal(folder: Path, expected: dict[str, bytes]) -> None:
    """Compares all files of a folder; a temporary file would be one too many."""
    found = content_of(folder)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name] and name != "checkpoint.ckpt"] == []


def pairs_listed(folder: Path) -> int:
    """Counts the pairs that the manifests of a folder list, and checks that each can be read."""
    lines = [line for path in folder.glob("manifest*.jsonl") for line in path.read_text().splitlines(keepends=True)]
    listed = {line for line in lines if line.endswith("\n")}  # others were torn by a kill
    for line in listed:
        files = json.loads(line)["files"]
        assert read_raw_pair(folder / files["raw"])[1].dtype == np.uint16
        assert read_photo(folder / files["srgb_clean"]).shape == read_photo(folder / files["srgb_noisy"]).shape
    return len(listed)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for seed in range(3):
        write_png(tmp_path / "photos" / f"{seed}.png", random_picture(40, 48, seed=seed))
    return tmp_path / "photos"


def test_denoise(forks: Forks, tmp_path: Path, photos: Path, weights: dict[str, Path]) -> None:
    """At the moments of writing photos are read as in the scripts that follow, which takes less."""

    def run(folder: Path, **kill: float) -> Ended:
        options = (photos, "--output", folder, "--weights", weights["srgb"], "--device", "cpu")
        return forks.run("denoise", *options, folder=folder, **(HERE if "at_write" in kill else {}), **kill)

    check_kills(forks, tmp_path, 1, run)


def test_denoise_raw(forks: Forks, tmp_path: Path, weights: dict[str, Path]) -> None:
    for seed in range(2):
        write_dng(tmp_path / "raw" / f"{seed}.dng", random_mosaic(40, 48, seed), noise_profile=[0.01, 0.0001])

    def run(folder: Path, **kill: float) -> Ended:
        options = (tmp_path / "raw", "--output", folder, "--weights", weights["raw"], "--device", "cpu")
        return forks.run("denoise", *options, folder=folder, **HERE, **kill)

    check_kills(forks, tmp_path, 2, run)


def test_generate_data(forks: Forks, tmp_path: Path, photos: Path, tiny_weights: Path) -> None:
    """Each run keeps the pairs of those before it. After each kill all pairs listed are whole."""

    def run(folder: Path, **kill: float) -> Ended:
        before = pairs_listed(folder)
        options = ("--input", photos, "--output", folder, "--weights", tiny_weights, "--device", "cpu", "--workers", 2)
        ended = forks.run("generate_data", *options, folder=folder, **HERE, **kill)
        assert ended.status or f"{3 - before} pairs made, {before} kept from before, 0 skipped" in ended.err
        assert pairs_listed(folder) >= before
        return ended

    check_kills(forks, tmp_path, 3, run)


def test_match_colors(forks: Forks, tmp_path: Path, tiny_weights: Path) -> None:
    photos, targets = tmp_path / "photos", tmp_path / "targets"
    for seed in range(2):
        for folder in (photos, targets):
            write_png(folder / f"{seed}.png", random_picture(16, 16, seed=seed))

    def run(folder: Path, **kill: float) -> Ended:
        options = ("--source", photos, "--target", targets, "--output", folder, "--weights", tiny_weights)
        return forks.run("match_colors", *options, "--device", "cpu", folder=folder, **HERE, **kill)

    check_kills(forks, tmp_path, 4, run)


def test_train_denoiser(forks: Forks, tmp_path: Path, tiny_weights: Path) -> None:
    for seed in range(4):
        write_png(tmp_path / "photos" / f"{seed}.png", random_picture(80, 96, seed=seed))
    changes = ("train.steps=4", "train.checkpoint_every=2", "train.validate_every=2", "synthesis.learned_share=0")
    changes += ("data.validation_patches=1", "data.validation_size=32")

    def run(folder: Path, **kill: float) -> Ended:
        options = ("--config", ROOT / "configs" / "denoiser_smoke.yaml", "--space", "srgb", "--device", "cpu")
        data = ("--photos", tmp_path / "photos", "--run-dir", folder, "--weights", tiny_weights)
        return forks.run("train_denoiser", *options, *data, "--set", *changes, folder=folder, **kill)

    check_kills(forks, tmp_path, 5, run)
    assert_bit_equal(tmp_path / "killed" / "out", tmp_path / "whole" / "out")


def test_test_sidd(forks: Forks, tmp_path: Path, weights: dict[str, Path]) -> None:
    clean = some_blocks("srgb")
    write_validation(tmp_path / "SIDD", with_noise(clean), clean)

    def run(folder: Path, **kill: float) -> Ended:
        options = ("--space", "srgb", "--data", tmp_path / "SIDD", "--output", folder, "--device", "cpu")
        return forks.run("test_sidd", *options, "--weights", weights["srgb"], "--batch-size", 64, folder=folder, **kill)

    check_kills(forks, tmp_path, 6, run)


def test_download_models(forks: Forks, tmp_path: Path) -> None:
    entries = []
    (tmp_path / "elsewhere").mkdir()
    for name in "abc":
        path = tmp_path / "elsewhere" / f"{name}.pth"
        torch.save({"state_dict": {name: torch.zeros(30000)}}, path)
        content = path.read_bytes()
        facts = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "sources": [path.as_uri()]}
        entries.append({**ENTRY, "name": name, "file": f"released/{name}.pth", **facts})
    (tmp_path / "registry").mkdir()
    write_registry(tmp_path / "registry", *entries)

    def run(folder: Path, **kill: float) -> Ended:
        places = {"CYCLEISP_WEIGHTS": str(folder), REGISTRY: str(tmp_path / "registry")}
        return forks.run("download_models", "--all", folder=folder, **places, **kill)

    check_kills(forks, tmp_path, 7, run)


def test_two_runs_on_one_folder(forks: Forks, tmp_path: Path, photos: Path, weights: dict[str, Path]) -> None:
    folder = tmp_path / "both" / "out"
    with claimed(folder):
        options = (photos, "--output", folder, "--weights", weights["srgb"], "--device", "cpu")
        second = forks.run("denoise", *options, folder=folder)
    assert second.status == 2
    assert second.err.startswith(f"error: {folder}: another run writes there, process {os.getpid()} of ")
    assert not list(folder.glob("*.png"))
