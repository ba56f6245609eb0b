"""Every network that has a trunk, small, and its results in the plain and in the fast way.

This file does not know how the fast way works, so it serves tests of either.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from cycleisp.networks import ColorCorrection, Raw2Rgb, RawDenoiser, Rgb2Raw, SrgbDenoiser, acceleration
from cycleisp.networks.blocks import DAB

SMALL = {"width": 8, "num_groups": 2, "num_blocks": 2, "reduction": 2}
Call = Callable[[nn.Module, int, int, int], Tensor]  # network, images, and their features' sides
Memory = Callable[[int, int], None]  # takes the sides of a map of features

CASES: dict[str, tuple[Callable[[], nn.Module], Call]] = {
    "srgb denoiser": (lambda: SrgbDenoiser(**SMALL), lambda net, b, h, w: net(image(b, 3, h, w))),
    "srgb denoiser, unshuffled": (
        lambda: SrgbDenoiser(**SMALL, unshuffle=2),
        lambda net, b, h, w: net(image(b, 3, 2 * h, 2 * w)),
    ),
    "raw denoiser": (
        lambda: RawDenoiser(**SMALL),
        lambda net, b, h, w: net(image(b, 4, h, w), 0.01 * image(b, 4, h, w) + 1e-4),
    ),
    "raw denoiser, stabilized": (
        lambda: RawDenoiser(**SMALL, stabilized=True),
        lambda net, b, h, w: net(image(b, 4, h, w), 0.01 * image(b, 4, h, w) + 1e-4),
    ),
    "rgb2raw": (lambda: Rgb2Raw(**SMALL), lambda net, b, h, w: net(image(b, 3, 2 * h, 2 * w))),
    "rgb2raw, unshuffled and companded": (
        lambda: Rgb2Raw(**SMALL, unshuffle=2, companded=True),
        lambda net, b, h, w: net(image(b, 3, 2 * h, 2 * w)),
    ),
    "colour branch": (lambda: ColorCorrection(**SMALL), lambda net, b, h, w: net(image(b, 3, 2 * h, 2 * w))),
    "raw2rgb": (
        lambda: Raw2Rgb(**SMALL),
        lambda net, b, h, w: net(image(b, 4, h, w), image(b, 8, h, w, seed=1)),
    ),
}


class PretendedMove(nn.Module):
    """A network that stays where it is, and notes the devices that it is moved to."""

    def __init__(self) -> None:
        super().__init__()
        self.block = DAB(8, 2, nn.PReLU(8))
        self.devices: list[torch.device] = []

    def to(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        if kwargs:
            return super().to(**kwargs)
        self.devices += args
        return self


@contextmanager
def pretended_gpu() -> Iterator[None]:
    """Computes shapes and devices as on a GPU, without data and without a GPU.

    Skips the test where PyTorch, as 2.6 does, needs a driver to pretend so.
    """
    with FakeTensorMode(), torch.device("cuda"):
        try:
            nn.Linear(1, 1)
        except RuntimeError as error:
            pytest.skip(f"this PyTorch cannot pretend to have a GPU: {str(error).splitlines()[0]}")
        yield


def image(*shape: int, seed: int = 0) -> Tensor:
    """Returns random values in [0, 1]."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def network(make: Callable[[], nn.Module]) -> nn.Module:
    """Returns a network with strong biases, slopes and attention: whatever is left out shows."""
    torch.manual_seed(0)
    built = make().eval().requires_grad_(False)
    for name, parameter in built.named_parameters():
        if parameter.ndim == 1:
            parameter.normal_(0, 0.3)
        elif "attention" in name:
            parameter.normal_(0, 1)
    return built


def plainly(net: nn.Module, call: Call, *sizes: int) -> Tensor:
    """Returns the plain modules' result, as in training."""
    with acceleration.fast(enabled=False):
        return usually(net, call, *sizes)


def usually(net: nn.Module, call: Call, *sizes: int) -> Tensor:
    """Returns the result without autograd, computed as the switch says."""
    with torch.inference_mode():
        return call(net, *sizes)
