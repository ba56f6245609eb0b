"""Gated blocks in tiles: the plain blocks' results, for any size, layout and number of threads."""

import pytest
import torch
from torch import Tensor, nn

from cycleisp.networks import RawGatedDenoiser, SrgbGatedDenoiser, acceleration
from cycleisp.networks.fast.tiles import gated_blocks
from cycleisp.networks.gated_denoiser import GatedBlock
from tests.networks.test_gated_denoiser import SMALL, awake


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes tiles of 8x8 pixels at four channels, so that small images have many."""
    monkeypatch.setattr(gated_blocks, "TILE_VALUES", 4 * 8**2)


def chain(channels: int = 4) -> nn.Sequential:
    """Returns two blocks whose parameters all matter."""
    torch.manual_seed(0)
    blocks = nn.Sequential(GatedBlock(channels), GatedBlock(channels))
    for parameter in blocks.parameters():
        nn.init.normal_(parameter, std=0.5)
    return blocks


def fast(blocks: nn.Sequential, features: Tensor) -> Tensor:
    features = features.clone(memory_format=torch.preserve_format)
    with torch.no_grad():
        for block in blocks:
            features = gated_blocks.run(block, features)
    return features


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (5, 2), (5, 3), (9, 4), (8, 8), (17, 23), (64, 65)])
def test_blocks_in_tiles_are_the_blocks(size: tuple[int, int], layout: torch.memory_format) -> None:
    blocks = chain()
    features = torch.randn(2, 4, *size).contiguous(memory_format=layout)
    with torch.no_grad():
        torch.testing.assert_close(fast(blocks, features), blocks(features), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3, 5, 24, 33])
def test_any_number_of_channels(channels: int) -> None:
    blocks = chain(channels)
    features = torch.randn(1, channels, 19, 30)
    with torch.no_grad():
        torch.testing.assert_close(fast(blocks, features), blocks(features), rtol=1e-3, atol=1e-4)


def test_the_number_of_threads_changes_no_bit() -> None:
    blocks, features = chain(), torch.randn(1, 4, 50, 70)
    before = torch.get_num_threads()
    try:
        results = []
        for count in (1, 3):
            torch.set_num_threads(count)
            results.append(fast(blocks, features))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)


def test_features_with_channels_innermost_are_overwritten_and_others_are_not() -> None:
    blocks, plain = chain(), torch.randn(1, 4, 16, 16)
    innermost = plain.contiguous(memory_format=torch.channels_last)
    kept = plain.clone()
    with torch.no_grad():
        blocks[0](innermost)
        assert torch.equal(innermost, kept)
        assert blocks[0](innermost, in_place=True).data_ptr() == innermost.data_ptr()
        blocks[0](plain, in_place=True)
    assert torch.equal(plain, kept) and not torch.equal(innermost, kept)


def test_not_a_number_stays_where_it_is() -> None:
    features = torch.randn(1, 4, 30, 30)
    features[0, 0, 15, 15] = torch.nan
    bad = fast(chain(), features).isnan().any(1)[0]
    assert bad[13:18, 13:18].all() and bad.sum() == 25  # each of the two blocks sees one pixel around


@pytest.mark.parametrize("features", [torch.zeros(1, 4, 8, 8, dtype=torch.float64), torch.zeros(0, 4, 8, 8)])
def test_other_types_and_no_image_take_the_plain_blocks(features: Tensor) -> None:
    blocks = chain().to(features.dtype)
    assert not gated_blocks.suits(features)
    with torch.no_grad():
        torch.testing.assert_close(blocks[0](features.clone(), in_place=True), blocks[0](features))


@pytest.mark.parametrize("kind", [SrgbGatedDenoiser, RawGatedDenoiser])
@pytest.mark.parametrize("inference", [False, True])
def test_a_denoiser_gives_the_same_fast_and_plain(
    kind: type[SrgbGatedDenoiser] | type[RawGatedDenoiser], inference: bool
) -> None:
    torch.manual_seed(1)
    network = awake(kind(**SMALL))
    noisy = torch.rand(2, 3 if kind is SrgbGatedDenoiser else 4, 72, 104)
    kept = noisy.clone()
    inputs = [noisy] if kind is SrgbGatedDenoiser else [noisy, 0.01 * noisy + 1e-4]
    with torch.inference_mode() if inference else torch.no_grad():
        result = network(*inputs)
        with acceleration.fast(enabled=False):
            plain = network(*inputs)
    torch.testing.assert_close(result, plain, rtol=1e-4, atol=1e-5)
    assert torch.equal(noisy, kept) and not torch.equal(result, noisy)


def test_weights_changed_by_hand_count_at_once() -> None:
    blocks, features = chain(), torch.randn(1, 4, 16, 16)
    before = fast(blocks, features)
    with torch.no_grad():
        first = next(blocks.children())
        assert isinstance(first, GatedBlock)
        first.scale.data.mul_(2)
        torch.testing.assert_close(fast(blocks, features), blocks(features), rtol=1e-4, atol=1e-5)
    assert not torch.equal(before, fast(blocks, features))
