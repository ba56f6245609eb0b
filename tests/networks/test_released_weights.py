"""Files in the layout of the released weights.

They give the golden outputs of the authors' networks, and convert to our files and back.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cycleisp.networks import ColorCorrection, CycleISP, Raw2Rgb, RawDenoiser, Rgb2Raw, SrgbDenoiser
from cycleisp.networks.pretrained import build, load_cycleisp, load_network
from cycleisp.utils.fingerprints import file_sha256
from cycleisp.utils.weights.__main__ import main
from cycleisp.utils.weights.conversion import convert
from cycleisp.utils.weights.errors import WeightsError
from cycleisp.utils.weights.files import load_weights, read_metadata, save_weights
from cycleisp.utils.weights.formats.released_files import read_released
from cycleisp.utils.weights.formats.released_layout import BRANCHES
from tests.support.paths import ROOT, shared
from tests.support.scripts import Outcome, call_script
from tests.support.weights import TINY_SIZES

NETWORKS: dict[str, type[nn.Module]] = {
    "rgb2raw": Rgb2Raw,
    "ccm": ColorCorrection,
    "raw2rgb": Raw2Rgb,
    "denoise_raw": RawDenoiser,
    "denoise_rgb": SrgbDenoiser,
}


def released_state(name: str) -> dict[str, Tensor]:
    """Returns the weights behind the golden outputs, by the rule of the parity notes."""
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


# ---------------------------------------------------------------- conversion

TINY = {"width": 8, "num_groups": 2, "num_blocks": 3, "reduction": 4}
PLAIN_SIZES: dict[str, dict[str, Any]] = {
    name: {kind.part: kind.sizes.model_validate(TINY).model_dump()} for name, kind in BRANCHES.items()
}


def inputs(kind: str, width: int, seed: int = 1) -> list[Tensor]:
    """Returns an input for a network of this kind."""
    generator = torch.Generator().manual_seed(seed)
    photo, raw = torch.rand(1, 3, 16, 24, generator=generator), torch.rand(1, 4, 8, 12, generator=generator)
    if kind == "Raw2Rgb":
        return [raw, torch.rand(1, width, 8, 12, generator=generator)]
    return [raw, 0.01 * raw + 0.001] if kind == "RawDenoiser" else [photo]


def output(network: nn.Module, width: int) -> Tensor:
    with torch.inference_mode():
        return network(*inputs(type(network).__name__, width))


def in_force(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns a released state as a network uses it.

    The last copy of the PReLU stands everywhere, and the unused layer is zero.
    """
    slopes = [tensor for name, tensor in state.items() if tensor.ndim == 1 and name.endswith("weight")]
    expected = {}
    for name, tensor in state.items():
        expected[name] = slopes[-1] if tensor.ndim == 1 and name.endswith("weight") else tensor
        if name.startswith("conv1x1.0"):
            expected[name] = torch.zeros_like(tensor)
    return expected


@pytest.mark.parametrize("name", NETWORKS)
def test_released_to_ours_to_released(tmp_path: Path, name: str) -> None:
    state, network_class = released_state(name), NETWORKS[name]
    source = write_released(tmp_path / "released.pth", state)
    convert(source, tmp_path / "ours.safetensors")
    convert(tmp_path / "ours.safetensors", tmp_path / "back.pth")
    back = read_released(tmp_path / "back.pth")
    assert list(back) == [key for key, _ in json.loads((shared("parity") / "checkpoint_keys.json").read_text())[name]]
    for key, tensor in in_force(state).items():
        assert torch.equal(back[key], tensor), key
    directly = network_class()
    load_weights(directly, source)
    width = state["head.0.weight"].shape[0]
    expected = output(directly, width)
    for file in ("ours.safetensors", "back.pth"):
        assert torch.equal(output(load_network(tmp_path / file, network_class), width), expected), file


