"""What several test files share: a tiny CycleISP, test pictures, and both as files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cycleisp.networks import pretrained
from cycleisp.networks.cycleisp import CycleISP
from cycleisp.utils.weights import registry
from cycleisp.utils.weights.files import save_weights
from tests.support.pictures import random_picture, write_png

_BRANCH = {"width": 8, "num_groups": 1, "num_blocks": 1, "reduction": 8}
TINY_SIZES: dict[str, dict[str, Any]] = {
    "rgb2raw": {**_BRANCH, "unshuffle": 2},
    "raw2rgb": _BRANCH,
    "color_correction": {**_BRANCH, "unshuffle": 2},
}

DENOISER_SIZES = {"denoiser": {"width": 8, "num_groups": 1, "num_blocks": 1, "reduction": 4, "unshuffle": 2}}


@pytest.fixture(scope="session")
def tiny_isp() -> CycleISP:
    """Random weights that never change; RAW and sRGB come out around middle grey, so that little of it is clipped."""
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
    """Random and identity denoisers of either space, by name: srgb, raw, srgb-identity, raw-identity."""
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
    """A folder of weights in place of pretrained_models, its registry not yet written."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setattr(registry, "FOLDER", folder)
    return folder


@pytest.fixture
def photo_file(tmp_path: Path) -> Callable[..., Path]:
    """`photo_file("photos/a.png", 24, 32, np.uint16)` writes a random photo below tmp_path."""

    def write(name: str, height: int = 24, width: int = 32, dtype: type = np.uint8, seed: int = 0) -> Path:
        picture: NDArray = random_picture(height, width, dtype, seed)
        return write_png(tmp_path / name, picture)

    return write
