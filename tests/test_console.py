"""The command `cycleisp`: it lists all scripts at once, and runs them as Python does."""

import subprocess
import sys
from pathlib import Path

import pytest

import cycleisp
from cycleisp.console import commands, main
from tests.support.paths import ROOT
from tests.support.pictures import random_picture, write_png
from tests.support.scripts import Outcome, call_script

SCRIPTS = {path.stem.replace("_", "-") for path in ROOT.glob("*.py")} - {"setup"}


def call(*words: object) -> Outcome:
    return call_script(main, *words)


def test_every_script_is_a_command_with_one_sentence() -> None:
    assert commands().keys() >= SCRIPTS | {"pairs", "prepare-raw", "weights"}
    said = call("--help")
    assert said.returncode == 0
    lines = dict(line.split(maxsplit=1) for line in said.stdout.partition("commands:\n")[2].splitlines())
    assert lines.keys() == commands().keys()
    assert lines["denoise"] == "Denoise photos and camera RAW files."
    assert all(sentence[0].isupper() and sentence.count(".") >= 1 for sentence in lines.values())


def test_the_list_comes_without_any_library() -> None:
    code = (
        "import contextlib, sys; sys.argv = ['cycleisp', '--help']; from cycleisp.console import main\n"
        "with contextlib.suppress(SystemExit): main()\n"
        "print(sorted({'torch', 'numpy', 'pydantic', 'tqdm', 'cv2'} & sys.modules.keys()))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert "train-denoiser" in said and said.endswith("[]\n")


@pytest.mark.parametrize("name", ["generate-data", "generate_data"])
def test_help_of_a_command_names_the_command(name: str) -> None:
    said = call(name, "--help")
    assert said.returncode == 0
    assert said.stdout.startswith("usage: cycleisp generate-data ")
    assert "\n    cycleisp generate-data --input PHOTOS" in said.stdout
    assert "generate_data.py --" not in said.stdout


def test_a_command_works_as_its_script(tmp_path: Path) -> None:
    photo = write_png(tmp_path / "a.png", random_picture(16, 24))
    done = call("denoise", photo, "--output", tmp_path / "out", "--weights", "fast_srgb", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "1 denoised, 0 kept from before, 0 skipped" in done.stdout
    refused = call("denoise", tmp_path / "gone.png", "--output", tmp_path / "out")
    assert refused.returncode == 2
    assert refused.stderr.strip().endswith(f"error: {tmp_path / 'gone.png'}: no such file or folder")


def test_a_module_with_a_command_line_is_a_command(tmp_path: Path) -> None:
    refused = call("weights", "halve", tmp_path / "a.pth", tmp_path / "b.pth")
    assert refused.returncode == 2 and "expected two .safetensors" in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [(["denois"], "did you mean denoise?"), (["xyz"], "see cycleisp --help"), ([], "required: COMMAND")],
)
def test_what_is_no_command_is_refused(words: list[str], said: str) -> None:
    refused = call(*words)
    assert refused.returncode == 2 and said in refused.stderr


def test_it_says_its_version() -> None:
    assert call("--version").stdout == f"cycleisp {cycleisp.__version__}\n"
