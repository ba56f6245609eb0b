"""Steps of a computation reach whoever watches, once, and nobody else."""

import pytest
import torch

from cycleisp.networks import SrgbDenoiser, SrgbGatedDenoiser
from cycleisp.networks.denoiser import Denoiser
from cycleisp.networks.inference.tiled import TiledDenoiser
from cycleisp.utils.steps import steps, watched


def test_steps_are_told_as_shares_and_inner_ones_are_not() -> None:
    told: list[float] = []
    with watched(told.append), steps(2) as step:
        for _ in range(2):
            with steps(5) as inner:
                inner()
            step()
    with steps(1) as step:
        step()
    assert told == [0.5, 1.0]


@pytest.mark.parametrize(
    ("network", "counts"),
    [
        (SrgbDenoiser(width=8, num_groups=2, num_blocks=2, reduction=2), {None: 4, 16: 72}),  # two passes of 36 tiles
        (SrgbGatedDenoiser(4, (1, 2), (1,), 1), {None: 4, 16: 36}),
    ],
    ids=["paper", "gated"],
)
def test_a_large_photo_tells_how_far_it_is_whole_and_in_tiles(network: Denoiser, counts: dict[int | None, int]) -> None:
    network.eval().requires_grad_(False)
    photo = torch.rand(1, 3, 96, 96)
    for tile, count in counts.items():
        told: list[float] = []
        with watched(told.append):
            TiledDenoiser(network, tile)(photo)
        assert len(told) == count, tile
        assert told == sorted(told) and told[-1] == 1
