"""State dicts as other programs wrap them."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cycleisp.networks import SrgbDenoiser
from cycleisp.networks.pretrained import build, load_network
from cycleisp.utils.weights.errors import WeightsError
from cycleisp.utils.weights.files import load_weights
from cycleisp.utils.weights.formats.dialects import ENTRIES, state_dict_of
from cycleisp.utils.weights.formats.released_layout import to_released
from denoise import main as denoise
from tests.support.pictures import random_picture, write_png
from tests.support.scripts import call_script

SIZES = {"denoiser": {"width": 8, "num_groups": 1, "num_blocks": 1, "reduction": 4, "unshuffle": 1}}
PAPER = {"denoiser": {"width": 64, "num_groups": 4, "num_blocks": 8, "reduction": 16}}
PATH = Path("a.pth")
Wrap = Any


@pytest.fixture(scope="module")
def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return build("SrgbDenoiser", SIZES)


@pytest.fixture(scope="module")
def state(network: nn.Module) -> dict[str, Tensor]:
    return to_released(network.state_dict(), "SrgbDenoiser", SIZES)


def others(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor + 1 for name, tensor in state.items()}


def prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


WRAPPED: dict[str, Wrap] = {
    "bare": lambda state: state,
    "released": lambda state: {"epoch": 3, "state_dict": prefixed("module.", state), "optimizer": {"lr": 0.1}},
    "BasicSR": lambda state: {"params": state},
    "BasicSR, averaged": lambda state: {"params": others(state), "params_ema": state},
    "BasicSR, on several GPUs": lambda state: {"params": prefixed("module.", state)},
    "MMEngine": lambda state: {"meta": {"iter": 7, "cfg": "a = 1"}, "state_dict": state, "message_hub": {}},
    "MMEditing": lambda state: {
        "state_dict": {**prefixed("generator.", state), "step_counter": torch.zeros(1), "loss.weight": torch.ones(2)}
    },
    "MMEditing, averaged": lambda state: {
        "state_dict": {**prefixed("generator.", others(state)), **prefixed("generator_ema.", state)}
    },
    "model": lambda state: {"model": state, "optimizer": {"state": {}, "param_groups": []}},
    "timm": lambda state: {"state_dict": others(state), "state_dict_ema": state},
    "compiled": lambda state: prefixed("module._orig_mod.", state),
    "Lightning": lambda state: {"state_dict": prefixed("model.", state), "global_step": 5, "loops": {}},
    "averaged by PyTorch": lambda state: {"n_averaged": torch.tensor(3), **prefixed("module.", state)},
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("dialect", WRAPPED)
def test_a_dialect_fills_a_network(
    network: nn.Module, state: dict[str, Tensor], tmp_path: Path, dialect: str, legacy: bool
) -> None:
    path = tmp_path / "a.pth"
    torch.save(WRAPPED[dialect](state), path, _use_new_zipfile_serialization=not legacy)
    filled = build("SrgbDenoiser", SIZES)
    load_weights(filled, path)
    for name, tensor in network.state_dict().items():
        assert torch.equal(filled.state_dict()[name], tensor), name


def test_our_own_names_are_taken_from_a_pth(network: nn.Module, tmp_path: Path) -> None:
    torch.save({"params": network.state_dict()}, tmp_path / "a.pth")
    filled = build("SrgbDenoiser", SIZES)
    load_weights(filled, tmp_path / "a.pth")
    assert torch.equal(filled.state_dict()["head.weight"], network.state_dict()["head.weight"])


def test_a_script_takes_a_checkpoint_of_basicsr(state: dict[str, Tensor], tmp_path: Path) -> None:
    said = {"network": "SrgbDenoiser", "sizes": SIZES}
    torch.save({"params_ema": prefixed("module.", state), **said}, tmp_path / "a.pth")
    photo = write_png(tmp_path / "photo.png", random_picture(8, 8))
    result = call_script(denoise, photo, "--output", tmp_path / "out", "--weights", tmp_path / "a.pth")
    assert result.returncode == 0, result.stderr
    torch.save({"params": to_released(SrgbDenoiser().state_dict(), "SrgbDenoiser", PAPER)}, tmp_path / "paper.pth")
    assert load_network(tmp_path / "paper.pth", SrgbDenoiser).head.weight.shape == (64, 3, 3, 3)


def test_what_is_left_out_is_said(state: dict[str, Tensor], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        state_dict_of({"params": state, "params_ema": others(state)}, PATH)
        state_dict_of({**prefixed("generator.", state), "discriminator.0.weight": torch.zeros(1)}, PATH)
    assert "a.pth: holds params_ema and params; params_ema is taken" in caplog.text
    assert "a.pth: takes generator.*, leaves out 1 other entries" in caplog.text


def test_several_networks_are_refused(state: dict[str, Tensor]) -> None:
    with pytest.raises(WeightsError, match=r"a\.pth: holds several networks, by the prefixes 'a\.', 'b\.'"):
        state_dict_of({**prefixed("a.", state), **prefixed("b.", state)}, PATH)


@pytest.mark.parametrize(
    "content", [{}, {"state_dict": {}}, {"params": {"a": 1}}, {"x": 1, "y": [2]}, {7: "seven"}, {"model": None}]
)
def test_a_dict_of_other_things_says_what_it_holds(content: dict[Any, Any]) -> None:
    with pytest.raises(
        WeightsError, match=r"a\.pth: expected a dict with `state_dict`, got .*also taken: .*params_ema"
    ):
        state_dict_of(content, PATH)


def test_moving_averages_come_first() -> None:
    plain = [entry for entry in ENTRIES if "ema" not in entry]
    assert list(ENTRIES[-len(plain) :]) == plain
