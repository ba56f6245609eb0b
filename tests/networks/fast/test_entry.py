"""The entry of the fast way: what it computes, what it leaves to the plain modules, imports."""

import pydoc
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from cycleisp.networks import SrgbDenoiser, acceleration, fast
from cycleisp.networks.blocks import DeepFeatures
from cycleisp.networks.fast.strips import striped_trunk
from tests.support.paths import ROOT
from tests.support.trunks import CASES, SMALL, image, network, plainly, usually


def run(planes: Tensor) -> Tensor | None:
    with torch.no_grad():
        return fast.run(nn.Identity(), DeepFeatures(**SMALL, activation=nn.PReLU(8)), nn.Identity(), planes)


def test_a_cpu_takes_it_in_float32_and_leaves_all_else_to_the_plain_modules() -> None:
    features = image(1, 8, 6, 5)
    found = run(features)
    assert found is not None and found.shape == features.shape
    assert run(features.double()) is None
    assert run(features.to("meta")) is None
    with torch.autocast("cpu", torch.bfloat16):
        assert run(features) is None


def test_networks_take_it_without_autograd_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    ready = striped_trunk.run
    monkeypatch.setattr(striped_trunk, "run", lambda *args: asked.append(1) or ready(*args))
    net, noisy = SrgbDenoiser(**SMALL), image(1, 3, 8, 8)
    net(noisy)
    assert not asked
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            net(noisy)
            with acceleration.fast(enabled=False):
                net(noisy)
    assert len(asked) == 2


def test_the_environment_switches_it_off_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    make, call = CASES["srgb denoiser"]
    net = network(make)
    plain, quick = plainly(net, call, 2, 17, 12), usually(net, call, 2, 17, 12)
    assert not torch.equal(plain, quick)  # they differ in rounding
    monkeypatch.setenv("CYCLEISP_FAST", "0")
    assert torch.equal(usually(net, call, 2, 17, 12), plain)
    monkeypatch.setenv("CYCLEISP_FAST", "1")
    assert torch.equal(usually(net, call, 2, 17, 12), quick)


def test_a_cpu_imports_neither_triton_nor_for_small_images_numba() -> None:
    code = """if True:
        import sys, torch
        from cycleisp.networks import SrgbDenoiser
        with torch.no_grad():
            SrgbDenoiser(8, 1, 1, 2)(torch.rand(1, 3, 8, 8))
        print(*(name in sys.modules for name in ("cycleisp.networks.fast", "triton", "numba")))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["True", "False", "False"], done.stderr


def test_its_documentation_tells_what_it_is_and_how_to_switch_it_off() -> None:
    page = pydoc.plain(pydoc.render_doc("cycleisp.networks.fast"))
    for words in ("without autograd", "CYCLEISP_FAST=0", "README.md", "run(", "forget("):
        assert words in page
