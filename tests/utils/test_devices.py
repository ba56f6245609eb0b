"""Devices and precisions; what this machine lacks is pretended."""

import pytest
import torch

from utils.devices import autocast_type, pick_device
from utils.errors import UserError


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


@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
def test_float32_needs_no_autocast(device: str) -> None:
    assert autocast_type("float32", torch.device(device)) is None


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_half_precisions(device: str) -> None:
    assert autocast_type("bf16", torch.device(device)) == torch.bfloat16
    assert autocast_type("fp16", torch.device(device)) == torch.float16


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_on_a_cpu_is_refused(precision: str) -> None:
    with pytest.raises(UserError, match=f"{precision} on a CPU.*float32"):
        autocast_type(precision, torch.device("cpu"))
