"""The door to the fast way: the plain twin, the switch, imports.

All of it holds without the folder networks/fast, too."""

import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from cycleisp.networks import Raw2Rgb, RawDenoiser, Rgb2Raw, SrgbDenoiser, acceleration
from cycleisp.networks.acceleration import is_fast, run_trunk, to_device
from cycleisp.networks.blocks import DAB, DeepFeatures
from cycleisp.utils.weights.files import load_weights, save_weights
from tests.support.paths import ROOT
from tests.support.trunks import SMALL, PretendedMove, image, pretended_gpu


def deep_features() -> DeepFeatures:
    torch.manual_seed(0)
    return DeepFeatures(**SMALL, activation=nn.PReLU(8))


class Fast(ModuleType):
    """A package in place of networks/fast that can do nothing, or has one result for everything."""

    def __init__(self, result: Tensor | None) -> None:
        super().__init__("cycleisp.networks.fast")
        self.result = result
        self.asked: list[DeepFeatures] = []
        self.forgotten: list[DeepFeatures] = []

    def run(self, _begin: object, deep: DeepFeatures, *_: object) -> Tensor | None:
        self.asked.append(deep)
        return self.result

    def forget(self, deep: DeepFeatures) -> None:
        self.forgotten.append(deep)


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Fast:
    package = Fast(torch.zeros(1))
    monkeypatch.delenv("CYCLEISP_FAST", raising=False)
    monkeypatch.setitem(sys.modules, "cycleisp.networks.fast", package)
    return package


# ---------------------------------------------------------------- the twin


def test_the_fast_way_is_asked_without_autograd_only(pretended: Fast) -> None:
    deep, planes, other = deep_features(), image(1, 8, 6, 5), image(1, 8, 6, 5, seed=1)

    def run() -> Tensor:
        return run_trunk(lambda x: 2 * x, deep, lambda x, y: x + y, planes, aligned=[other])

    expected = deep(2 * planes) + other
    assert torch.equal(run(), expected) and not pretended.asked
    assert pretended.forgotten == [deep]  # its weights may change now
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert run() is pretended.result
    assert pretended.asked == [deep, deep] and pretended.forgotten == [deep]
    pretended.result = None  # nothing to offer
    with torch.no_grad():
        assert torch.equal(run(), expected)


def test_it_is_not_asked_where_it_is_switched_off(pretended: Fast, monkeypatch: pytest.MonkeyPatch) -> None:
    deep, planes = deep_features(), image(1, 8, 6, 5)
    with torch.no_grad():
        with acceleration.fast(enabled=False):
            switched = run_trunk(nn.Identity(), deep, nn.Identity(), planes)
        monkeypatch.setenv("CYCLEISP_FAST", "0")
        assert torch.equal(run_trunk(nn.Identity(), deep, nn.Identity(), planes), switched)
        assert torch.equal(deep(planes), switched)
    assert not pretended.asked


# ---------------------------------------------------------------- the switch


def test_the_environment_is_read_when_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, expected in ((None, True), ("0", False), ("1", True), ("", True)):
        if value is None:
            monkeypatch.delenv("CYCLEISP_FAST", raising=False)
        else:
            monkeypatch.setenv("CYCLEISP_FAST", value)
        assert is_fast() is expected


@pytest.mark.parametrize("value", ["0", "1"])
def test_the_innermost_block_decides_and_ends_with_an_error(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYCLEISP_FAST", value)
    outside = is_fast()
    with pytest.raises(ZeroDivisionError), acceleration.fast(enabled=False):
        assert not is_fast()
        with acceleration.fast():
            assert is_fast()
            with acceleration.fast(enabled=False):
                assert not is_fast()
            assert is_fast()
        assert not is_fast()
        raise ZeroDivisionError
    assert is_fast() is outside


def test_a_block_counts_for_its_own_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CYCLEISP_FAST", raising=False)
    seen: list[bool] = []
    inside, looked = threading.Event(), threading.Event()

    def other() -> None:
        with acceleration.fast(enabled=False):
            inside.set()
            looked.wait(10)
            seen.append(is_fast())
        seen.append(is_fast())

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(10) and is_fast()
    with acceleration.fast(enabled=False):
        looked.set()
        thread.join()
    assert seen == [False, True] and is_fast()


# ---------------------------------------------------------------- imports


def test_what_is_imported() -> None:
    """Importing networks does not import the fast way. Using them does not either if it is off."""
    code = """if True:
        import os, sys

        def unwanted():
            names = ("cycleisp.networks.fast", "triton", "numba")
            return [name for name in names if name in sys.modules]

        import cycleisp.networks
        assert not unwanted(), unwanted()

        import torch
        from cycleisp.networks import acceleration
        network, noisy = cycleisp.networks.SrgbDenoiser(8, 1, 1, 2), torch.rand(1, 3, 8, 8)
        network(noisy).sum().backward()
        os.environ["CYCLEISP_FAST"] = "0"
        with torch.no_grad():
            network(noisy)
        del os.environ["CYCLEISP_FAST"]
        with torch.inference_mode(), acceleration.fast(enabled=False):
            network(noisy)
        with acceleration.fast(enabled=False):
            acceleration.to_device(network, torch.device("cpu"), compiled=True)
            acceleration.record_trunks(network, lambda: network(noisy), "float32")
        assert not unwanted(), unwanted()
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- devices


def test_weights_with_channels_innermost_are_stored_as_any_others(tmp_path: Path) -> None:
    network, other = SrgbDenoiser(**SMALL).to(memory_format=torch.channels_last), SrgbDenoiser(**SMALL)  # type: ignore[call-overload]
    assert not network.deep.conv.weight.is_contiguous()
    save_weights(tmp_path / "weights.safetensors", network, {})
    load_weights(other, tmp_path / "weights.safetensors")
    assert all(torch.equal(*pair) for pair in zip(network.parameters(), other.parameters(), strict=True))


def test_on_a_cpu_nothing_changes() -> None:
    network = to_device(SrgbDenoiser(**SMALL), torch.device("cpu"), compiled=True)
    assert network.deep.conv.weight.is_contiguous()
    assert not any(isinstance(module, DAB) and module._compiled_call_impl for module in network.modules())


def test_where_the_fast_way_is_off_weights_move_and_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.Module, "compile", lambda *_, **__: pytest.fail("compiled"))
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", lambda *_: pytest.fail("recorded"))
    with acceleration.fast(enabled=False):
        network = to_device(PretendedMove(), torch.device("cuda"), compiled=True)
        acceleration.record_trunks(network, lambda: pytest.fail("ran"), "bf16")
    assert network.devices == [torch.device("cuda")]
    assert not network.block.conv1.weight.is_contiguous()  # channels innermost


@pytest.mark.parametrize("make", [SrgbDenoiser, RawDenoiser, Rgb2Raw, Raw2Rgb])
def test_plain_modules_on_a_gpu_stay_there(make: type[nn.Module]) -> None:
    """Shapes and devices of every step are those of a GPU, without data."""
    with pretended_gpu():
        network = make(**SMALL)
        inputs = {
            SrgbDenoiser: [torch.rand(2, 3, 16, 16)],
            RawDenoiser: [torch.rand(2, 4, 16, 16), torch.rand(2, 4, 16, 16)],
            Rgb2Raw: [torch.rand(2, 3, 16, 16)],
            Raw2Rgb: [torch.rand(2, 4, 8, 8), torch.rand(2, 8, 8, 8)],
        }[make]
        assert network(*inputs).device.type == "cuda"
