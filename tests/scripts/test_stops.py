"""Ctrl-C and SIGTERM while the scripts work: one line, their status, nothing half written.

Each script gets a signal just before it writes one of its files, goes on with the same command, and
gets the other one. Then it ends as if there had been none; test_kills.py compares the files.
"""

import hashlib
import re
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from tests.support.calibration_frames import write_calibration
from tests.support.dnd import fake_images, write_dnd
from tests.support.forks import REGISTRY, Ended, Forks
from tests.support.pairs import write_pair
from tests.support.pictures import random_mosaic, random_picture, write_dng, write_png
from tests.support.sidd import some_blocks, with_noise, write_validation
from tests.support.weights import ENTRY, write_registry

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
SIGNALS = {signal.SIGINT: (130, "Ctrl-C"), signal.SIGTERM: (143, "SIGTERM")}
AT_WRITE = {signal.SIGINT: 10, signal.SIGTERM: 7}  # of the files of the results, so that work has begun
OUT = object()  # stands for the folder of the results
OUT_YAML, OUT_HTML = object(), object()  # for files in it


@dataclass(frozen=True)
class Case:
    """A script at work.

    Attributes:
        script: its module.
        options: makes its inputs in a folder, and returns its options.
        at_write: when each signal comes.
        goes_on_in_parts: whether files that are there in part stay, for the next run to go on with.
    """

    script: str
    options: Callable[[Path, dict[str, Path]], tuple[object, ...]]
    at_write: Mapping[int, int] = field(default_factory=lambda: AT_WRITE)
    goes_on_in_parts: bool = False


def _photos(folder: Path, count: int = 3, side: int = 48) -> Path:
    for seed in range(count):
        write_png(folder / "photos" / f"{seed}.png", random_picture(side, side, seed=seed))
    return folder / "photos"


def _denoise(data: Path, weights: dict[str, Path]) -> tuple[object, ...]:
    return (_photos(data), "--output", OUT, "--weights", weights["srgb"], "--device", "cpu")


def _denoise_raw(data: Path, weights: dict[str, Path]) -> tuple[object, ...]:
    for seed in range(2):
        write_dng(data / "raw" / f"{seed}.dng", random_mosaic(40, 48, seed), noise_profile=[0.01, 0.0001])
    return (data / "raw", "--output", OUT, "--weights", weights["raw"], "--device", "cpu")


def _generate(data: Path, weights: dict[str, Path]) -> tuple[object, ...]:
    return ("--input", _photos(data), "--output", OUT, "--weights", weights["isp"], "--device", "cpu", "--preview")


def _match(data: Path, weights: dict[str, Path]) -> tuple[object, ...]:
    photos = _photos(data, side=16)
    shutil.copytree(photos, data / "targets")
    return ("--source", photos, "--target", data / "targets", "--output", OUT, "--weights", weights["isp"], "--luts")


def _sidd(data: Path, weights: dict[str, Path]) -> tuple[object, ...]:
    clean = some_blocks("srgb")
    write_validation(data / "SIDD", with_noise(clean), clean)
    return ("--data", data / "SIDD", "--output", OUT, "--weights", weights["srgb"], "--batch-size", 64)


def _dnd(data: Path, weights: dict[str, Path]) -> tuple[object, ...]:
    write_dnd(data / "DND", fake_images())
    return ("--data", data / "DND", "--space", "raw", "--output", OUT, "--weights", weights["raw"], "--previews")


def _download(data: Path, weights: dict[str, Path]) -> tuple[object, ...]:
    entries = []
    (data / "elsewhere").mkdir(parents=True)
    for name in "abc":
        path = data / "elsewhere" / f"{name}.pth"
        torch.save({"state_dict": {name: torch.zeros(30000)}}, path)
        content = path.read_bytes()
        facts = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "sources": [path.as_uri()]}
        entries.append({**ENTRY, "name": name, "file": f"released/{name}.pth", **facts})
    (data / "registry").mkdir()
    write_registry(data / "registry", *entries)
    return ("--all",)


def _real_noise(data: Path, weights: dict[str, Path]) -> tuple[object, ...]:
    for seed in range(2):
        write_pair(data / "pairs", f"{seed}", random_picture(16, 16, seed=seed), random_picture(16, 16, seed=seed))
    return ("--data", data / "pairs", "--denoisers", weights["srgb"], "--output", OUT, "--device", "cpu")


def _calibrate(data: Path, weights: dict[str, Path]) -> tuple[object, ...]:
    frames = write_calibration(data / "frames", levels=2, darks=2)
    return ("--frames", frames, "--output", OUT_YAML, "--report", OUT_HTML, "--overwrite")


CASES = {
    # it writes at the end alone: the report, and then the noise file
    "calibrate_camera.py": Case("calibrate_camera", _calibrate, {signal.SIGINT: 2, signal.SIGTERM: 6}),
    "denoise.py": Case("denoise", _denoise),
    "denoise.py, camera files": Case("denoise", _denoise_raw),
    "generate_data.py": Case("generate_data", _generate),
    "match_colors.py": Case("match_colors", _match),
    "test_sidd.py": Case("test_sidd", _sidd),
    "test_dnd.py": Case("test_dnd", _dnd),
    "download_models.py": Case("download_models", _download, goes_on_in_parts=True),
    "benchmarks/real_noise.py": Case("benchmarks.real_noise", _real_noise),
}


@pytest.mark.parametrize("name", CASES)
def test_a_signal_ends_a_script_in_order(
    forks: Forks, tmp_path: Path, weights: dict[str, Path], tiny_weights: Path, name: str
) -> None:
    case = CASES[name]
    options = case.options(tmp_path / "data", {**weights, "isp": tiny_weights})

    def run(folder: Path, **stop: float) -> Ended:
        places = {REGISTRY: str(tmp_path / "data" / "registry")} if case.script == "download_models" else {}
        places |= {"CYCLEISP_WEIGHTS": str(folder)} if places else {}
        places_of = {OUT: folder, OUT_YAML: folder / "my.yaml", OUT_HTML: folder / "report.html"}
        given = [places_of.get(option, option) for option in options]
        return forks.run(case.script, *given, folder=folder, **places, **stop)

    def parts() -> list[Path]:
        return list(tmp_path.joinpath("work", "out").rglob("*.part"))

    for number, (status, words) in SIGNALS.items():
        ended = run(tmp_path / "work" / "out", number=number, at_write=case.at_write[number])
        assert ended.status == status, f"{ended.status} after {ended.writes} writes\n{ended.err}"
        last = [line for line in re.split(r"[\r\n]+", ended.err) if line][-1]
        assert last.startswith(f"stopped by {words}; "), ended.err
        assert not re.search("Traceback|^error: |Exception", ended.err, re.MULTILINE), ended.err
        assert case.goes_on_in_parts or not parts()
    again = run(tmp_path / "work" / "out")
    assert again.status == 0, again.err
    assert not parts()
