"""The commands that the documentation shows, and the small files that they are run on."""

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cycleisp import console
from tests.support.calibration_frames import CAMERA, write_calibration, write_frame
from tests.support.calibration_frames import scene as still_scene
from tests.support.camera_jpegs import write_shot
from tests.support.paths import ROOT
from tests.support.pictures import random_mosaic, random_picture, write_dng, write_png
from tests.support.real_noise import SCENES, write_known_cameras, write_scene

PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
SCRIPTS = (*sorted(ROOT.glob("*.py")), *sorted((ROOT / "benchmarks").glob("*.py")))
ROOMS = (ROOT / "dataloaders" / "training", ROOT / "dataloaders" / "pairs", ROOT / "utils" / "weights")
MODULES = tuple(room / "__main__.py" for room in ROOMS)
PROGRAMS = ("python", "torchrun", "make", "cycleisp")

SIDE = 64  # of the fabricated pictures


@dataclass(frozen=True)
class Command:
    """One command line of the documentation.

    Attributes:
        text: as it is shown, on one line.
        words: as a shell splits it.
    """

    text: str
    words: tuple[str, ...]

    @property
    def script(self) -> str:
        """Returns the script's path in the repository, or `-m MODULE`; "" without either."""
        if self.words[0] == "make":
            return ""
        if self.words[0] == "cycleisp":
            path = console.commands()[self.words[1]]
            return path.name if path.parent == ROOT else f"-m {console.MODULES[self.words[1]]}"
        for first, second in zip(self.words, (*self.words[1:], ""), strict=True):
            if first == "-m":
                return f"-m {second}"
            if first.endswith(".py"):
                return first
        return ""

    @property
    def options(self) -> list[str]:
        """Returns what stands after the script."""
        place = 1 if self.words[0] == "cycleisp" else self.words.index(self.script.removeprefix("-m "))
        return list(self.words[place + 1 :])


def commands_of(path: Path) -> list[Command]:
    """Returns the commands of a page of Markdown or of a script's docstring, in their order.

    They are the lines of blocks, indented or fenced, that begin with a program's name, with the
    lines that a backslash continues; and code inside of a line that has a program and its options.
    A page's `...` stands for what the reader knows already, so that such lines are left out.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        text = ast.get_docstring(ast.parse(text)) or ""
    found = []
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.startswith("    ") or re.match(rf"({'|'.join(PROGRAMS)}) ", line):
            shown = [line.strip()]
        else:
            shown = [code for code in re.findall(r"`([^`]+)`", line) if " " in code]
        found += [command for code in shown if (command := _command(code)) is not None]
    return found


def _command(code: str) -> Command | None:
    code = re.split(r"\s{3,}", code)[0]  # what it does may stand behind it
    if code.split(" ")[0] not in PROGRAMS or "..." in code or code == "cycleisp --help":
        return None
    return Command(code, tuple(shlex.split(code, comments=True)))


def pages_with_commands() -> Iterator[tuple[Path, list[Command]]]:
    """Yields the pages, scripts and modules that show commands."""
    for path in (*PAGES, *SCRIPTS, *MODULES):
        if commands := commands_of(path):
            yield path, commands


def write_placeholders(folder: Path) -> None:
    """Writes small files under the names that the documentation uses, and links the recipes."""
    (folder / "configs").symlink_to(ROOT / "configs")
    for name in ("PHOTOS", "MIRFLICKR", "LEFT", "RIGHT", "FILM"):
        for seed in range(3):
            write_png(folder / name / f"{seed}.png", random_picture(SIDE, SIDE + 16, seed=seed))
    for name in ("LEFT.png", "RIGHT.png", "GRADED.png"):
        write_png(folder / name, random_picture(SIDE, SIDE + 16))
    for name in ("RAWS", "FIVEK", "FRAMES/night"):
        for seed in range(3):
            write_dng(folder / name / f"DSC0{seed}.dng", random_mosaic(SIDE, SIDE, seed), xyz2cam=np.eye(3))
    for seed in range(3):
        write_shot(folder / "RAWS_AND_JPEGS", f"DSC0{seed}", seed)
    write_calibration(folder / "CALIBRATION")
    for seed in range(2):
        write_frame(folder / "RAWS_OF_MY_CAMERA" / f"{seed}.dng", CAMERA.frame(still_scene(), seed), 800, 0.1)
    for name in ("OWN", "OTHER"):
        for seed in range(3):
            for kind in ("noisy", "clean"):
                write_png(folder / name / kind / f"{seed}.png", random_picture(SIDE, SIDE, seed=seed))
    write_known_cameras(folder / "SIDD_RAW")
    for scene in list(SCENES.values())[:2]:
        light = random_picture(SIDE, SIDE, np.uint16)[..., 1].astype(np.float64) / 65535
        write_scene(folder / "SIDD_RAW", scene, None, light)
        grey = np.round(255 * light ** (1 / 2.2)).astype(np.uint8)
        photo = np.ascontiguousarray(np.repeat(grey[..., None], 3, axis=2))
        for kind in ("GT", "NOISY"):
            write_png(folder / "SIDD_SRGB" / scene / f"{scene[:4]}_{kind}_SRGB_010.PNG", photo)
