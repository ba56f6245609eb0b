"""--report of generate_data.py, test_sidd.py and test_dnd.py, and the report of a training."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest import mock

import pytest

import generate_data
import test_dnd
import test_sidd
from cycleisp.dataloaders import protocols
from cycleisp.dataloaders.pairs.factory import PairFactory
from cycleisp.tasks import benchmarks
from cycleisp.utils.processes.apart import SWITCH
from tests.support.dnd import SMALL, fake_images, write_dnd
from tests.support.paths import ROOT
from tests.support.pictures import random_picture, write_png
from tests.support.reports import read_page
from tests.support.scripts import call_script
from tests.support.sidd import SIDE, some_blocks, with_noise, write_blocks
from train_rgb2raw import main as train_rgb2raw


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "0")  # photos are read in this process, which saves starting others


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(3):
        write_png(tmp_path / "in" / f"<{number}>.png", random_picture(64, 80, seed=number))
    (tmp_path / "in" / "damaged.png").write_bytes(b"no picture")
    return tmp_path / "in"


@pytest.mark.parametrize("layout", [(), ("--space", "raw"), ("--shards",)], ids=["folder", "raw", "shards"])
def test_pairs_are_shown_with_their_noise(
    tmp_path: Path, photos: Path, tiny_weights: Path, layout: tuple[str, ...]
) -> None:
    report = tmp_path / "report.html"
    common = ("--device", "cpu", "--weights", tiny_weights, "--input", photos, "--output", tmp_path / "out")
    result = call_script(generate_data.main, *common, *layout, "--report", report)
    assert result.returncode == 1, result.stderr  # a photo was skipped
    page = read_page(report)
    assert "3 made, 0 kept from before, 1 skipped" in page.text and "damaged.png" in page.text
    assert "<2>" in page.text and len(page.images) == 3 * 4
    assert "Shot noise of all pairs." in page.text and "the lines are the levels that were drawn" in page.text


def test_a_stopped_run_reports_the_pairs_that_it_has_made(tmp_path: Path, photos: Path, tiny_weights: Path) -> None:
    settle = PairFactory._settle

    def stop_after_one(self: PairFactory, *args: object) -> None:
        settle(self, *args)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    report = tmp_path / "report.html"
    common = ("--device", "cpu", "--weights", tiny_weights, "--input", photos, "--output", tmp_path / "out")
    with mock.patch.object(PairFactory, "_settle", stop_after_one):
        assert call_script(generate_data.main, *common, "--report", report).returncode == 130
    assert "ended early" in read_page(report).text and "1 made" in read_page(report).text


def test_a_run_that_cannot_begin_leaves_no_report(tmp_path: Path) -> None:
    options = ("--input", tmp_path / "none", "--output", tmp_path / "out", "--report", tmp_path / "report.html")
    assert call_script(generate_data.main, *options).returncode == 2
    assert not (tmp_path / "report.html").exists()


def test_scores_of_sidd_stand_beside_the_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "SIDD_SIDE", SIDE)
    monkeypatch.setattr(benchmarks, "BatchDenoiser", lambda *_: lambda noisy: noisy)
    psnr = {"psnr": protocols.SIDD["srgb"].measures["psnr"]}  # SSIM takes a while
    monkeypatch.setitem(protocols.SIDD, "srgb", replace(protocols.SIDD["srgb"], measures=psnr))  # type: ignore[misc]
    clean = some_blocks("srgb")
    for kind, blocks in (("Gt", clean), ("Noisy", with_noise(clean))):
        write_blocks(tmp_path / "SIDD" / f"Validation{kind}BlocksSrgb.mat", blocks, compressed=False)
    report = tmp_path / "report.html"
    options = ("--data", tmp_path / "SIDD", "--space", "srgb", "--output", tmp_path / "out", "--device", "cpu")
    result = call_script(test_sidd.main, *options, "--batch-size", 64, "--report", report)
    assert result.returncode == 0, result.stderr
    page = read_page(report)
    assert "1280 of 1280" in page.text and "(worst)" in page.text and "(best)" in page.text
    assert len(page.images) == 8 * 3 and page.charts == 5


def test_dnd_is_shown_before_and_after(tmp_path: Path, weights: dict[str, Path]) -> None:
    data, report = write_dnd(tmp_path / "DND", fake_images()), tmp_path / "report.html"
    options = ("--data", data, "--space", "raw", "--output", tmp_path / "out", "--weights", weights["raw-identity"])
    result = call_script(partial(test_dnd.main, SMALL), *options, "--device", "cpu", "--report", report)
    assert result.returncode == 0, result.stderr
    page = read_page(report)
    assert "4 of 4" in page.text and "a valid submission" in page.text
    assert len(page.images) == 4 * 4 and "image 0001, box 1" in page.text


def test_a_training_leaves_a_report_in_its_folder(tmp_path: Path, photos: Path) -> None:
    run, short = tmp_path / "run", ("--set", "train.steps=6", "train.log_every=1", "train.validate_every=3")
    common = ("--config", ROOT / "configs" / "smoke.yaml", "--photos", photos, "--device", "cpu")
    result = call_script(train_rgb2raw, *common, *short, "--run-dir", run)
    assert result.returncode == 0, result.stderr
    page = read_page(run / "report.html")
    assert "finished" in page.text and "damaged.png" in page.text and "steps: 6" in page.text
    assert "Loss of the batches." in page.text and "Validation." in page.text
    assert page.images and "6\n" in page.text
