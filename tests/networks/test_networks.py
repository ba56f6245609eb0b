"""The networks: the paper's sizes, the released function, gradients, shapes, and clear errors."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cycleisp.networks import (
    ColorCorrection,
    CycleISP,
    GuidedRaw2Rgb,
    Raw2Rgb,
    RawDenoiser,
    Rgb2Raw,
    SrgbDenoiser,
    pretrained,
)
from cycleisp.networks.blocks import DAB
from cycleisp.networks.companding import LinearDemosaic, compand, expand
from cycleisp.utils.gaussian import gaussian_taps
from cycleisp.utils.raw import bayer

SMALL = {"width": 8, "num_groups": 1, "num_blocks": 2, "reduction": 1}


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        (Rgb2Raw, 3_143_109),
        (ColorCorrection, 1_083_096),
        (Raw2Rgb, 3_244_110 - 18_528),  # the released file holds a convolution that is never used
        (RawDenoiser, 2_838_404),
        (SrgbDenoiser, 2_834_947),
    ],
)
def test_defaults_have_the_papers_number_of_parameters(network: type[nn.Module], parameters: int) -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in network().parameters()) == parameters


def _cases() -> dict[str, tuple[nn.Module, tuple[Tensor, ...], tuple[int, ...]]]:
    photo, raw, color_map = torch.rand(2, 3, 16, 24), torch.rand(2, 4, 8, 12), torch.rand(2, 8, 8, 12)
    return {
        "rgb2raw": (Rgb2Raw(**SMALL), (photo,), (2, 4, 8, 12)),
        "rgb2raw compact": (Rgb2Raw(**SMALL, unshuffle=2, companded=True), (photo,), (2, 4, 8, 12)),
        "color": (ColorCorrection(**SMALL), (photo,), (2, 8, 8, 12)),
        "color compact": (ColorCorrection(**SMALL, unshuffle=2, blur="full"), (photo,), (2, 8, 8, 12)),
        "raw2rgb": (Raw2Rgb(**SMALL), (raw, color_map), (2, 3, 16, 24)),
        "raw2rgb compact": (Raw2Rgb(**SMALL, companded=True), (raw, color_map), (2, 3, 16, 24)),
        "raw denoiser": (RawDenoiser(**SMALL), (raw, 0.01 * raw), (2, 4, 8, 12)),
        "raw denoiser compact": (RawDenoiser(**SMALL, unshuffle=2), (raw, 0.01 * raw), (2, 4, 8, 12)),
        "srgb denoiser": (SrgbDenoiser(**SMALL), (photo,), (2, 3, 16, 24)),
        "srgb denoiser compact": (SrgbDenoiser(**SMALL, unshuffle=2), (photo,), (2, 3, 16, 24)),
        "cycle": (_cycle(), (photo,), (2, 3, 16, 24)),
    }


def _cycle() -> CycleISP:
    return CycleISP(Rgb2Raw(**SMALL), GuidedRaw2Rgb(Raw2Rgb(**SMALL), ColorCorrection(**SMALL)))


@pytest.mark.parametrize("name", list(_cases()))
def test_shape_and_a_gradient_in_every_parameter(name: str) -> None:
    torch.manual_seed(3)
    network, inputs, shape = _cases()[name]
    out = network(*inputs)
    out = out[-1] if isinstance(out, tuple) else out
    assert out.shape == shape
    assert out.isfinite().all()
    out.square().mean().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all() and parameter.grad.abs().max() > 0, parameter_name


def test_a_dab_is_the_formula() -> None:
    """The formula is written out from the paper, Sec. 3.1, one operation a line."""
    torch.manual_seed(0)
    block = DAB(6, 2, nn.PReLU(6))
    x = torch.randn(1, 6, 9, 7)
    u = block.conv2(block.activation(block.conv1(x)))
    where = torch.sigmoid(block.spatial_attention.conv(torch.cat([u.max(1, True)[0], u.mean(1, True)], 1)))
    squeezed = torch.relu(block.channel_attention.squeeze(u.mean((2, 3), keepdim=True)))
    what = torch.sigmoid(block.channel_attention.excite(squeezed))
    expected = x + block.fuse(torch.cat([where * u, what * u], 1))
    torch.testing.assert_close(block(x), expected)


def test_one_prelu_is_shared_by_all_blocks() -> None:
    network = SrgbDenoiser(**SMALL)
    slopes = {id(module.weight) for module in network.modules() if isinstance(module, nn.PReLU)}
    assert len(slopes) == 1


def test_the_color_map_stays_between_zero_and_one_and_ignores_detail() -> None:
    torch.manual_seed(1)
    branch = ColorCorrection(**SMALL)
    flat = torch.full((1, 3, 64, 64), 0.5)
    checkered = flat + 0.2 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(32, 32)
    flat_map, checkered_map = branch(flat), branch(checkered)
    assert flat_map.min() > 0 and flat_map.max() < 1
    torch.testing.assert_close(flat_map, checkered_map, atol=1e-4, rtol=0)


def test_the_released_blur_is_narrower_than_the_papers() -> None:
    def effective_sigma(taps: Tensor) -> float:
        offsets = torch.arange(len(taps)) - len(taps) // 2
        return float((taps * offsets**2).sum().sqrt())

    assert effective_sigma(gaussian_taps(torch.tensor(12.0), 10)) == pytest.approx(5.75, abs=0.01)
    assert effective_sigma(gaussian_taps(torch.tensor(12.0), 36)) == pytest.approx(12, rel=0.02)


def test_small_photos_pass_the_blur() -> None:
    assert ColorCorrection(**SMALL, blur="full")(torch.rand(1, 3, 2, 4)).shape == (1, 8, 1, 2)


def test_companding_is_invertible_and_maps_the_unit_interval_onto_itself() -> None:
    linear = torch.linspace(0, 1, 1001, dtype=torch.float64)
    torch.testing.assert_close(expand(compand(linear)), linear)
    assert compand(linear).min() == 0 and compand(linear).max() == pytest.approx(1)


def test_linear_demosaicking_begins_with_every_photosite_in_its_place() -> None:
    packed = torch.rand(2, 4, 5, 6)
    colors = nn.functional.pixel_shuffle(LinearDemosaic()(packed), 2)
    torch.testing.assert_close(bayer.pack(bayer.mosaic(colors, "RGGB")), packed)


def test_the_denoisers_begin_at_the_noisy_image() -> None:
    network = SrgbDenoiser(**SMALL)
    nn.init.zeros_(network.tail.weight)
    nn.init.zeros_(network.tail.bias)
    noisy = torch.rand(1, 3, 6, 6)
    assert torch.equal(network(noisy), noisy)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Rgb2Raw(**SMALL)(torch.rand(1, 3, 5, 6)), "multiples of 2, got 5x6"),
        (lambda: Rgb2Raw(**SMALL)(torch.rand(1, 4, 6, 6)), r"expected \(B, 3, H, W\)"),
        (lambda: Raw2Rgb(**SMALL)(torch.rand(1, 4, 6, 6), torch.rand(1, 8, 6, 5)), "colour map"),
        (lambda: RawDenoiser(**SMALL)(torch.rand(1, 4, 6, 6), torch.rand(1, 1, 6, 6)), "variance map"),
        (lambda: SrgbDenoiser(**SMALL, unshuffle=2)(torch.rand(1, 3, 6, 7)), "pad_to_multiple"),
        (lambda: ColorCorrection(**SMALL, blur="strong"), "released"),
        (lambda: Rgb2Raw(width=10, reduction=8), "multiple of reduction"),
    ],
)
def test_wrong_shapes_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_one_batch_can_be_learned_by_heart() -> None:
    torch.manual_seed(0)
    network = Rgb2Raw(**SMALL, unshuffle=2, companded=True)
    photo, raw = torch.rand(1, 3, 16, 16), torch.rand(1, 4, 8, 8)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    first = last = 0.0
    for step in range(150):
        loss = (network(photo) - raw).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first, last = (loss.item() if step == 0 else first), loss.item()
    assert last < first / 4


@pytest.mark.parametrize("kind", ["SrgbDenoiser", "Rgb2Raw"])
def test_saving_memory_changes_no_gradient(kind: str) -> None:
    """Blocks that are computed again give the same gradient, bit for bit on a CPU."""
    sizes = {"denoiser": SMALL, "rgb2raw": SMALL}
    gradients = []
    for save_memory in (False, True):
        torch.manual_seed(0)
        network = pretrained.build(kind, sizes, save_memory)
        network(torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))).square().mean().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    for plain, again in zip(*gradients, strict=True):
        assert plain is not None and torch.equal(plain, again)
