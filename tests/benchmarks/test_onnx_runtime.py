"""benchmarks/onnx_runtime.py: the pictures it measures with, and the table of its figures."""

import json

import numpy as np
import pytest
import torch

from benchmarks import onnx_runtime
from benchmarks.onnx_runtime import DEVIATION, RUNTIMES, Row, main, pictures
from cycleisp.networks.onnx_files import models
from tests.support.scripts import call_script, error_line


def test_pictures_have_the_noise_that_the_page_states() -> None:
    clean, (noisy,) = pictures("srgb", 600, 40)  # more rows than the photo has
    inside = (clean > 4 * DEVIATION) & (clean < 1 - 4 * DEVIATION)
    assert (noisy - clean)[inside].std() == pytest.approx(DEVIATION, rel=0.02)
    clean, (noisy, variance) = pictures("raw", 96, 128)
    assert clean.shape == noisy.shape == variance.shape == (1, 4, 96, 128)
    torch.testing.assert_close(variance, 0.005 * noisy + 0.0001)
    assert ((noisy - clean) ** 2 / variance).mean() == pytest.approx(1, rel=0.1)


def test_the_table_has_a_row_for_every_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports and processes are replaced; the next test runs what a process runs."""
    monkeypatch.setattr(onnx_runtime, "export_onnx", lambda *_args, **_options: None)
    monkeypatch.setattr(
        onnx_runtime,
        "measure",
        lambda weights, runtime, _file, size, _args: Row(
            weights, runtime, *size, seconds=0.02, bytes=3_000_000, psnr=30
        ),
    )
    shown = call_script(main, "--weights", "fast_srgb", "--sizes", "200x100").stdout.splitlines()[-len(RUNTIMES) :]
    assert shown == [f"| fast_srgb | {runtime} | 200x100 | 1.00 | 150 | 30.000 |" for runtime in RUNTIMES]
    assert "this benchmark is for denoisers" in error_line(call_script(main, "--weights", "compact_isp"))


def test_a_process_measures_time_memory_and_what_is_left_of_noise() -> None:
    done = call_script(main, "--alone", "ours", "none", "--weights", "fast_srgb", "--sizes", "96x64", "--repeats", "1")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["seconds"] > 0 and figures["bytes"] >= 0 and 28 < figures["psnr"] < 45


def test_a_result_that_is_not_finite_differs_without_end() -> None:
    assert models.largest_difference(np.zeros(2, np.float32), np.array([0, np.nan], np.float32)) == np.inf
