"""Training on the camera's own JPEGs, as users call it."""

import json
from pathlib import Path

import yaml

from cycleisp.dataloaders.training.__main__ import main as prepare
from cycleisp.utils.config import IspRecipe, load_recipe
from tests.support.camera_jpegs import write_shot
from tests.support.paths import ROOT
from tests.support.scripts import call_script, error_line
from train_raw2rgb import main as train_raw2rgb
from train_rgb2raw import main as train_rgb2raw

SHORT = ("--set", "train.steps=2", "data.simulated_share=0", "data.holdout_by=file", "data.validation_patches=1")


def test_the_shipped_recipe_takes_the_cameras_jpegs() -> None:
    recipe = load_recipe(IspRecipe, "own_camera.yaml")
    assert recipe.data.render == "camera"
    assert recipe.data.simulated_share == 0  # simulated cameras have LibRaw's look


def test_networks_train_on_the_cameras_jpegs_and_remember_it(tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        write_shot(tmp_path / "raw", name, seed)
    write_shot(tmp_path / "raw", "bare", 5, place="nowhere")
    prepared = tmp_path / "prepared"
    made = call_script(prepare, "--input", tmp_path / "raw", "--output", prepared, "--render", "camera")
    assert made.stdout.splitlines()[-1].startswith("2 pairs ready")
    common = ("--config", ROOT / "configs" / "smoke.yaml", "--raw", tmp_path / "raw", "--device", "cpu", *SHORT)
    camera = (*common, "--render", "camera", "--prepared", prepared)
    for number, train in enumerate((train_raw2rgb, train_rgb2raw)):
        run = tmp_path / f"run{number}"
        result = call_script(train, *camera, "--run-dir", run)
        assert result.returncode == 0, result.stderr
        assert "skipped" in result.stderr and "set the camera to RAW" in result.stderr
        assert yaml.safe_load((run / "recipe.yaml").read_text())["data"]["render"] == "camera"
    other = call_script(train_rgb2raw, *common, "--prepared", tmp_path / "libraw", "--run-dir", tmp_path / "run1")
    assert "data.render" in error_line(other)
    mixed = call_script(train_rgb2raw, *common, "--prepared", prepared, "--run-dir", tmp_path / "run2")
    assert "holds pairs with the camera's JPEG" in error_line(mixed)
    assert json.loads((prepared / "a.json").read_text())["source"]["render"] == "camera"