def write_ours(path: Path, kind: str, sizes: dict[str, Any]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        network = build(kind, sizes)
        for name, parameter in network.named_parameters():
            if name.endswith("activation.weight"):
                nn.init.uniform_(parameter)
    save_weights(path, network, {"network": kind, "sizes": sizes, "recipe": "seed: 4", "step": 7})
    return network


@pytest.mark.parametrize("kind", PLAIN_SIZES)
def test_ours_to_released_to_ours(tmp_path: Path, kind: str) -> None:
    network = write_ours(tmp_path / "ours.safetensors", kind, PLAIN_SIZES[kind])
    convert(tmp_path / "ours.safetensors", tmp_path / "released.pth")
    convert(tmp_path / "released.pth", tmp_path / "again.safetensors")  # it says which network it holds
    again = load_network(tmp_path / "again.safetensors", type(network))
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in network.state_dict().items())
    assert read_metadata(tmp_path / "again.safetensors")["step"] == 7
    bare = build(kind, PLAIN_SIZES[kind])
    load_weights(bare, tmp_path / "released.pth")
    assert torch.equal(output(bare, TINY["width"]), output(network, TINY["width"]))


def test_a_card_says_what_was_made_from_what(tmp_path: Path) -> None:
    write_ours(tmp_path / "ours.safetensors", "Raw2Rgb", PLAIN_SIZES["Raw2Rgb"])
    card = convert(tmp_path / "ours.safetensors", tmp_path / "released.pth")
    assert card == (tmp_path / "released.md").read_text()
    for fact in (
        "`Raw2Rgb`",
        "width 8, num_groups 2, num_blocks 3, reduction 4",
        f"`ours.safetensors`, SHA-256 `{file_sha256(tmp_path / 'ours.safetensors')}`",
        f"`{file_sha256(tmp_path / 'released.pth')}`",
        "non-commercial",
        "filled with zeros",
    ):
        assert fact in card, fact
    count = sum(parameter.numel() for parameter in build("Raw2Rgb", PLAIN_SIZES["Raw2Rgb"]).parameters())
    assert f"{count:,} parameters" in card
    assert "filled with zeros" not in convert(tmp_path / "released.pth", tmp_path / "again.safetensors")


def convert_by_script(*options: object) -> Outcome:
    result = call_script(main, "convert", *options)
    assert "Traceback" not in result.stderr
    return result


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        ("SrgbDenoiser", {"unshuffle": 2}),
        ("RawDenoiser", {"stabilized": True}),
        ("Rgb2Raw", {"companded": True}),
        ("Raw2Rgb", {"companded": True}),
        ("ColorCorrection", {"blur": "full"}),
    ],
)
def test_what_the_layout_cannot_express_is_refused(tmp_path: Path, kind: str, option: dict[str, Any]) -> None:
    key, source = BRANCHES[kind].part, tmp_path / "ours.safetensors"
    branch = PLAIN_SIZES[kind][key]
    sizes = {key: branch, **option} if "stabilized" in option else {key: {**branch, **option}}
    write_ours(source, kind, sizes)
    result = convert_by_script(source, tmp_path / "released.pth")
    assert result.returncode == 2
    ((name, value),) = option.items()
    assert f"ours.safetensors: the released layout cannot express {name}={value}" in result.stderr
    assert not (tmp_path / "released.pth").exists()


def test_three_branches_in_one_file_are_refused(tmp_path: Path) -> None:
    write_ours(tmp_path / "isp.safetensors", "CycleISP", TINY_SIZES)
    result = convert_by_script(tmp_path / "isp.safetensors", tmp_path / "isp.pth")
    assert "a released file holds one branch, this one a CycleISP" in result.stderr


