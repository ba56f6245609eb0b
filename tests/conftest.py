"""Fixtures that many tests share: tiny networks and their files, photos, a folder of weights."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cycleisp.networks import pretrained
from cycleisp.networks.cycleisp import CycleISP
from cycleisp.utils.weights import folders
from cycleisp.utils.weights.files import save_weights
from tests.support.pictures import random_picture, write_png
from tests.support.weights import DENOISER_SIZES, TINY_SIZES


def pytest_configure() -> None:
    """Lets Ctrl-C count again where a shell has started the tests in the background.

    Such a shell makes its processes, and all that they start, ignore it.
    """
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny_isp() -> CycleISP:
    """A CycleISP with random weights that never change.

    RAW and sRGB come out around middle grey, so that little of them is clipped.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(20)
        network = pretrained.build("CycleISP", TINY_SIZES)
    assert isinstance(network, CycleISP)
    network.eval().requires_grad_(False)
    network.rgb2raw.tail.bias.fill_(0.4)
    network.guided_raw2rgb.raw2rgb.to_rgb.bias.fill_(0.5)
    return network


@pytest.fixture(scope="session")
def tiny_weights(tiny_isp: CycleISP, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_isp` as a file that generate_data.py takes as --weights."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(path, tiny_isp, {"network": "CycleISP", "sizes": TINY_SIZES})
    return path


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of denoisers, random and identity, by name: srgb, raw, srgb-identity, raw-identity."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        for space, kind in (("srgb", "SrgbDenoiser"), ("raw", "RawDenoiser")):
            network = pretrained.build(kind, DENOISER_SIZES)
            for name in (space, f"{space}-identity"):
                paths[name] = folder / f"{name}.safetensors"
                save_weights(paths[name], network, {"network": kind, "sizes": DENOISER_SIZES})
                torch.nn.init.zeros_(network.tail.weight)  # type: ignore[arg-type, union-attr]
                torch.nn.init.zeros_(network.tail.bias)  # type: ignore[arg-type, union-attr]
    return paths


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of weights of a checkout, in place of the real one; it has no registry yet.

    Fetched files come to lie there, too, and never in a real folder.
    """
    folder = tmp_path / "checkout" / "pretrained_models"
    folder.mkdir(parents=True)
    (folder.parent / "setup.py").touch()  # which makes it a checkout
    monkeypatch.setattr(folders, "SHIPPED", folder)
    monkeypatch.delenv(folders.VARIABLE, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return folder


@pytest.fixture
def photo_file(tmp_path: Path) -> Callable[..., Path]:
    """A function: `photo_file("photos/a.png", 24, 32, np.uint16)` writes a photo below tmp_path."""

    def write(name: str, height: int = 24, width: int = 32, dtype: type = np.uint8, seed: int = 0) -> Path:
        picture: NDArray = random_picture(height, width, dtype, seed)
        return write_png(tmp_path / name, picture)

    return write
