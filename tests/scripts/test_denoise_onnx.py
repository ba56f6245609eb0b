"""denoise.py with ONNX files: as PyTorch's networks, and without PyTorch at all."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cycleisp.dataloaders.photos import read_photo
from cycleisp.networks.onnx_files import models
from cycleisp.networks.onnx_files.contracts import contract_for, graph_for
from cycleisp.networks.onnx_files.origins import Origin
from cycleisp.networks.pretrained import load_denoiser
from cycleisp.utils.processes.apart import SWITCH
from cycleisp.utils.raw.camera_files import read_raw
from denoise import main
from tests.support.onnx_files import write_onnx
from tests.support.paths import ROOT
from tests.support.pictures import random_mosaic, random_picture, write_dng, write_png
from tests.support.reports import read_page
from tests.support.scripts import Outcome, call_script, error_line

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package, reason="ONNX files need the extra onnx: onnx, onnxscript and onnxruntime")

NEEDED = ("torch", "torchvision", "cv2", "scipy", "numba", "skimage", "lightning", "tensorboard", "h5py", "safetensors")
# Refuses to import what the small installation lacks, and runs the script.
ALONE = f"""
import importlib.util, sys
missing = {NEEDED!r}
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in missing else found(name, *rest)
import denoise
from cycleisp.utils.cli import run_script
try:
    run_script(denoise.main)
finally:
    assert not any(name in sys.modules for name in missing)
"""


def denoise(*options: object) -> Outcome:
    return call_script(main, *options)


def alone(*options: object) -> subprocess.CompletedProcess[str]:
    """Runs denoise.py in a process in which nothing but the small installation can be imported."""
    command = [sys.executable, "-c", ALONE, *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_an_exported_network_gives_what_pytorch_gives(tmp_path: Path, weights: dict[str, Path]) -> None:
    network = load_denoiser(weights["raw"], "raw")[0]
    contract = contract_for(network)
    model = models.to_model(graph_for(network), contract)
    known = models.facts(contract, Origin("tiny", ""), "RawDenoiser", None, half=False)
    (tmp_path / "raw.onnx").write_bytes(models.to_bytes(model, known))
    write_dng(tmp_path / "in" / "a.dng", random_mosaic(65, 80), "GRBG", noise_profile=[0.01, 1e-4])
    for name, given in (("torch", weights["raw"]), ("onnx", tmp_path / "raw.onnx")):
        result = denoise(tmp_path / "in", "--output", tmp_path / name, "--weights", given)
        assert result.returncode == 0, result.stderr
    first, second = (read_raw(tmp_path / name / "a.dng") for name in ("torch", "onnx"))
    np.testing.assert_allclose(second.mosaic, first.mosaic, atol=1e-4)
    assert np.abs(first.mosaic - read_raw(tmp_path / "in" / "a.dng").mosaic).max() > 0.01


def test_photos_and_raw_are_denoised_where_there_is_no_pytorch(tmp_path: Path) -> None:
    write_png(tmp_path / "in" / "a.png", random_picture(31, 45))
    write_png(tmp_path / "in" / "deep.png", random_picture(8, 8, np.uint16))
    photo = write_onnx(tmp_path / "photo.onnx", 3)
    report = tmp_path / "report.html"
    line = ("--output", tmp_path / "out", "--weights", photo, "--report", report)
    result = alone(tmp_path / "in", *line)
    assert result.returncode == 1, result.stderr  # 16 bits of a PNG need OpenCV
    assert "deep.png: a PNG of 16 bits can be read with OpenCV alone" in result.stdout
    assert "ONNX Runtime" in read_page(report).text
    (tmp_path / "in" / "deep.png").unlink()
    assert denoise(tmp_path / "in", "--output", tmp_path / "usual", "--weights", photo).returncode == 0
    ours, usual = (read_photo(tmp_path / folder / "a.png") for folder in ("out", "usual"))
    np.testing.assert_array_equal(ours, usual)

    write_dng(tmp_path / "raw" / "b.dng", random_mosaic(64, 80), noise_profile=[0.01, 1e-4])
    raw = write_onnx(tmp_path / "raw.onnx", 4)
    result = alone(tmp_path / "raw", "--output", tmp_path / "out", "--weights", raw, "--luma", 0.5)
    assert result.returncode == 0, result.stderr
    assert denoise(tmp_path / "raw", "--output", tmp_path / "usual", "--weights", raw, "--luma", 0.5).returncode == 0
    ours, usual = (read_raw(tmp_path / folder / "b.dng") for folder in ("out", "usual"))
    np.testing.assert_array_equal(ours.mosaic, usual.mosaic)
    result = alone(tmp_path / "raw", "--output", tmp_path / "other", "--weights", "compact_raw")
    assert "PyTorch is not installed" in result.stderr and result.returncode == 2


def test_a_file_for_one_level_takes_no_other(tmp_path: Path) -> None:
    write_dng(tmp_path / "in" / "a.dng", random_mosaic(64, 80))
    fixed = write_onnx(tmp_path / "raw.onnx", 4, side=16, level="shot=0.01,read=0.0005")
    line = (tmp_path / "in", "--output", tmp_path / "out", "--weights", fixed)
    assert "is made for shot=0.01,read=0.0005; leave --noise out" in error_line(
        denoise(*line, "--noise", "shot=0.1,read=0.1")
    )
    result = denoise(*line, "--crop", "4,6,20,10")
    assert result.returncode == 0, result.stderr
    assert "noise from --noise, shot=0.01,read=0.0005" in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--runtime", "onnx"), "--runtime onnx: give a file that export_onnx.py has written"),
        (("--weights", "no.onnx"), "no.onnx: cannot be read"),
        (("--weights", "no.onnx", "--device", "cuda"), "ONNX files run on the CPU here"),
        (("--weights", "no.onnx", "--precision", "bf16"), "an ONNX file has its own precision"),
        (("--weights", "no.onnx", "--keep-brightness"), "--keep-brightness needs PyTorch"),
    ],
)
def test_what_onnx_files_cannot_is_said(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    photo = write_png(tmp_path / "a.png", random_picture(8, 8))
    assert words in error_line(denoise(photo, "--output", tmp_path / "out", *options))
