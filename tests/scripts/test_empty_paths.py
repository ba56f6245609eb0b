"""Empty paths on the command line: refused in one line, before anything is written."""

import importlib
from pathlib import Path

import pytest

from tests.support.scripts import call_script, error_line

LINES = {
    "calibrate_camera": ("--frames", "frames", "--output="),
    "denoise": ("a.png", "--output", ""),
    "generate_data": ("--input", "a.png", "--output", ""),
    "match_colors": ("--source", "a.png", "--target", "b.png", "--output="),
    "test_sidd": ("--data", "", "--output", "out"),
    "test_dnd": ("--data", "data", "--space", "raw", "--output", ""),
    "train_denoiser": ("--config", "denoiser_smoke.yaml", "--space", "srgb", "--photos", "a.png", "--run-dir", ""),
    "train_rgb2raw": ("--config", "smoke.yaml", "--photos", "a.png", "--prepared", "", "--run-dir", "run"),
    "train_raw2rgb": ("--config", "smoke.yaml", "--photos", "a.png", "--run-dir="),
    "download_models": ("",),
}


@pytest.mark.parametrize("script", LINES)
def test_nothing_is_written_to_the_present_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.chdir(tmp_path)
    line = error_line(call_script(importlib.import_module(script).main, *LINES[script]))
    assert "is empty, as by a variable of the shell that is not set" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("recipe", ["output: ''\ninput: [a.png]\n", "output: out\ninput: ['']\n"])
def test_a_recipe_is_held_to_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.yaml").write_text(recipe)
    line = error_line(call_script(importlib.import_module("generate_data").main, "--config", "pairs.yaml"))
    assert "should have at least 1 character" in line
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.yaml"]
