"""The denoisers' halo and first output. Shapes, sizes and gradients are in test_networks.py."""

import pytest
import torch
from torch import Tensor, nn

from cycleisp.networks.blocks import GlobalMean
from cycleisp.networks.denoiser import RawDenoiser, SrgbDenoiser
from tests.support.pictures import random_picture

SIZES = [
    {"width": 4, "num_groups": 1, "num_blocks": 1, "reduction": 2},
    {"width": 4, "num_groups": 1, "num_blocks": 2, "reduction": 2, "unshuffle": 2},
    {"width": 4, "num_groups": 2, "num_blocks": 1, "reduction": 2, "unshuffle": 4},
]


class ConstantMean(nn.Module):
    """Replaces GlobalMean and sees nothing, so that the network sees its halo only."""

    def forward(self, features: Tensor) -> Tensor:
        return torch.full_like(features[..., :1, :1], 0.3)


def without_global_mean(network: nn.Module) -> nn.Module:
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, GlobalMean):
                setattr(parent, name, ConstantMean())
    return network


def photo(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(random_picture(height, width, seed=seed)).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("sizes", SIZES, ids=["1", "2", "4"])
def test_a_pixel_is_seen_within_the_halo_and_up_to_its_end(sizes: dict[str, int]) -> None:
    """The halo counts from the block of `unshuffle` pixels that holds the changed pixel."""
    torch.manual_seed(0)
    network = SrgbDenoiser(**sizes).double()
    without_global_mean(network)
    halo, multiple = network.halo, network.multiple
    side = 2 * (halo + multiple) // multiple * multiple + 2 * multiple
    at = side // 2 // multiple * multiple + multiple - 1  # the last pixel of its block
    noisy = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    changed = noisy.clone()
    changed[:, :, at, at] += 5
    with torch.no_grad():
        differs = (network(changed) - network(noisy)).abs().amax((0, 1)) > 0
    block = at // multiple * multiple
    for seen in (differs.any(0).nonzero().flatten(), differs.any(1).nonzero().flatten()):
        first, last = int(seen.min()), int(seen.max())
        assert first == block - halo
        assert last == block + multiple - 1 + halo


def test_with_the_global_mean_a_pixel_is_seen_everywhere() -> None:
    torch.manual_seed(0)
    network = SrgbDenoiser(**SIZES[0]).double()
    noisy = torch.rand(1, 3, 40, 40, dtype=torch.float64)
    changed = noisy.clone()
    changed[:, :, 20, 20] += 5
    with torch.no_grad():
        assert (network(changed) - network(noisy))[..., 0, 0].abs().max() > 0


def test_the_halo_by_hand() -> None:
    """3x3 convolutions: head, tail, the closing one, one in each group, three in each block."""
    with torch.device("meta"):
        assert SrgbDenoiser().halo == RawDenoiser().halo == 3 + 4 * (1 + 8 * 3)
        assert RawDenoiser(num_groups=2, num_blocks=4, unshuffle=4).halo == 4 * (3 + 2 * (1 + 4 * 3))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sizes", [{"num_groups": 1, "num_blocks": 2}, {"width": 32, "num_groups": 2, "num_blocks": 4}])
def test_a_new_denoiser_is_close_to_the_identity_but_not_dead(sizes: dict[str, int], seed: int) -> None:
    """The root mean square of the first correction is between 0.001 and 0.2."""
    torch.manual_seed(seed)
    options = {"width": 8, "reduction": 4, "unshuffle": 2, **sizes}
    srgb, raw = SrgbDenoiser(**options), RawDenoiser(**options)
    noisy = photo(32, 40)
    packed = noisy[:, [0, 1, 1, 2]]
    with torch.no_grad():
        corrections = srgb(noisy) - noisy, raw(packed, 0.01 * packed + 1e-4) - packed
    for correction in corrections:
        assert 1e-3 < correction.square().mean().sqrt() < 0.2


def test_convolutions_keep_the_variance_of_what_they_are_given() -> None:
    """The variance of weights is 1 / inputs of an output, within five standard errors."""
    torch.manual_seed(0)
    network = SrgbDenoiser(width=32, num_groups=1, num_blocks=1, reduction=4)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 1000:
            scale = 0.01 if name == "tail" else 1.0
            gain = module.weight.var().item() * module.weight[0].numel() / scale
            assert abs(gain - 1) <= 5 * (2 / (module.weight.numel() - 1)) ** 0.5, name
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            assert not module.bias.any(), name


@pytest.mark.parametrize("kind", [SrgbDenoiser, RawDenoiser])
def test_the_paper_size_begins_near_the_noisy_image(kind: type[SrgbDenoiser] | type[RawDenoiser]) -> None:
    """Each of 32 blocks adds something; the sum must not outweigh the picture."""
    torch.manual_seed(0)
    network = kind().eval()
    noisy = torch.rand(1, 3 if kind is SrgbDenoiser else 4, 24, 24, generator=torch.Generator().manual_seed(1))
    inputs = [noisy] if kind is SrgbDenoiser else [noisy, 0.01 * noisy]
    with torch.no_grad():
        correction = network(*inputs) - noisy
    assert 0.01 < correction.std() / noisy.std() < 0.5
