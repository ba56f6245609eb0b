"""Every command that the documentation shows works.

The pages are README.md, CONTRIBUTING.md and docs/, and the docstrings of scripts. The commands of
README.md and of a guide run in their order in one folder, in which their placeholders, such as
PHOTOS, are small folders:

- denoise.py, generate_data.py, match_colors.py, calibrate_camera.py and the preparation of RAW run
  as they are shown;
- training runs for one step, with small networks and patches, but for the networks that begin with
  shipped weights.

The others are checked by the parsers of their options and recipes alone: what needs SIDD, DND, the
network, a GPU, several processes or minutes (test_sidd.py, test_dnd.py, download_models.py,
torchrun, conversion of weights, benchmarks), which have tests of their own; the pages in docs/lab,
whose data we name but do not ship; and docstrings, whose commands are in the guides as well.
"""

import argparse
import importlib
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from cycleisp.utils.processes.apart import SWITCH
from tests.support.documentation import PAGES, Command, pages_with_commands, write_placeholders
from tests.support.paths import ROOT
from tests.support.scripts import call_script

RUN_AS_SHOWN = (
    "denoise.py",
    "generate_data.py",
    "match_colors.py",
    "calibrate_camera.py",
    "-m cycleisp.dataloaders.training",
)
TRAINING = ("train_denoiser.py", "train_raw2rgb.py", "train_rgb2raw.py")
SHORT = [
    "train.steps=1",
    "train.batch_size=1",
    "train.workers=0",
    "train.warmup=0",
    "train.milestones=[]",
    "train.compiled=false",
    "data.patch_size=32",
    "data.validation_size=32",
    "data.validation_patches=1",
]
SMALL = [
    f"network.{part}.{size}"
    for part in ("rgb2raw", "raw2rgb", "color_correction")
    for size in ("width=8", "num_groups=1", "num_blocks=1", "reduction=4")
]
SMALL_DENOISER = ["network.denoiser." + size for size in ("width=8", "num_groups=1", "num_blocks=1", "reduction=4")]
SMALL_GATED = ["network.gated." + size for size in ("width=8", "encoder=[1,1]", "decoder=[1]")]
GATED = {f"configs/compact/denoiser_{name}.yaml" for name in ("srgb_base", "srgb_base_grown", "srgb_fast", "raw_base")}
FOUND = list(pages_with_commands())


class ParsedError(Exception):
    """The command line is right, and nothing more is to be done."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_placeholders(tmp_path)
    monkeypatch.setenv(SWITCH, "0")  # readers in this process, which saves starting others
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("page", "commands"), FOUND, ids=[path.relative_to(ROOT).as_posix() for path, _ in FOUND])
def test_every_command_works(folder: Path, page: Path, commands: list[Command]) -> None:
    runs = page.suffix == ".md" and page.parent != ROOT / "docs" / "lab"
    for command in commands:
        check(command, runs)


def check(command: Command, runs: bool) -> None:
    """Runs a command, or parses it; see the top of this file."""
    runs = runs and command.words[0] == "python"
    if command.words[0] == "make":
        targets = [word for word in command.words[1:] if "=" not in word]
        assert targets and all(is_target(target) for target in targets), command.text
    elif command.script == "-m pytest":
        assert all((ROOT / path).exists() for path in command.options if not path.startswith("-")), command.text
    elif command.script in TRAINING:
        run(command, with_settings(command) if runs else [*command.options, "--dry-run"])
    elif runs and command.script in RUN_AS_SHOWN:
        run(command, command.options)
    elif command.script:
        parse(command)
    else:
        raise AssertionError(f"{command.text}: neither make nor a script; extend this test")


def run(command: Command, options: list[str]) -> None:
    result = call_script(main_of(command.script), *options)
    assert result.returncode == 0, f"{command.text}\n{result.stderr}"


def parse(command: Command) -> None:
    """Parses a command line, and leaves the script before it does anything."""
    parse_args = argparse.ArgumentParser.parse_args

    def parse_and_leave(self: argparse.ArgumentParser, *args: Any, **options: Any) -> None:
        parse_args(self, *args, **options)
        raise ParsedError

    with (
        mock.patch.object(argparse.ArgumentParser, "parse_args", parse_and_leave),
        mock.patch.object(sys, "argv", [command.script, *command.options]),
    ):
        try:
            main_of(command.script)()
        except ParsedError:
            return
        except SystemExit as left:
            raise AssertionError(f"{command.text}: its options are not understood") from left
    raise AssertionError(f"{command.text}: has parsed no options")


def with_settings(command: Command) -> list[str]:
    """Returns the options of a training with the settings that make it short."""
    options, settings = command.options, list(SHORT)
    if command.script == "train_denoiser.py":
        if "compact_srgb" not in options:  # whose network has its own sizes
            settings += SMALL_GATED if GATED & set(options) else SMALL_DENOISER
    elif "compact_isp" not in options:  # whose networks have their own sizes
        settings += SMALL
    if "--set" not in options:
        return [*options, "--set", *settings]
    place = options.index("--set") + 1
    return [*options[:place], *settings, *options[place:]]


def main_of(script: str) -> Callable[[], int | None]:
    """Returns the function `main` of a script or of a module with `-m`."""
    if script.startswith("-m "):
        module = script.removeprefix("-m ")
        if module.startswith("benchmarks."):
            return importlib.import_module(module).main
        assert module.startswith("cycleisp."), script
        return importlib.import_module(f"{module}.__main__").main
    assert (ROOT / script).is_file(), f"{script}: no such script"
    with mock.patch.object(sys, "path", [str((ROOT / script).parent), *sys.path]):
        return runpy.run_path(str(ROOT / script), run_name="documentation")["main"]


def is_target(name: str) -> bool:
    return re.search(rf"^{re.escape(name)}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE) is not None


def test_most_pages_show_commands() -> None:
    """Says that the reader of the pages finds what is there."""
    shown = {path.relative_to(ROOT).as_posix(): len(commands) for path, commands in FOUND}
    assert shown["README.md"] >= 6
    assert shown["docs/guides/train_isp.md"] >= 9
    assert shown["docs/guides/train_denoiser.md"] >= 9
    assert shown["train_rgb2raw.py"] == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pages_assume_that_the_environment_is_active(page: Path) -> None:
    """How to activate it is said in README.md and in the guide to installing."""
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"\.venv/bin/(?!activate)\S*", text) == []
    says_how = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs" / "guides" / "install.md")
    assert (".venv/bin/activate" in text) == (page in says_how)
