"""The training scripts: photos and camera files, all stages, resuming, clear errors."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cycleisp.networks import CycleISP
from cycleisp.networks.pretrained import load_network
from tests.support.paths import ROOT
from tests.support.pictures import write_dng
from tests.support.scripts import call_script, start_script
from train_raw2rgb import main as train_raw2rgb
from train_rgb2raw import main as train_rgb2raw

SMOKE = str(ROOT / "configs" / "smoke.yaml")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        small = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(small, (96, 80), interpolation=cv2.INTER_CUBIC))
    return folder


def test_a_dry_run_prints_the_resolved_recipe() -> None:
    result = call_script(train_rgb2raw, "--config", SMOKE, "--set", "train.steps=7", "--dry-run")
    assert result.returncode == 0, result.stderr
    assert "steps: 7" in result.stdout and "learning_rate: 0.0001" in result.stdout
    started = start_script("train_raw2rgb.py", "--config", SMOKE, "--set", "train.steps=7", "--dry-run")
    assert started.returncode == 0 and started.stdout == result.stdout, started.stderr


def test_both_branches_from_photos_then_jointly_and_again(photos: Path, tmp_path: Path) -> None:
    short = ("--set", "train.steps=4", "data.validation_patches=1")
    common = ("--config", SMOKE, "--photos", photos, "--device", "cpu", *short)
    rgb2raw, raw2rgb, joint = (tmp_path / name for name in ("rgb2raw", "raw2rgb", "joint"))
    first = call_script(train_rgb2raw, *common, "--run-dir", rgb2raw)
    assert first.returncode == 0, first.stderr
    second = call_script(train_raw2rgb, *common, "--run-dir", raw2rgb)
    assert second.returncode == 0, second.stderr
    starts = ("--rgb2raw", rgb2raw / "weights.safetensors", "--raw2rgb", raw2rgb / "weights.safetensors")
    options = (*common, "--stage", "joint", *starts, "--run-dir", joint)
    third = call_script(train_raw2rgb, *options)
    assert third.returncode == 0, third.stderr
    assert isinstance(load_network(joint / "weights.safetensors", CycleISP), CycleISP)
    again = call_script(train_raw2rgb, *options)  # finished: nothing left to do
    assert again.returncode == 0 and "resuming" in again.stderr
    options = ("--stage", "matching", "--isp", joint / "weights.safetensors", "--run-dir", tmp_path / "matching")
    fourth = call_script(train_raw2rgb, *common, *options)
    assert fourth.returncode == 0, fourth.stderr
    assert isinstance(load_network(tmp_path / "matching" / "weights.safetensors", CycleISP), CycleISP)


def test_camera_files_are_prepared_and_bad_ones_reported(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for name, pattern in {"a": "RGGB", "b": "GBRG"}.items():
        mosaic = rng.integers(64, 1024, (96, 96), dtype=np.uint16)
        write_dng(tmp_path / "raw" / f"{name}.dng", mosaic, pattern, xyz2cam=np.eye(3))
    (tmp_path / "raw" / "c.dng").write_bytes(b"no camera file")
    options = ("--config", SMOKE, "--raw", tmp_path / "raw", "--prepared", tmp_path / "prepared", "--device", "cpu")
    real = ("--set", "data.simulated_share=0", "data.holdout_count=1")
    result = call_script(train_rgb2raw, *options, *real, "--run-dir", tmp_path / "run")
    assert result.returncode == 0, result.stderr
    assert "c.dng" in result.stderr and "1 RAW files to train on, 1 held out" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--config", "none.yaml", "--run-dir", "x"), "none.yaml: cannot be read"),
        (("--config", SMOKE, "--set", "train.stepz=1", "--run-dir", "x"), "train.stepz"),
        (("--config", SMOKE, "--run-dir", "x"), "give --photos"),
        (("--config", SMOKE), "--run-dir is needed"),
    ],
)
def test_what_a_user_can_mend_is_one_line(options: tuple[str, ...], message: str) -> None:
    result = call_script(train_rgb2raw, *options)
    assert result.returncode == 2
    assert message in result.stderr and "Traceback" not in result.stderr


def test_two_processes_train_the_network_that_one_does(photos: Path, tmp_path: Path) -> None:
    """Both are started from the shell, by the launcher of PyTorch."""
    options = ("--config", SMOKE, "--photos", str(photos), "--device", "cpu")
    alone = call_script(train_rgb2raw, *options, "--run-dir", tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, str(ROOT / "train_rgb2raw.py"), *options, "--run-dir", str(tmp_path / "together")]
    together = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert together.returncode == 0, together.stderr
    first, second = (load_file(tmp_path / name / "weights.safetensors") for name in ("alone", "together"))
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], atol=1e-4, rtol=0, msg=name)
