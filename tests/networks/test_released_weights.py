"""The released function: golden outputs of the authors' networks, through files in the layout of their weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from networks import ColorCorrection, CycleISP, Raw2Rgb, RawDenoiser, Rgb2Raw, SrgbDenoiser
from networks.pretrained import load_cycleisp
from tests.paths import shared
from utils.checkpoint import WeightsError, load_weights

NETWORKS: dict[str, type[nn.Module]] = {
    "rgb2raw": Rgb2Raw,
    "ccm": ColorCorrection,
    "raw2rgb": Raw2Rgb,
    "denoise_raw": RawDenoiser,
    "denoise_rgb": SrgbDenoiser,
}


def released_state(name: str) -> dict[str, Tensor]:
    """The weights that the golden outputs were made with, in the order and by the rule of the parity notes."""
    keys = json.loads((shared("parity") / "checkpoint_keys.json").read_text())[name]
    rng = np.random.default_rng(7)
    state = {}
    for key, shape in keys:
        if key == "blur.weight":
            line = np.exp(-0.5 * (np.arange(-10, 11) / 12.0) ** 2)
            kernel = np.outer(line, line) / np.outer(line, line).sum()
            state[key] = torch.tensor(np.broadcast_to(kernel, shape).astype(np.float32))
            continue
        drawn = rng.standard_normal(shape).astype(np.float32)
        if len(shape) == 4:
            drawn = drawn / np.sqrt(np.prod(shape[1:])).astype(np.float32)
        else:
            drawn = 0.01 * drawn if key.endswith("bias") else 0.25 * np.abs(drawn)
        state[key] = torch.from_numpy(drawn.astype(np.float32))
    return state


def write_released(path: Path, state: dict[str, Tensor], prefix: str = "module.") -> Path:
    named = {prefix + key: tensor for key, tensor in state.items()}
    torch.save({"epoch": 1, "state_dict": named, "optimizer": {"state": {}}}, path)
    return path


@pytest.mark.parametrize("prefix", ["", "module."])
def test_golden_outputs(tmp_path: Path, prefix: str) -> None:
    golden = {key: torch.from_numpy(value) for key, value in np.load(shared("parity") / "golden.npz").items()}
    networks = {}
    for name, network_class in NETWORKS.items():
        networks[name] = network_class()
        load_weights(networks[name], write_released(tmp_path / f"{name}.pth", released_state(name), prefix))
    with torch.inference_mode():
        color_map = networks["ccm"](golden["rgb"])
        outputs = {
            "rgb2raw": networks["rgb2raw"](golden["rgb"]),
            "ccm": color_map,
            "raw2rgb": networks["raw2rgb"](golden["raw"], color_map),
            "denoise_raw": networks["denoise_raw"](golden["raw"], golden["variance"]),
            "denoise_rgb": networks["denoise_rgb"](golden["rgb"]),
        }
    for name, output in outputs.items():
        assert (output - golden[name]).abs().max() < 1e-4 * golden[name].std(), name


def test_a_folder_of_released_files_is_a_cycleisp(tmp_path: Path) -> None:
    for file, name in {"rgb2raw_joint": "rgb2raw", "raw2rgb_joint": "raw2rgb", "ccm_joint": "ccm"}.items():
        write_released(tmp_path / f"{file}.pth", released_state(name))
    network, sha256 = load_cycleisp(tmp_path)
    assert isinstance(network, CycleISP)
    assert len(sha256.split("+")) == 3


def test_another_networks_file_is_refused(tmp_path: Path) -> None:
    path = write_released(tmp_path / "raw.pth", released_state("denoise_raw"))
    with pytest.raises(WeightsError, match=r"raw\.pth: head\.weight has shape .* needs"):
        load_weights(SrgbDenoiser(), path)
    with pytest.raises(WeightsError, match="not the weights of this Rgb2Raw"):
        load_weights(Rgb2Raw(), path)


@pytest.mark.parametrize("missing", ["head.0.bias", "body.1.body.0.body.1.weight", "body.0.body.2.conv1x1.weight"])
def test_every_entry_must_be_there(tmp_path: Path, missing: str) -> None:
    state = released_state("rgb2raw")
    del state[missing]
    with pytest.raises(WeightsError, match="lacks 1"):
        load_weights(Rgb2Raw(), write_released(tmp_path / "short.pth", state))


def test_a_blur_of_another_width_is_refused(tmp_path: Path) -> None:
    path = write_released(tmp_path / "ccm.pth", released_state("ccm"))
    with pytest.raises(WeightsError, match="blur='released'"):
        load_weights(ColorCorrection(blur="full"), path)
