"""What a weight file claims is compared with what it stores before memory is taken for it."""

import io
import json
import pickle
import resource
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from cycleisp.networks import SrgbDenoiser, pretrained
from cycleisp.networks.pretrained import build, load_any, load_network
from cycleisp.utils.weights.errors import WeightsError
from cycleisp.utils.weights.files import load_weights, save_weights
from cycleisp.utils.weights.formats.released_files import read_released
from cycleisp.utils.weights.formats.released_layout import to_released
from cycleisp.utils.weights.kinds import KINDS, default_sizes
from denoise import main as denoise
from tests.support.pictures import random_picture, write_png
from tests.support.scripts import call_script, error_line

BRANCH = {"width": 8, "num_groups": 1, "num_blocks": 1, "reduction": 4}
TINY = {**BRANCH, "unshuffle": 1}
GATED = {"width": 4, "encoder": [1, 1], "decoder": [1], "unshuffle": 1}
SIZES = {"raw2rgb": BRANCH, "gated": GATED}  # of the parts that TINY is not for


@pytest.fixture
def network() -> nn.Module:
    return build("SrgbDenoiser", {"denoiser": TINY})


@pytest.fixture
def only_skeletons(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets networks be built without memory only."""

    def build_without_memory(kind: str, sizes: Any) -> nn.Module:
        network = build(kind, sizes)
        assert all(parameter.is_meta for parameter in network.parameters()), "memory is taken for a mere claim"
        return network

    monkeypatch.setattr(pretrained, "build", build_without_memory)


CLAIMS: dict[str, dict[str, Any]] = {
    "width": {"denoiser": {**TINY, "width": 8192}},
    "any width": {"denoiser": {**TINY, "width": 10**30}},
    "groups": {"denoiser": {**TINY, "num_groups": 10**9}},
    "blocks": {"denoiser": {**TINY, "num_blocks": 10**300}},
    "reduction": {"denoiser": {**TINY, "reduction": 1}},
    "negative": {"denoiser": {**TINY, "width": -8}},
    "zero": {"denoiser": {**TINY, "num_groups": 0}},
    "text": {"denoiser": {**TINY, "width": "8192"}},
    "fraction": {"denoiser": {**TINY, "width": 8.5}},
    "not a number": {"denoiser": {**TINY, "width": float("nan")}},
    "null": {"denoiser": None},
    "a list": {"denoiser": [8, 1, 1]},
    "another part": {"rgb2raw": TINY},
    "unknown option": {"denoiser": {**TINY, "__class__": "x"}},
}


@pytest.mark.usefixtures("only_skeletons")
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("case", CLAIMS)
def test_a_claim_takes_no_memory(network: nn.Module, tmp_path: Path, case: str, suffix: str) -> None:
    path, said = tmp_path / f"a.{suffix}", {"network": "SrgbDenoiser", "sizes": CLAIMS[case]}
    if suffix == "pth":
        torch.save({"state_dict": to_released(network.state_dict(), "SrgbDenoiser", {"denoiser": TINY}), **said}, path)
    else:
        save_weights(path, network, said)
    with pytest.raises(WeightsError, match=rf"a\.{suffix}: (its sizes are none|these are not the weights|.*has shape)"):
        load_any(path)


@pytest.mark.usefixtures("only_skeletons")
@pytest.mark.parametrize(
    "claim",
    [
        {"width": 16384},
        {"encoder": [1024, 1024], "decoder": [1024]},
        {"encoder": [1] * 8, "decoder": [1] * 7, "width": 16384},
        {"encoder": [10**300, 1]},
        {"encoder": [1] * 9, "decoder": [1] * 8},
        {"encoder": [0, 1]},
        {"encoder": 2},
        {"decoder": []},
        {"num_groups": 1},
    ],
)
def test_a_claim_of_a_gated_network_takes_no_memory(tmp_path: Path, claim: dict[str, Any]) -> None:
    path = tmp_path / "a.safetensors"
    with torch.device("meta"):
        shapes = build("SrgbGatedDenoiser", {"gated": GATED})
    said = {"network": "SrgbGatedDenoiser", "sizes": {"gated": {**GATED, **claim}}}
    save_weights(path, shapes.to_empty(device="cpu"), said)
    refused = r"a\.safetensors: (its sizes are none|these are not the weights|.*has shape)"
    with pytest.raises(WeightsError, match=refused):
        load_any(path)


@pytest.mark.parametrize("value", [None, 7, "text", [], ["SrgbDenoiser"], {"a": 1}, "CycleISP", "Module"])
def test_a_header_that_names_no_network_is_one_error(network: nn.Module, tmp_path: Path, value: object) -> None:
    save_weights(tmp_path / "a.safetensors", network, {"network": value, "sizes": {"denoiser": TINY}})
    with pytest.raises(WeightsError, match=r"a\.safetensors: "):
        load_network(tmp_path / "a.safetensors", SrgbDenoiser)


def test_a_script_refuses_what_claims_ten_gigabytes(network: nn.Module, tmp_path: Path) -> None:
    save_weights(tmp_path / "a.safetensors", network, {"network": "SrgbDenoiser", "sizes": CLAIMS["width"]})
    photo = write_png(tmp_path / "photo.png", random_picture(8, 8))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = call_script(denoise, photo, "--output", tmp_path / "out", "--weights", tmp_path / "a.safetensors")
    assert "has shape" in error_line(result)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # KiB


@pytest.mark.parametrize("kind", KINDS)
def test_networks_without_memory_have_the_shapes_of_true_ones(kind: str) -> None:
    sizes = {part: SIZES.get(part, TINY) for part in default_sizes(kind)}
    with torch.device("meta"):
        skeleton = build(kind, sizes).state_dict()
    true = build(kind, sizes).state_dict()
    assert {name: tensor.shape for name, tensor in skeleton.items()} == {n: tensor.shape for n, tensor in true.items()}


def test_options_can_be_tried_without_memory() -> None:
    with torch.device("meta"):
        build("Raw2Rgb", {"raw2rgb": {**BRANCH, "companded": True}})
        build("RawDenoiser", {"denoiser": TINY, "stabilized": True})


# ---------------------------------------------------------------- tensors of other kinds


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(network: nn.Module, tmp_path: Path, value: float) -> None:
    with torch.no_grad():
        network.tail.bias[1] = value  # type: ignore[union-attr, operator, index]
    save_weights(tmp_path / "a.safetensors", network, {})
    with pytest.raises(WeightsError, match=r"tail\.bias holds values that are not finite"):
        load_weights(network, tmp_path / "a.safetensors")


@pytest.mark.parametrize("kind", ["whole numbers", "complex", "sparse", "meta"])
def test_tensors_of_other_kinds_are_refused(network: nn.Module, tmp_path: Path, kind: str) -> None:
    change: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "whole numbers": lambda tensor: tensor.int(),
        "complex": lambda tensor: tensor.to(torch.complex64),
        "sparse": lambda tensor: torch.zeros(tensor.shape).to_sparse(),
        "meta": lambda tensor: tensor.to("meta"),
    }
    state = to_released(network.state_dict(), "SrgbDenoiser", {"denoiser": TINY})
    state["head.0.weight"] = change[kind](state["head.0.weight"])
    torch.save({"state_dict": state}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"a\.pth: "):
        load_weights(network, tmp_path / "a.pth")


# ---------------------------------------------------------------- files of PyTorch


def saved(path: Path, content: object, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def rezipped(path: Path, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """Writes the entries of an archive anew, with right checksums."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, change(name, content))
    return path


def test_a_compressed_archive_is_read_within_limits(tmp_path: Path) -> None:
    state = {"head.0.weight": torch.rand(100)}
    path = rezipped(saved(tmp_path / "a.pth", {"params": state}), lambda _, content: content, zipfile.ZIP_DEFLATED)
    assert torch.equal(read_released(path)["head.0.weight"], state["head.0.weight"])
    bomb = saved(tmp_path / "bomb.pth", {"params": {"head.0.weight": torch.zeros(30 << 20)}})
    rezipped(bomb, lambda _, content: content, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 1 << 20
    with pytest.raises(WeightsError, match=r"bomb\.pth: claims to unpack to 125,\d+,\d+ bytes"):
        read_released(bomb)


def test_a_tensor_larger_than_its_bytes_is_refused(tmp_path: Path) -> None:
    """Some versions of PyTorch read past the end of what is stored."""

    def lie(name: str, content: bytes) -> bytes:
        return content.replace(b"K\x04t", b"M\xff\x7ft").replace(b"K\x04\x85", b"M\xff\x7f\x85")

    path = rezipped(saved(tmp_path / "a.pth", {"a": torch.arange(4.0)}), lie)
    with pytest.raises(WeightsError, match=r"a\.pth: claims 131068 bytes for a tensor of which 16 are stored"):
        read_released(path)
    old = saved(tmp_path / "old.pth", {"a": torch.arange(4.0)}, legacy=True)
    old.write_bytes(old.read_bytes().replace(b"K\x04Nt", b"\x8a\x05" + struct.pack("<Q", 10**11)[:5] + b"Nt"))
    with pytest.raises(WeightsError, match=r"old\.pth: claims 400000000000 bytes of tensors"):
        read_released(old)


def test_one_number_shown_as_a_billion_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pth", {"a": torch.zeros(1).expand(1 << 15, 1 << 15)})
    with pytest.raises(WeightsError, match=r"a\.pth: claims tensors of 4,294,967,296 bytes"):
        read_released(path)


def test_every_flipped_bit_of_a_pth_is_found_or_changes_nothing(tmp_path: Path) -> None:
    state = {"head.0.weight": torch.arange(6.0), "head.0.bias": torch.tensor([0.5])}
    path = saved(tmp_path / "a.pth", {"state_dict": state})
    content = bytearray(path.read_bytes())
    found = 0
    for bit in range(0, 8 * len(content), 41):
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        content[bit // 8] ^= 1 << bit % 8
        try:
            read = read_released(path)
        except WeightsError:
            found += 1
            continue
        assert read.keys() == state.keys()
        assert all(torch.equal(read[name], state[name]) for name in state), bit
    assert found > 50


@pytest.mark.parametrize("case", ["twice", "huge list", "no list", "odd claim"])
def test_an_odd_archive_is_one_error(tmp_path: Path, case: str) -> None:
    path = saved(tmp_path / "a.pth", {"a": torch.zeros(2)})
    if case == "twice":
        with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a/data.pkl", b"x")
    else:
        lists = {"huge list": b"\x80\x02" + b"0" * (5 << 20), "no list": b"", "odd claim": b"\x80\x02K\x01Q."}
        rezipped(path, lambda name, content: lists[case] if name.endswith("data.pkl") else content)
    with pytest.raises(WeightsError, match=r"a\.pth: ") as error:
        read_released(path)
    assert "\n" not in str(error.value)


def test_what_more_than_tensors_a_file_names_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pth", {"state_dict": {"a": torch.zeros(1)}, "log": io.StringIO("x"), "path": Path("x")})
    with pytest.raises(WeightsError, match=r"a\.pth: refused, holds more than tensors .*_io\.StringIO.*save the state"):
        read_released(path)
    path.write_bytes(pickle.dumps(json.JSONDecodeError("a", "b", 0)))
    with pytest.raises(WeightsError, match=r"a\.pth: refused"):
        read_released(path)
    safetensors.torch.save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"rename it to \.safetensors"):
        read_released(path)
