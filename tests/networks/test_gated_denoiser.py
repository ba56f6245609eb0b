"""The gated denoisers: the block's formula, what a pixel sees, tiles, gradients, any size."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cycleisp.networks import RawGatedDenoiser, SrgbGatedDenoiser
from cycleisp.networks.blocks import GlobalMean
from cycleisp.networks.gated_denoiser import GatedBlock, GatedUNet
from cycleisp.networks.growth import go_on_from
from cycleisp.networks.inference.tiled import TiledDenoiser
from cycleisp.networks.pretrained import build, load_any
from cycleisp.utils.weights.errors import WeightsError
from cycleisp.utils.weights.files import save_weights

SIZES: list[dict[str, Any]] = [
    {"width": 4, "encoder": (1,), "decoder": (), "unshuffle": 1},
    {"width": 4, "encoder": (1, 2), "decoder": (1,), "unshuffle": 2},
    {"width": 4, "encoder": (1, 1, 2), "decoder": (2, 1), "unshuffle": 2},
    {"width": 4, "encoder": (2, 1), "decoder": (1,), "unshuffle": 4},
]
SMALL = SIZES[2]


def awake(network: nn.Module, seed: int = 0) -> nn.Module:
    """Gives every learned scale a value, since blocks begin as the identity."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("scale"):
                parameter.copy_(0.5 + torch.rand(parameter.shape, generator=generator))
    return network.eval()


def srgb(seed: int = 0, **sizes: Any) -> SrgbGatedDenoiser:
    torch.manual_seed(seed)
    network = awake(SrgbGatedDenoiser(**(sizes or SMALL)))
    assert isinstance(network, SrgbGatedDenoiser)
    return network


def test_a_block_is_the_formula() -> None:
    """It is written out from the paper of NAFNet, without channel attention, pixel by pixel."""
    torch.manual_seed(1)
    block = GatedBlock(4)
    awake(block)
    x = torch.randn(1, 4, 5, 6)

    def normed(features: Tensor, norm: Any) -> Tensor:
        mean, variance = features.mean(1, keepdim=True), features.var(1, unbiased=False, keepdim=True)
        return (features - mean) / (variance + 1e-6).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]

    def mixed(features: Tensor, convolution: nn.Conv2d) -> Tensor:
        assert convolution.bias is not None
        return torch.einsum("oc,bchw->bohw", convolution.weight[:, :, 0, 0], features) + convolution.bias[:, None, None]

    wide = F.conv2d(mixed(normed(x, block.norm), block.widen), block.depthwise.weight, block.depthwise.bias, 1, 1, 1, 8)
    y = x + block.scale * mixed(wide[:, :4] * wide[:, 4:], block.project)
    wide = mixed(normed(y, block.second_norm), block.second_widen)
    expected = y + block.second_scale * mixed(wide[:, :4] * wide[:, 4:], block.second_project)
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


def test_blocks_begin_as_the_identity_and_the_network_near_it() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, 6, 6)
    assert torch.equal(GatedBlock(4)(x), x)
    noisy = torch.rand(1, 3, 64, 64)
    correction = SrgbGatedDenoiser()(noisy) - noisy
    assert 1e-4 < correction.square().mean().sqrt() < 0.2


def test_the_default_size() -> None:
    """Counts by hand: a block of width C has 6 C^2 + 32 C parameters."""
    blocks = sum(count * (6 * c * c + 32 * c) for c, count in ((32, 4), (64, 6), (128, 8)))
    ends = 9 * 12 * 32 + 32 + 9 * 32 * 12 + 12
    between = sum(4 * c * 2 * c + 2 * c for c in (32, 64)) + sum(2 * c * c for c in (64, 128))
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in SrgbGatedDenoiser().parameters()) == blocks + ends + between


@pytest.mark.parametrize("sizes", SIZES, ids=["1", "2", "3", "stem of 4"])
def test_a_pixel_is_seen_within_the_halo_and_nowhere_else(sizes: dict[str, Any]) -> None:
    network = srgb(**sizes).double()
    halo, multiple = network.halo, network.multiple
    assert halo % multiple == 0
    side = 2 * halo + 3 * multiple
    noisy = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    block = halo + multiple
    farthest = [0, 0]
    for at in (block, block + multiple - 1):  # the first and the last pixel of a block
        changed = noisy.clone()
        changed[:, :, at, at] += 5
        with torch.no_grad():
            differs = (network(changed) - network(noisy)).abs().amax((0, 1)) > 0
        for seen in (differs.any(0).nonzero().flatten(), differs.any(1).nonzero().flatten()):
            assert int(seen.min()) >= block - halo
            assert int(seen.max()) < block + multiple + halo
            farthest[0] = max(farthest[0], block - int(seen.min()))
            farthest[1] = max(farthest[1], int(seen.max()) - (block + multiple - 1))
    assert max(farthest) > halo - multiple  # the halo is no larger than its rounding asks for


