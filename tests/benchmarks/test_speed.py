"""The yardstick of benchmarks/speed.py computes what the networks compute, and the benchmark
measures both.
"""

import json
import math
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks import reference, speed
from benchmarks.speed import CASES as SPEED_CASES
from benchmarks.speed import HEADINGS, Work, flops, main
from cycleisp.networks import RawDenoiser, Rgb2Raw, SrgbDenoiser
from cycleisp.networks.pretrained import CLASSES
from cycleisp.utils.weights.kinds import KINDS
from tests.support.scripts import call_script

SMALL = {"width": 8, "num_groups": 2, "num_blocks": 2, "reduction": 2}
CASES = {
    "srgb_denoiser": (SrgbDenoiser, reference.srgb_denoiser, (3,)),
    "raw_denoiser": (RawDenoiser, reference.raw_denoiser, (4, 4)),
    "rgb2raw": (Rgb2Raw, reference.rgb2raw, (3,)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_plain_forward_is_the_networks(name: str) -> None:
    build, plain, channels = CASES[name]
    torch.manual_seed(0)
    network = build(**SMALL).eval()
    images = [torch.rand(2, count, 18, 14) for count in channels]
    expected = network(*images)  # with autograd: the modules that are trained
    torch.testing.assert_close(plain(network, *images), expected, atol=1e-5, rtol=1e-5)


def test_the_arithmetic_is_that_of_the_paper() -> None:
    """184.1 and 203.3 G multiply-adds on 256x256 pixels, all of it counted; two operations each."""
    assert flops(SPEED_CASES["srgb_denoiser"]) * 256**2 / 2e9 == pytest.approx(184.1, rel=0.005)
    assert flops(SPEED_CASES["rgb2raw"]) * 256**2 / 2e9 == pytest.approx(203.3, rel=0.005)


@pytest.fixture
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts small networks in place of the paper's, and runs further processes in this one."""

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return call_script(main, *command[2:])  # after Python and the script

    for name, case in SPEED_CASES.items():
        monkeypatch.setitem(SPEED_CASES, name, replace(case, build=partial(case.build, **SMALL)))
    monkeypatch.setattr(speed.subprocess, "run", run)


def test_every_denoiser_of_the_table_can_be_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network without a twin in reference.py is compared with its own plain modules."""
    monkeypatch.setattr(speed, "alone", lambda *_: (1, 1.0))  # memory has tests of its own
    denoisers = {CLASSES[kind.name] for kind in KINDS.values() if kind.denoises}
    assert {case.build for case in SPEED_CASES.values()} == {Rgb2Raw, *denoisers}
    figures = tmp_path / "speed.json"
    options = ["--networks", "raw_gated_denoiser", "--sizes", "16x16", "--repeats", 1, "--warm-up", 0]
    result = call_script(main, *options, "--device", "cpu", "--json", figures)
    assert result.returncode == 0, result.stderr
    [row] = json.loads(figures.read_text())
    assert row["gigaflops"] > 0 and row["plain_seconds"] > 0 and row["difference"] < 1e-4


@pytest.mark.usefixtures("small_networks")
@pytest.mark.parametrize("training", [False, True])
def test_a_table_with_every_figure(training: bool, tmp_path: Path) -> None:
    figures = tmp_path / "speed.json"
    options = ["--networks", "rgb2raw", "--sizes", "32x16", "--repeats", 1, "--warm-up", 0, "--device", "cpu"]
    options += ["--training", "--batch", 2] if training else []
    result = call_script(main, *options, "--json", figures)
    assert result.returncode == 0, result.stderr
    header, _, row = (line for line in result.stdout.splitlines() if line.startswith("|"))
    assert [cell.strip() for cell in header.strip("|").split("|")] == HEADINGS
    assert all(cell.strip() for cell in row.strip("|").split("|"))
    [stored] = json.loads(figures.read_text())
    assert (stored["height"], stored["width"], stored["batch"]) == (16, 32, 2 if training else 1)
    arithmetic = flops(SPEED_CASES["rgb2raw"]) * 32 * 16 / 1e9
    assert stored["gigaflops"] == pytest.approx(6 * arithmetic if training else arithmetic)
    assert stored["plain_seconds"] > 0 and stored["fast_seconds"] > 0 and stored["difference"] < 1e-4


def test_a_size_that_is_none_is_one_clear_line() -> None:
    result = call_script(main, "--sizes", "large")
    assert result.returncode == 2 and "--sizes large: expected WIDTHxHEIGHT" in result.stderr


@pytest.mark.usefixtures("small_networks")
def test_one_turn_each_is_for_large_photos(tmp_path: Path) -> None:
    """For photos too large to be timed seven times, and for the plain forward's memory."""
    figures = tmp_path / "speed.json"
    options = ["--networks", "srgb_denoiser", "--sizes", "16x16", "--device", "cpu", "--once", "--json", figures]
    assert call_script(main, *options).returncode == 0
    assert call_script(main, *options, "--skip-plain").returncode == 0
    both, ours = json.loads(figures.read_text())
    assert both["plain_seconds"] > 0 and both["fast_seconds"] > 0
    assert both["ratio"] == pytest.approx(both["plain_seconds"] / both["fast_seconds"])
    assert math.isnan(ours["plain_seconds"]) and ours["fast_seconds"] > 0


def test_memory_is_that_of_a_process_of_its_own() -> None:
    """Training, since then the turns that only load code are of 32x32 pixels and not of 160x160."""
    work = Work(height=16, width=16, batch=2, training=True, precision="float32", device=torch.device("cpu"))
    memory, seconds = speed.alone("srgb_denoiser", work, "fast")
    assert memory > 0 and seconds > 0
