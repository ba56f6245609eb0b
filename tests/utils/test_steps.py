"""Steps of a computation reach whoever watches, once, and nobody else; and it ends when told to."""

import itertools

import pytest
import torch

from cycleisp.networks import SrgbDenoiser, SrgbGatedDenoiser
from cycleisp.networks.denoiser import Denoiser
from cycleisp.networks.fast.strips import bands
from cycleisp.networks.fast.tiles import gated_blocks
from cycleisp.networks.inference.tiled import TiledDenoiser
from cycleisp.utils.steps import looker, steps, stoppable, watched


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


PAPER = SrgbDenoiser(width=8, num_groups=2, num_blocks=2, reduction=2)
GATED = SrgbGatedDenoiser(4, (1, 2), (1,), 1)


@pytest.mark.parametrize(
    ("network", "counts"),
    [(PAPER, {None: 4, 16: 72}), (GATED, {None: 4, 16: 36})],  # 72: two passes of 36 tiles
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


class Enough(Exception):  # noqa: N818
    """Somebody wants no more."""


@pytest.mark.parametrize(("network", "pieces"), [(PAPER, 100), (GATED, 40)], ids=["paper", "gated"])
def test_a_photo_that_passes_whole_is_ended_between_its_pieces(
    network: Denoiser, pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are many times more pieces than steps, so that a large photo ends soon."""
    network.eval().requires_grad_(False)
    monkeypatch.setattr(bands, "STRIP_BYTES", 1)  # strips of 8 rows, as
    monkeypatch.setattr(gated_blocks, "TILE_VALUES", 64)  # tiles of 8
    denoise, photo = TiledDenoiser(network), torch.rand(1, 3, 96, 96)
    looks, last = itertools.count(1), 0

    def look() -> None:
        if next(looks) == last:
            raise Enough

    with stoppable(look):
        whole = denoise(photo)
    count = next(looks) - 1
    assert count >= pieces
    for end in (1, count // 2, count):
        looks, last = itertools.count(1), end
        with pytest.raises(Enough), stoppable(look):
            denoise(photo)
    assert torch.equal(denoise(photo), whole)  # nothing is left behind


def test_without_anybody_who_asks_a_computation_goes_on() -> None:
    calls: list[int] = []
    with stoppable(lambda: calls.append(1)):
        looker()()
    looker()()
    assert calls == [1]
