"""Devices and precisions; what this machine lacks is pretended."""

from collections.abc import Callable

import pytest
import torch

from cycleisp.utils.devices import computing, download, inference_precision, pick_device, training_precision, upload
from cycleisp.utils.errors import UserError


def pretend(monkeypatch: pytest.MonkeyPatch, cuda: bool = False, mps: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize("cuda", [False, True])
def test_cpu_is_the_cpu(monkeypatch: pytest.MonkeyPatch, cuda: bool) -> None:
    pretend(monkeypatch, cuda=cuda)
    assert pick_device("cpu", local_rank=1) == torch.device("cpu")


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, cuda=True)
    assert pick_device("auto").type == "cuda"
    pretend(monkeypatch)
    assert pick_device("auto").type == "cpu"


@pytest.mark.parametrize("name", ["auto", "cuda"])
@pytest.mark.parametrize("rank", [0, 3])
def test_each_process_takes_the_gpu_of_its_rank(monkeypatch: pytest.MonkeyPatch, name: str, rank: int) -> None:
    pretend(monkeypatch, cuda=True)
    assert pick_device(name, local_rank=rank) == torch.device("cuda", rank)


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_asked_for_and_absent_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pretend(monkeypatch)
    with pytest.raises(UserError, match=f"--device {name}: .*use --device cpu"):
        pick_device(name)


def test_mps_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, mps=True)
    assert pick_device("mps") == torch.device("mps")


@pytest.mark.parametrize("resolve", [inference_precision, training_precision])
def test_what_auto_means(resolve: Callable[[str, torch.device], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding averages out over training's steps; that of a trained network would be seen."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert resolve("auto", torch.device("cpu")) == resolve("auto", torch.device("mps")) == "float32"
    assert resolve("auto", torch.device("cuda")) == {inference_precision: "tf32", training_precision: "bf16"}[resolve]
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    assert training_precision("auto", torch.device("cuda")) == "float32"


@pytest.mark.parametrize("resolve", [inference_precision, training_precision])
def test_what_is_asked_for_is_taken(resolve: Callable[[str, torch.device], str]) -> None:
    for precision in ("float32", "tf32", "bf16", "fp16"):
        assert resolve(precision, torch.device("cuda")) == precision
    assert resolve("float32", torch.device("cpu")) == "float32"


@pytest.mark.parametrize("resolve", [inference_precision, training_precision])
@pytest.mark.parametrize("precision", ["tf32", "bf16", "fp16"])
def test_less_than_float32_on_a_cpu_is_refused(precision: str, resolve: Callable[[str, torch.device], str]) -> None:
    with pytest.raises(UserError, match=f"{precision} on a CPU.*float32"):
        resolve(precision, torch.device("cpu"))


def test_tf32_is_for_cuda() -> None:
    with pytest.raises(UserError, match="tf32 is for CUDA GPUs, this is mps"):
        inference_precision("tf32", torch.device("mps"))


@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16", "fp16"])
def test_computing_sets_what_cuda_may_round_and_puts_it_back(precision: str) -> None:
    """Half precision can be tried on a CPU, too, since autocast is the same for all devices."""
    switches = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [switch.allow_tf32 for switch in switches]
    weight, cpu = torch.rand(4, 4), torch.device("cpu")
    with pytest.raises(KeyError), computing(precision, cpu):
        allowed = {"tf32": [True, True], "float32": [False, False]}.get(precision, before)
        assert [switch.allow_tf32 for switch in switches] == allowed
        half = {"bf16": torch.bfloat16, "fp16": torch.float16}
        assert (weight @ weight).dtype == half.get(precision, torch.float32)
        raise KeyError
    assert [switch.allow_tf32 for switch in switches] == before


def test_tensors_go_to_a_device_and_come_back() -> None:
    """On a CPU they are already in place; tests/networks/fast/test_cuda.py has the GPU's part."""
    tensor = torch.rand(2, 3)
    assert upload(tensor, torch.device("cpu")) is tensor
    assert torch.equal(download([upload(tensor, torch.device("cpu"))])[0], tensor)
    assert download([]) == []