def test_two_networks_of_one_layout_are_told_apart_by_the_user(tmp_path: Path) -> None:
    network = write_ours(tmp_path / "ours.safetensors", "Rgb2Raw", PLAIN_SIZES["Rgb2Raw"])
    convert(tmp_path / "ours.safetensors", tmp_path / "said.pth")
    source = write_released(tmp_path / "silent.pth", read_released(tmp_path / "said.pth"))
    result = convert_by_script(source, tmp_path / "a.safetensors")
    assert result.returncode == 2
    assert "Rgb2Raw and SrgbDenoiser of these sizes look the same; say which one it is" in result.stderr
    result = convert_by_script(source, tmp_path / "a.safetensors", "--network", "RawDenoiser")
    assert "looks like Rgb2Raw or SrgbDenoiser, not like RawDenoiser" in result.stderr
    assert convert_by_script(source, tmp_path / "a.safetensors", "--network", "Rgb2Raw").returncode == 0
    converted = load_network(tmp_path / "a.safetensors", Rgb2Raw)
    assert torch.equal(output(converted, TINY["width"]), output(network, TINY["width"]))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"head.0.bias": None}, "no whole RawDenoiser: it lacks 1 entries, first 'head.bias'"),
        ({"more.weight": torch.zeros(3)}, "has 1 that it knows not, first 'more.weight'"),
        ({"head.0.weight": None}, "no branch of CycleISP"),
        ({"head.0.weight": torch.zeros(8, 5, 3, 3)}, "no branch of CycleISP has 5 channels in and 4 out"),
        ({"blur.weight": torch.zeros(3, 1, 21, 21)}, "its blur of .* is not the released one"),
    ],
)
def test_what_is_no_branch_is_refused(tmp_path: Path, change: dict[str, Tensor | None], complaint: str) -> None:
    write_ours(tmp_path / "ours.safetensors", "RawDenoiser", PLAIN_SIZES["RawDenoiser"])
    convert(tmp_path / "ours.safetensors", tmp_path / "whole.pth")
    state = {**read_released(tmp_path / "whole.pth"), **change}
    kept = {name: tensor for name, tensor in state.items() if tensor is not None}
    source = write_released(tmp_path / "broken.pth", kept)
    result = convert_by_script(source, tmp_path / "a.safetensors")
    assert result.returncode == 2
    assert re.search(rf"broken\.pth: .*{complaint}", result.stderr)
    assert not (tmp_path / "a.safetensors").exists()


def test_code_in_a_pickle_is_not_converted_and_never_runs(tmp_path: Path) -> None:
    class Exploit:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "owned",)

    torch.save({"state_dict": {"head.0.weight": torch.zeros(1)}, "epoch": Exploit()}, tmp_path / "evil.pth")
    result = convert_by_script(tmp_path / "evil.pth", tmp_path / "a.safetensors")
    assert result.returncode == 2
    assert "evil.pth: refused" in result.stderr
    assert not (tmp_path / "owned").exists()
    assert not (tmp_path / "a.safetensors").exists()


def test_nothing_is_overwritten_and_suffixes_must_differ(tmp_path: Path) -> None:
    source = tmp_path / "ours.safetensors"
    write_ours(source, "RawDenoiser", PLAIN_SIZES["RawDenoiser"])
    (tmp_path / "a.md").write_text("notes")
    for destination, complaint in [
        ("a.pth", "a.md: exists; give another destination"),
        ("b.safetensors", "expected .pth to .safetensors, or .safetensors to .pth"),
        ("b.onnx", "expected .pth to .safetensors"),
    ]:
        result = convert_by_script(source, tmp_path / destination)
        assert result.returncode == 2
        assert complaint in result.stderr
    assert (tmp_path / "a.md").read_text() == "notes"
    assert (
        "none.pth: no such weight file" in convert_by_script(tmp_path / "none.pth", tmp_path / "c.safetensors").stderr
    )


def test_the_command_of_the_documentation(tmp_path: Path) -> None:
    write_ours(tmp_path / "ours.safetensors", "RawDenoiser", PLAIN_SIZES["RawDenoiser"])
    command = [sys.executable, "-m", "cycleisp.utils.weights", "convert", "ours.safetensors", "released.pth"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == (tmp_path / "released.md").read_text()
    assert (tmp_path / "released.pth").is_file()
