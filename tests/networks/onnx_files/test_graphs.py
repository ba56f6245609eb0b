"""Graphs for ONNX, before they are exported: padding, noise levels, float16 at RAW's extremes."""

import copy

import pytest
import torch
from torch import Tensor, nn

from cycleisp.networks import RawGatedDenoiser, Rgb2Raw, SrgbDenoiser, acceleration
from cycleisp.networks.cycleisp import CycleISP
from cycleisp.networks.denoiser import Denoiser
from cycleisp.networks.onnx_files import graphs
from cycleisp.networks.onnx_files.contracts import contract_for
from cycleisp.networks.onnx_files.half import in_half
from cycleisp.networks.pretrained import load_any
from cycleisp.utils.errors import UserError
from cycleisp.utils.padding import pad_to_multiple

LARGEST_HALF = 65504


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 8), (16, 9), (37, 24)])
@pytest.mark.parametrize("multiple", [1, 4, 8])
def test_padding_is_that_of_the_project(size: tuple[int, int], multiple: int) -> None:
    image = torch.rand(2, 3, *size)
    padded = graphs.padded(image, multiple)
    assert torch.equal(padded, pad_to_multiple(image, multiple))
    assert torch.equal(graphs.cropped(padded, image), image)


def test_planes_are_those_of_rgb2raw() -> None:
    network = Rgb2Raw(width=8, num_groups=1, num_blocks=1, reduction=2).eval()
    photo = torch.rand(2, 3, 12, 16)
    with torch.no_grad():
        assert torch.equal(graphs.RawOfPhoto(network)(photo), network(photo))


def test_a_network_for_one_level_needs_no_variance_map() -> None:
    torch.manual_seed(0)
    network = RawGatedDenoiser(4, (1, 1), (1,), 1).eval()
    shot, read = torch.tensor([[0.01, 0.02, 0.02, 0.03]]), torch.tensor([[0.0005]])
    noisy = torch.rand(2, 4, 8, 12)
    variance = shot.view(1, 4, 1, 1) * noisy + 0.0005
    with torch.no_grad():
        torch.testing.assert_close(graphs.RawDenoisingAtLevel(network, shot, read)(noisy), network(noisy, variance))


@pytest.mark.parametrize("weights", ["base_raw", "compact_raw"])
def test_float16_holds_the_extremes_of_raw(weights: str) -> None:
    """Black beside white, under less noise than any camera has and under more.

    PyTorch rounds each layer's result to float16, where values above 65504 become infinite.
    """
    network = load_any(weights)
    assert isinstance(network, Denoiser)
    graph = graphs.RawDenoising(network)
    in_half(graph)
    largest = largest_of(network)
    edges = torch.zeros(1, 4, 16, 16)
    edges[..., 4:8, :] = edges[..., 10] = 1
    for shot, read in ((0.0, 0.0), (1e-7, 1e-10), (6e-6, 6e-9), (0.05, 0.01)):
        with torch.no_grad(), acceleration.fast(enabled=False):
            denoised = graph(edges, shot * edges + read)
        assert denoised.isfinite().all()
    assert 0 < largest[0] < LARGEST_HALF / 2


def largest_of(network: nn.Module) -> list[float]:
    """Returns a list that holds the largest absolute value of any layer's result from now on."""
    largest = [0.0]

    def look(layer: nn.Module, _inputs: object, result: Tensor) -> None:
        if result.dtype == torch.float16:
            largest[0] = max(largest[0], float(result.abs().max()))

    for layer in network.modules():
        if not list(layer.children()):
            layer.register_forward_hook(look)
    return largest


def test_the_colour_branch_and_both_ways_run_in_float16(tiny_isp: CycleISP) -> None:
    isp = copy.deepcopy(tiny_isp)
    photo = torch.rand(1, 3, 24, 32)
    with torch.no_grad(), acceleration.fast(enabled=False):
        raw, again = isp(photo)
        in_half(isp)
        half_raw, half_again = isp(photo)
    assert half_raw.dtype == half_again.dtype == torch.float32
    torch.testing.assert_close(half_raw, raw, atol=2e-3, rtol=0)
    torch.testing.assert_close(half_again, again, atol=5e-3, rtol=0)


def test_tiles_fit_the_network() -> None:
    gated = contract_for(RawGatedDenoiser(4, (1, 1), (1,), 1))
    assert gated.halo is not None and not gated.pools
    gated.check_tile(2 * gated.halo + gated.multiple)
    for tile in (2 * gated.halo, 2 * gated.halo + gated.multiple + 1):
        with pytest.raises(UserError, match=f"--tile {tile}: expected a multiple of {gated.multiple} pixels"):
            gated.check_tile(tile)
    assert contract_for(SrgbDenoiser(8, 1, 1, 2, unshuffle=2)).pools
    with pytest.raises(TypeError, match="no contract for a Linear"):
        contract_for(nn.Linear(1, 1))
