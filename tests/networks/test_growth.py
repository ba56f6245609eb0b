"""A larger network starts from a smaller one: with its results, and all new parameters learn."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cycleisp.networks import RawDenoiser, SrgbDenoiser
from cycleisp.networks.growth import go_on_from
from cycleisp.utils.weights.errors import WeightsError
from cycleisp.utils.weights.files import save_weights

SIZES: dict[str, Any] = {"width": 8, "num_groups": 2, "num_blocks": 2, "reduction": 2}


def image(channels: int) -> Tensor:
    return torch.rand(2, channels, 12, 14, generator=torch.Generator().manual_seed(0))


def stored(path: Path, seed: int = 3) -> SrgbDenoiser:
    """Makes a small denoiser with a strong correction, and its file."""
    torch.manual_seed(seed)
    network = SrgbDenoiser(**SIZES)
    network.tail.weight.data *= 20
    save_weights(path, network, {"network": "SrgbDenoiser", "sizes": {"denoiser": SIZES}})
    return network


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_a_network_with_more_groups_begins_with_the_smaller_ones_results(groups: int, tmp_path: Path) -> None:
    small = stored(tmp_path / "small.safetensors")
    large = SrgbDenoiser(**SIZES | {"num_groups": groups})
    before = large(image(3))
    go_on_from(large, str(tmp_path / "small.safetensors"))
    torch.testing.assert_close(large(image(3)), small(image(3)), atol=1e-6, rtol=0)
    assert (before - small(image(3))).abs().max() > 0.01


def test_new_groups_learn(tmp_path: Path) -> None:
    """A new group's last convolution learns at the first step, the others from the second on."""
    stored(tmp_path / "small.safetensors")
    large = SrgbDenoiser(**SIZES | {"num_groups": 3})
    go_on_from(large, str(tmp_path / "small.safetensors"))
    added = dict(large.deep.groups[2].named_parameters())
    begun = {name: parameter.detach().clone() for name, parameter in added.items()}
    optimizer = torch.optim.Adam(large.parameters(), lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        (large(image(3)) - 0.5).abs().mean().backward()
        optimizer.step()
    assert [name for name, parameter in added.items() if torch.equal(parameter, begun[name])] == []


def test_raw_denoisers_grow_too(tmp_path: Path) -> None:
    small = RawDenoiser(**SIZES, stabilized=True)
    sizes = {"denoiser": SIZES, "stabilized": True}
    save_weights(tmp_path / "small.safetensors", small, {"network": "RawDenoiser", "sizes": sizes})
    large = RawDenoiser(**SIZES | {"num_groups": 3}, stabilized=True)
    go_on_from(large, str(tmp_path / "small.safetensors"))
    noisy, variance = image(4), 0.01 * image(4) + 1e-4
    torch.testing.assert_close(large(noisy, variance), small(noisy, variance), atol=1e-6, rtol=0)


@pytest.mark.parametrize("change", [{"num_groups": 1}, {"num_blocks": 3}, {"num_blocks": 1}, {"width": 12}], ids=str)
def test_what_is_no_larger_network_is_refused(change: dict[str, int], tmp_path: Path) -> None:
    stored(tmp_path / "small.safetensors")
    network = SrgbDenoiser(**SIZES | change)
    before = [parameter.clone() for parameter in network.parameters()]
    with pytest.raises(WeightsError, match=r"small\.safetensors: .*its sizes, and at least its 2 groups"):
        go_on_from(network, str(tmp_path / "small.safetensors"))
    assert all(torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True))


def test_a_network_that_sees_raw_otherwise_is_refused(tmp_path: Path) -> None:
    """The parameters alone would fit."""
    small = RawDenoiser(**SIZES)
    save_weights(tmp_path / "small.safetensors", small, {"network": "RawDenoiser", "sizes": {"denoiser": SIZES}})
    with pytest.raises(WeightsError, match="must have its sizes"):
        go_on_from(RawDenoiser(**SIZES, stabilized=True), str(tmp_path / "small.safetensors"))


def test_another_kind_of_network_is_refused(tmp_path: Path) -> None:
    stored(tmp_path / "small.safetensors")
    with pytest.raises(WeightsError, match="a RawDenoiser is needed"):
        go_on_from(RawDenoiser(**SIZES), str(tmp_path / "small.safetensors"))