@pytest.mark.parametrize("space", ["srgb", "raw"])
def test_tiles_give_what_the_whole_image_gives(space: str) -> None:
    """Nothing pools over the image, so the only difference is the order of sums."""
    torch.manual_seed(2)
    network = awake(SrgbGatedDenoiser(**SMALL) if space == "srgb" else RawGatedDenoiser(**SMALL))
    assert isinstance(network, SrgbGatedDenoiser | RawGatedDenoiser)
    assert not any(isinstance(module, GlobalMean) for module in network.modules())
    noisy = torch.rand(1, 3 if space == "srgb" else 4, 171, 150)  # no multiples of 8
    inputs = [noisy] if space == "srgb" else [noisy, 0.01 * noisy + 1e-4]
    whole, tiled = TiledDenoiser(network)(*inputs), TiledDenoiser(network, tile=32)(*inputs)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=2e-6)


@pytest.mark.parametrize("kind", ["SrgbGatedDenoiser", "RawGatedDenoiser"])
@pytest.mark.parametrize("save_memory", [False, True])
def test_a_gradient_in_every_parameter_and_equal_ones_with_less_memory(kind: str, save_memory: bool) -> None:
    torch.manual_seed(3)
    sizes = {"gated": {**SMALL, "encoder": list(SMALL["encoder"])}}
    torch.manual_seed(3)
    plain = awake(build(kind, sizes))
    torch.manual_seed(3)
    network = awake(build(kind, sizes, save_memory))
    channels = 3 if kind.startswith("Srgb") else 4
    noisy = torch.rand(2, channels, 16, 24)
    inputs = [noisy] if channels == 3 else [noisy, 0.01 * noisy + 1e-4]
    for one in (plain, network):
        one(*inputs).square().mean().backward()
    for (name, parameter), reference in zip(network.named_parameters(), plain.parameters(), strict=True):
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
        torch.testing.assert_close(parameter.grad, reference.grad)


@pytest.mark.parametrize("half", [False, True])
def test_stored_weights_give_the_same_network(tmp_path: Path, half: bool) -> None:
    network, path = srgb(), tmp_path / "w.safetensors"
    sizes = {"gated": {**SMALL, "encoder": list(SMALL["encoder"]), "decoder": list(SMALL["decoder"])}}
    save_weights(path, network.half() if half else network, {"network": "SrgbGatedDenoiser", "sizes": sizes})
    loaded, noisy = load_any(path), torch.rand(1, 3, 16, 16)
    assert isinstance(loaded, SrgbGatedDenoiser)
    torch.testing.assert_close(loaded(noisy), network.float()(noisy))


def test_going_on_needs_the_same_sizes(tmp_path: Path) -> None:
    network, path = srgb(), tmp_path / "w.safetensors"
    sizes = {"gated": {**SMALL, "encoder": list(SMALL["encoder"]), "decoder": list(SMALL["decoder"])}}
    save_weights(path, network, {"network": "SrgbGatedDenoiser", "sizes": sizes})
    other = SrgbGatedDenoiser(**SMALL)
    go_on_from(other, str(path))
    noisy = torch.rand(1, 3, 16, 16)
    assert torch.equal(other(noisy), network(noisy))
    for wrong in ({**SMALL, "width": 8}, {**SMALL, "encoder": (1, 1, 1)}, {**SMALL, "unshuffle": 4}):
        with pytest.raises(WeightsError, match="must have its sizes, and at least its blocks in each level"):
            go_on_from(SrgbGatedDenoiser(**wrong), str(path))


def test_more_blocks_begin_as_the_identity_and_learn(tmp_path: Path) -> None:
    network, path = srgb(), tmp_path / "w.safetensors"
    sizes = {"gated": {**SMALL, "encoder": list(SMALL["encoder"]), "decoder": list(SMALL["decoder"])}}
    save_weights(path, network, {"network": "SrgbGatedDenoiser", "sizes": sizes})
    larger = SrgbGatedDenoiser(**{**SMALL, "encoder": (2, 1, 4), "decoder": (3, 1)})
    go_on_from(larger, str(path))
    noisy = torch.rand(1, 3, 16, 16)
    assert torch.equal(larger(noisy), network(noisy))
    larger(noisy).square().mean().backward()
    block = larger.deep.down[0].get_submodule("1")
    assert isinstance(block, GatedBlock) and block.scale.grad is not None and block.scale.grad.abs().max() > 0


def test_wrong_images_and_levels_are_named() -> None:
    network = srgb()
    with pytest.raises(ValueError, match=r"expected \(B, 3, H, W\)"):
        network(torch.rand(1, 4, 8, 8))
    with pytest.raises(ValueError, match="multiples of 8"):
        network(torch.rand(1, 3, 12, 8))
    with pytest.raises(ValueError, match="variance map"):
        RawGatedDenoiser(**SMALL)(torch.rand(1, 4, 8, 8), torch.rand(1, 4, 8, 16))
    with pytest.raises(ValueError, match="one level less"):
        GatedUNet(4, (1, 1), (1, 1))
