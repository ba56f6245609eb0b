"""The yardstick of benchmarks/speed.py computes what the networks compute, and the benchmark
measures both.
"""

import json
import math
from pathlib import Path

import pytest
import torch

from benchmarks import reference
from benchmarks.speed import CASES as SPEED_CASES
from benchmarks.speed import HEADINGS, flops, main
from cycleisp.networks import RawDenoiser, Rgb2Raw, SrgbDenoiser
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


def test_one_turn_each_in_a_process_of_its_own(tmp_path: Path) -> None:
    """For photos too large to be timed seven times, and for the plain forward's memory."""
    figures = tmp_path / "speed.json"
    options = ["--networks", "srgb_denoiser", "--sizes", "16x16", "--device", "cpu", "--once", "--json", figures]
    assert call_script(main, *options).returncode == 0
    assert call_script(main, *options, "--skip-plain").returncode == 0
    both, ours = json.loads(figures.read_text())
    assert both["plain_seconds"] > 0 and both["fast_seconds"] > 0
    assert both["ratio"] == pytest.approx(both["plain_seconds"] / both["fast_seconds"])
    assert math.isnan(ours["plain_seconds"]) and ours["fast_seconds"] > 0
