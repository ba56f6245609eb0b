"""benchmarks/onnx_windows.py: what it compares, and the table of its figures."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import onnx_windows
from benchmarks.onnx_windows import compare, inputs_of, main
from cycleisp.networks import SrgbDenoiser
from cycleisp.tasks.exporting import Exported
from cycleisp.utils.crop import Crop
from cycleisp.utils.errors import UserError
from cycleisp.utils.onnx_denoiser import open_onnx
from tests.support.onnx_files import smoothed, write_onnx
from tests.support.pictures import random_mosaic, random_picture, write_dng, write_png
from tests.support.scripts import call_script, error_line


def test_a_piece_of_raw_comes_with_the_variance_of_its_noise(tmp_path: Path) -> None:
    mosaic = random_mosaic(32, 48)
    frame = write_dng(tmp_path / "frame.dng", mosaic, noise_profile=[0.01, 1e-4])
    whole, variance = inputs_of(frame, "raw", None)
    assert whole.shape == variance.shape == (1, 4, 16, 24)
    np.testing.assert_allclose(variance, 0.01 * whole + 1e-4, rtol=1e-5)
    piece, _ = inputs_of(frame, "raw", Crop(8, 4, 20, 16))
    np.testing.assert_array_equal(piece, whole[:, :, 2:10, 4:14])
    with pytest.raises(UserError, match=r"frame\.dng: the weights are for srgb"):
        inputs_of(frame, "srgb", None)


def test_results_apart_are_told_in_decibels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that smooths is compared with a network that changes nothing."""
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package, reason="ONNX files need the extra onnx: onnx and onnxruntime")
    photo = write_png(tmp_path / "photo.png", random_picture(24, 40))
    images = inputs_of(photo, "srgb", Crop(0, 0, 32, 20))
    network = SrgbDenoiser(width=8, num_groups=1, num_blocks=1, reduction=2).eval().requires_grad_(False)
    torch.nn.init.zeros_(network.tail.weight)
    torch.nn.init.zeros_(network.tail.bias)
    file = write_onnx(tmp_path / "smooth.onnx", 3, side=8)
    decibels, largest = compare(network, open_onnx(file), images)
    change = smoothed(images[0]).clip(0, 1) - images[0]
    assert decibels == pytest.approx(-10 * np.log10(np.square(change).mean()), abs=1e-3)
    assert largest == pytest.approx(np.abs(change).max(), abs=1e-6)

    monkeypatch.setattr(onnx_windows, "load_any", lambda name: network)
    monkeypatch.setattr(onnx_windows, "export_onnx", lambda *_args, **_options: Exported(file, file, ""))
    done = call_script(main, "--weights", "tiny", "--tile", "8", "--crop", "0,0,32,20", photo)
    row = f"| photo.png | 32x20 | 8 | {decibels:.2f} | {largest:.4f} |"
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == row


def test_a_network_that_is_no_denoiser_is_refused(tmp_path: Path) -> None:
    line = error_line(call_script(main, "--weights", "compact_isp", tmp_path / "a.png"))
    assert line.endswith("--weights compact_isp: is a CycleISP; this benchmark is for denoisers")
