"""Bands and strips hold every row once, and mark those that other bands look at."""

import pytest
import torch

from cycleisp.networks.fast.strips import bands
from cycleisp.networks.fast.strips.bands import EDGE, Strip

CPU = torch.device("cpu")
HEIGHTS = [1, 2, 5, 6, 11, 12, 13, 17, 100, 1001]


def all_rows(found: list[bands.Band]) -> list[int]:
    return [row for band in found for first, end, _ in band for row in range(first, end)]


@pytest.mark.parametrize("in_tiles", [False, True])
@pytest.mark.parametrize("height", HEIGHTS)
def test_every_row_lies_in_one_strip(height: int, in_tiles: bool) -> None:
    for divide in (bands.apart, bands.in_turn):
        for width in (1, 300, 30_000):
            found = divide(height, width, 64, CPU, in_tiles)
            assert all_rows(found) == list(range(height))
            assert all(first < end for band in found for first, end, _ in band)


@pytest.mark.parametrize("height", HEIGHTS)
def test_what_a_band_shares_is_what_its_neighbours_look_at(height: int) -> None:
    found = bands.in_turn(height, 6000, 64, CPU, in_tiles=True)
    borders = [band[0].first for band in found[1:]]
    for first, end, shared in (strip for band in found for strip in band):
        assert shared == any(border - EDGE <= first and end <= border + EDGE for border in borders)
    assert len(found) == max(1, min(bands.LONG_BANDS, height // (2 * EDGE)))


def test_strips_fill_whole_tiles() -> None:
    """Four strips of 256x256 pixels fill tiles of four rows, with a row above and one below."""
    assert bands.apart(256, 256, 64, CPU, in_tiles=True) == [
        [Strip(0, 66)], [Strip(66, 132)], [Strip(132, 198)], [Strip(198, 256)]
    ]  # fmt: skip
    inner = [strip for band in bands.in_turn(4000, 6000, 64, CPU, True) for strip in band[1:-2] if not strip.shared]
    assert {end - first for first, end, _ in inner} == {8}


def test_strips_fit_the_cache_and_those_of_a_gpu_keep_it_busy() -> None:
    for device, size in ((CPU, bands.STRIP_BYTES), (torch.device("cuda"), bands.GPU_STRIP_BYTES)):
        for divide in (bands.apart, bands.in_turn):
            (first, end, _), *_ = (strip for band in divide(9000, 256, 64, device, False) for strip in band)
            assert 0.9 * size < 4 * 256 * 64 * (end - first) <= size
