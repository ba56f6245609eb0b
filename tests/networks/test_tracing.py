"""Networks pass through PyTorch's tracers, exporters and compilers, with and without autograd.

What comes out computes the plain modules' result, for other images and other sizes, too. ONNX files
have tests of their own, in onnx_files/.
"""

import warnings
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from cycleisp.networks import (
    ColorCorrection,
    CycleISP,
    GuidedRaw2Rgb,
    Raw2Rgb,
    RawDenoiser,
    RawGatedDenoiser,
    Rgb2Raw,
    SrgbDenoiser,
    SrgbGatedDenoiser,
    acceleration,
)

SMALL = {"width": 8, "num_groups": 1, "num_blocks": 1, "reduction": 2}
Inputs = tuple[Tensor, ...]


def photos(batch: int, height: int, width: int) -> Inputs:
    return (torch.rand(batch, 3, height, width),)


def raw_and_map(batch: int, height: int, width: int) -> Inputs:
    return torch.rand(batch, 4, height // 2, width // 2), torch.rand(batch, 8, height // 2, width // 2)


def raw_and_photo(batch: int, height: int, width: int) -> Inputs:
    return torch.rand(batch, 4, height // 2, width // 2), torch.rand(batch, 3, height, width)


def raw_and_variance(batch: int, height: int, width: int) -> Inputs:
    """Every call draws another noise level."""
    raw, (shot, read) = torch.rand(batch, 4, height // 2, width // 2), torch.rand(2) / 100 + 1e-4
    return raw, shot * raw + read


def cycle() -> CycleISP:
    return CycleISP(Rgb2Raw(**SMALL), guided())


def guided() -> GuidedRaw2Rgb:
    return GuidedRaw2Rgb(Raw2Rgb(**SMALL), ColorCorrection(**SMALL))


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[int, int, int], Inputs]]] = {
    "Rgb2Raw": (lambda: Rgb2Raw(**SMALL, unshuffle=2, companded=True), photos),
    "Raw2Rgb": (lambda: Raw2Rgb(**SMALL, companded=True), raw_and_map),
    "ColorCorrection": (lambda: ColorCorrection(**SMALL), photos),
    "GuidedRaw2Rgb": (guided, raw_and_photo),
    "CycleISP": (cycle, photos),
    "RawDenoiser": (lambda: RawDenoiser(**SMALL), raw_and_variance),
    "RawDenoiser, stabilized": (lambda: RawDenoiser(**SMALL, unshuffle=2, stabilized=True), raw_and_variance),
    "SrgbDenoiser": (lambda: SrgbDenoiser(**SMALL, unshuffle=2), photos),
    "RawGatedDenoiser": (lambda: RawGatedDenoiser(4, (1, 1), (1,), 1), raw_and_variance),
    "SrgbGatedDenoiser": (lambda: SrgbGatedDenoiser(4, (1, 1), (1,), 2), photos),
}
MODES = {"autograd": torch.enable_grad, "no_grad": torch.no_grad, "inference_mode": torch.inference_mode}
SIZE = (2, 12, 16)
OTHER_SIZE = (1, 24, 12)
MOST = [(case, mode) for case in CASES for mode in MODES if mode == "no_grad" or case == "SrgbDenoiser"]


def make(case: str, size: tuple[int, int, int] = SIZE) -> tuple[nn.Module, Inputs]:
    torch.manual_seed(0)
    build, inputs = CASES[case]
    return build().eval(), inputs(*size)


def check(found: Callable[..., Tensor | Sequence[Tensor]], network: nn.Module, inputs: Inputs) -> None:
    with torch.no_grad(), acceleration.fast(enabled=False):
        expected = network(*inputs)
    pairs = ([result] if isinstance(result, Tensor) else result for result in (found(*inputs), expected))
    for one, other in zip(*pairs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("case", "mode"), MOST)
def test_torch_jit_trace(case: str, mode: str) -> None:
    network, inputs = make(case)
    with MODES[mode](), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shapes are checked; TorchScript is deprecated
        traced = torch.jit.trace(network, inputs)
        for size in (SIZE, OTHER_SIZE):
            check(traced, network, CASES[case][1](*size))


@pytest.mark.parametrize(("case", "mode"), MOST)
def test_torch_export(case: str, mode: str) -> None:
    network, inputs = make(case)
    with MODES[mode]():
        check(torch.export.export(network, inputs).module(), network, CASES[case][1](*SIZE))


@pytest.mark.parametrize("case", ["ColorCorrection", "RawDenoiser, stabilized"])
def test_torch_export_for_images_of_any_size(case: str) -> None:
    network, inputs = make(case)
    shapes = tuple({0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO} for _ in inputs)
    with torch.no_grad():
        exported = torch.export.export(network, inputs, dynamic_shapes=shapes).module()
        for size in (SIZE, OTHER_SIZE):
            check(exported, network, CASES[case][1](*size))


@pytest.mark.parametrize(("case", "mode"), MOST)
def test_torch_compile(case: str, mode: str) -> None:
    """The whole network is one graph; what the compiler makes of the graph is not tested here."""
    network, inputs = make(case)
    torch._dynamo.reset()
    with MODES[mode]():
        check(torch.compile(network, backend="eager", fullgraph=True), network, inputs)
