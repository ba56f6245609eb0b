"""Gated blocks in tiles: the plain blocks' results, for any size and layout."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cycleisp.networks import RawGatedDenoiser, SrgbGatedDenoiser, acceleration
from cycleisp.networks.fast import tiles
from cycleisp.networks.gated_denoiser import GatedBlock
from tests.networks.test_gated_denoiser import SMALL, awake


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (17, 23), (64, 65)])
def test_a_block_in_tiles_is_the_block(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], layout: torch.memory_format
) -> None:
    monkeypatch.setattr(tiles, "TILE_VALUES", 2 * 4 * 8**2)
    torch.manual_seed(0)
    block = awake(GatedBlock(4))
    assert isinstance(block, GatedBlock)
    features = torch.randn(2, 4, *size).contiguous(memory_format=layout)
    with torch.no_grad():
        result = block(features)
        plain = block.refine(block.mix(features))
    torch.testing.assert_close(result, plain, rtol=1e-5, atol=1e-6)
    assert result.is_contiguous(memory_format=layout)


def test_each_pixel_is_computed_once_and_from_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum over 3x3 pixels, behind which 1 is added: known values also at borders."""
    monkeypatch.setattr(tiles, "TILE_VALUES", 8**2)

    def mix(part: Tensor) -> Tensor:
        return F.conv2d(part, torch.ones(1, 1, 3, 3), padding=1)

    result = tiles.run(mix, lambda part: part + 1, torch.ones(1, 1, 19, 30))
    expected = torch.full((19, 30), 10.0)
    expected[[0, -1]], expected[:, [0, -1]] = 7, 7
    expected[[0, 0, -1, -1], [0, -1, 0, -1]] = 5
    assert torch.equal(result[0, 0], expected)


@pytest.mark.parametrize("kind", [SrgbGatedDenoiser, RawGatedDenoiser])
def test_a_denoiser_gives_the_same_fast_and_plain(
    monkeypatch: pytest.MonkeyPatch, kind: type[SrgbGatedDenoiser] | type[RawGatedDenoiser]
) -> None:
    monkeypatch.setattr(tiles, "TILE_VALUES", 4 * 8**2)
    torch.manual_seed(1)
    network = awake(kind(**SMALL))
    noisy = torch.rand(2, 3 if kind is SrgbGatedDenoiser else 4, 72, 104)
    inputs = [noisy] if kind is SrgbGatedDenoiser else [noisy, 0.01 * noisy + 1e-4]
    with torch.no_grad():
        fast = network(*inputs)
        with acceleration.fast(enabled=False):
            plain = network(*inputs)
    torch.testing.assert_close(fast, plain, rtol=1e-5, atol=1e-6)
    assert not torch.equal(fast, noisy)
