"""train_denoiser.py --pairs with shards: the weights of the same pairs unpacked, at any stop."""

from pathlib import Path

import pytest

from tests.support.pairs import store_srgb
from tests.support.paths import ROOT
from tests.support.pictures import random_picture
from tests.support.scripts import Outcome, call_script, error_line
from tests.support.tar_shards import pack_by_tarfile
from tests.support.training import assert_bit_equal
from train_denoiser import main

SMOKE = str(ROOT / "configs" / "denoiser_smoke.yaml")
SHORT = ("train.steps=3", "train.log_every=1", "train.checkpoint_every=2", "train.validate_every=3")


def train(*options: object) -> Outcome:
    return call_script(main, "--space", "srgb", "--config", SMOKE, "--device", "cpu", *options, "--set", *SHORT)


def test_a_stopped_run_on_shards_ends_as_a_whole_run_on_the_folder(tmp_path: Path) -> None:
    for seed in range(3):
        store_srgb(tmp_path / "pairs", str(seed), *(random_picture(40, 48, seed=seed + extra) for extra in (0, 9)))
    pack_by_tarfile(tmp_path / "pairs", tmp_path / "shards")
    whole = train("--pairs", tmp_path / "pairs", "--run-dir", tmp_path / "whole")
    assert whole.returncode == 0 and "of the time waiting for data" in whole.stderr
    options = ("--pairs", tmp_path / "shards", "--run-dir", tmp_path / "parts", "--cache", tmp_path / "cache")
    assert train(*options, "--stop-after", 0).returncode == 3
    assert train(*options).returncode == 0
    assert_bit_equal(tmp_path / "whole", tmp_path / "parts")
    assert not (tmp_path / "cache").exists()  # which is for remote shards


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ("memory://nowhere", "memory://nowhere/shards.jsonl: "),
        ("nosuch://bucket/shards", "nosuch://bucket/shards/shards.jsonl: "),
        ("LIST", "line 1 is no"),
    ],
)
def test_shards_that_are_not_there_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pairs: str, message: str
) -> None:
    pytest.importorskip("fsspec", reason="URLs of shards need fsspec")
    monkeypatch.setattr("cycleisp.dataloaders.pairs.shards.anywhere.PAUSES", ())
    (tmp_path / "LIST").write_text("words\n")
    place = tmp_path / pairs if pairs == "LIST" else pairs
    assert message in error_line(train("--pairs", place, "--run-dir", tmp_path / "run"))
