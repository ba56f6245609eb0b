"""export_onnx.py as users call it: a shipped network, its card, and what it refuses."""

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from cycleisp.networks.inference.batched import BatchDenoiser
from cycleisp.networks.onnx_files import models
from cycleisp.networks.pretrained import load_denoiser
from cycleisp.tasks.exporting import PACKAGES
from export_onnx import main
from tests.support.pictures import random_picture
from tests.support.scripts import call_script, error_line

NEEDS = {name: importlib.util.find_spec(name) is not None for name in PACKAGES}
needs_packages = pytest.mark.skipif(
    not all(NEEDS.values()), reason="ONNX files need the extra onnx: onnx, onnxscript and onnxruntime"
)


@needs_packages
def test_a_shipped_network_in_float16(tmp_path: Path) -> None:
    """The result loses less than 0.02 dB against the clean picture, at an odd size, in a batch."""
    file = tmp_path / "fast.onnx"
    done = call_script(main, "--weights", "fast_srgb", "--output", file, "--half")
    assert done.returncode == 0, done.stderr
    assert file.stat().st_size < 1_300_000  # 475,764 parameters of two bytes each
    clean = torch.from_numpy(random_picture(75, 93)).permute(2, 0, 1)[None].float() / 255
    noisy = (clean + 0.08 * torch.randn(2, *clean.shape[1:], generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    network, sha256 = load_denoiser("fast_srgb", "srgb")
    ours, theirs = BatchDenoiser(network)(noisy).numpy(), models.in_onnx_runtime(file.read_bytes(), [noisy])
    psnrs = [-10 * np.log10(np.square(np.clip(one, 0, 1) - clean.numpy()).mean()) for one in (ours, theirs)]
    assert abs(psnrs[0] - psnrs[1]) < 0.02
    card = file.with_suffix(".md").read_text(encoding="utf-8")
    assert sha256 in card and hashlib.sha256(file.read_bytes()).hexdigest() in card
    assert "Apache-2.0" in card and "CC0" in card and "PSNR" in card and "`noisy`" in card
    again = error_line(call_script(main, "--weights", "fast_srgb", "--output", file))
    assert "exists" in again and "--overwrite" in again


@needs_packages
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--weights", "nothing"], "nothing: neither a file nor shipped weights"),
        (["--weights", "compact_isp"], "is a CycleISP; give --part rgb2raw or --part raw2rgb"),
        (["--weights", "fast_srgb", "--part", "rgb2raw"], "which has no parts"),
        (["--weights", "fast_srgb", "--noise", "shot=0.01,read=0.0005"], "takes no noise level"),
        (["--weights", "base_raw", "--noise", "dnd"], "expected one level"),
        (["--weights", "fast_srgb", "--tile", "500"], "--tile 500: expected a multiple of 8 pixels"),
        (["--weights", "fast_srgb", "--output", "nowhere/f.onnx"], "there is no folder nowhere"),
        (["--weights", "fast_srgb", "--output", "f.pt"], "expected a file FILE.onnx"),
    ],
)
def test_one_line_says_what_is_wrong(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    output = [] if "--output" in options else ["--output", "f.onnx"]
    assert said in error_line(call_script(main, *options, *output))
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    said = error_line(call_script(main, "--weights", "fast_srgb", "--output", tmp_path / "f.onnx"))
    assert "pip install onnx onnxscript onnxruntime" in said
