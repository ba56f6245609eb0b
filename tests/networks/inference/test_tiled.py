"""Tiles: the result is that of the whole image, whatever its size, and without seams."""

import contextlib
from collections.abc import Iterator
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

from cycleisp.networks import acceleration
from cycleisp.networks.blocks import GlobalMean
from cycleisp.networks.denoiser import RawDenoiser, SrgbDenoiser
from cycleisp.networks.inference import tiled
from cycleisp.networks.inference.tiled import TiledDenoiser, tiles
from cycleisp.utils.padding import pad_to_multiple
from tests.support.pictures import random_picture

TILE = 32


def strong(network: nn.Module) -> nn.Module:
    """Makes a network's corrections some tenths large, so that differences show."""
    network.tail.weight.data *= 4  # type: ignore[union-attr, operator]
    return network.eval().requires_grad_(False)


def srgb_denoiser(seed: int = 0, unshuffle: int = 1) -> SrgbDenoiser:
    torch.manual_seed(seed)
    network = strong(SrgbDenoiser(width=8, num_groups=1, num_blocks=2, reduction=2, unshuffle=unshuffle))
    assert isinstance(network, SrgbDenoiser)
    return network


def raw_denoiser() -> RawDenoiser:
    torch.manual_seed(0)
    network = strong(RawDenoiser(width=8, num_groups=1, num_blocks=2, reduction=2, unshuffle=2))
    assert isinstance(network, RawDenoiser)
    return network


def photo(height: int, width: int, seed: int = 0) -> Tensor:
    """Returns a bright and a dark half, whose pooled means differ, in [0.1, 0.9]."""
    image = torch.from_numpy(random_picture(height, width, seed=seed)).permute(2, 0, 1)[None].float() / 255
    image[..., width // 2 :] *= 0.4
    return 0.1 + 0.8 * image


def whole(network: nn.Module, *inputs: Tensor) -> Tensor:
    """Denoises in one pass over the whole image, with the plain modules."""
    multiple = network.multiple
    height, width = inputs[0].shape[2:]
    padded = [pad_to_multiple(image, multiple) for image in inputs]  # type: ignore[arg-type]
    with torch.no_grad(), acceleration.fast(enabled=False):
        return network(*padded)[..., :height, :width].clamp(0, 1)


@contextlib.contextmanager
def constant_means(network: nn.Module) -> Iterator[None]:
    """Makes channel attention see the same mean everywhere."""
    pools = [module for module in network.modules() if isinstance(module, GlobalMean)]
    handles = [pool.register_forward_hook(lambda _pool, _inputs, out: torch.full_like(out, 0.2)) for pool in pools]
    with acceleration.fast(enabled=False):
        yield
    for handle in handles:
        handle.remove()


@contextlib.contextmanager
def each_tile_alone() -> Iterator[None]:
    """Makes the second pass keep each tile's own means."""
    with mock.patch.object(tiled, "_replaced", lambda _pools, _means: contextlib.nullcontext()):
        yield


def hooks(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in network.modules())


# ---------------------------------------------------------------- the windows


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (65, 31), (100, 170)], ids=str)
def test_tiles_cover_every_pixel_once(size: tuple[int, int]) -> None:
    count = torch.zeros(size)
    for rows, columns in tiles(*size, 32):
        assert rows.stop - rows.start <= 32 and columns.stop - columns.start <= 32
        count[rows, columns] += 1
    assert (count == 1).all()


# ---------------------------------------------------------------- the same as the whole image


@pytest.mark.parametrize("unshuffle", [1, 2, 4])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 30), (32, 32), (33, 47), (52, 52)], ids=str)
def test_an_image_up_to_a_tile_and_its_halo_passes_whole(size: tuple[int, int], unshuffle: int) -> None:
    network, image = srgb_denoiser(unshuffle=unshuffle), photo(*size)
    denoised = TiledDenoiser(network, TILE)(image)
    assert denoised.shape == image.shape and denoised.device.type == "cpu"
    torch.testing.assert_close(denoised, whole(network, image), atol=1e-6, rtol=0)


@pytest.mark.parametrize("unshuffle", [1, 2, 4])
@pytest.mark.parametrize("size", [(97, 129), (128, 101), (20, 131), (131, 1)], ids=str)
def test_without_channel_attention_tiles_are_exact(size: tuple[int, int], unshuffle: int) -> None:
    """The halo is wide enough at every tile and at the image's borders."""
    network, image = srgb_denoiser(unshuffle=unshuffle), photo(*size)
    denoiser = TiledDenoiser(network, 8)
    with constant_means(network):
        expected = whole(network, image)
        with each_tile_alone():  # the first pass must not replace our constant
            denoised = denoiser(image)
    assert denoiser.tile is not None and max(size) > denoiser.tile + 2 * denoiser.halo
    assert (expected - image).abs().mean() > 0.01
    torch.testing.assert_close(denoised, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("unshuffle", [1, 2])
def test_with_channel_attention_tiles_differ_by_little(seed: int, unshuffle: int) -> None:
    """The largest difference to one pass is below 1e-3, a quarter of an 8-bit level.

    It was measured below 3e-4, for corrections of some tenths by random weights and for tiles of 32
    pixels, which are far smaller than in use.

    Tiles that pool for themselves differ more than ten times as much, and would show seams.
    """
    network, image = srgb_denoiser(seed, unshuffle), photo(150, 171, seed)
    denoiser = TiledDenoiser(network, TILE)
    expected = whole(network, image)
    assert (expected - image).abs().max() > 0.1
    two_passes = (denoiser(image) - expected).abs()
    with each_tile_alone():
        each_alone = (denoiser(image) - expected).abs()
    assert two_passes.max() <= 1e-3
    assert each_alone.max() > 10 * two_passes.max()
    assert each_alone.square().mean().sqrt() > 10 * two_passes.square().mean().sqrt()


def test_the_first_blocks_means_are_those_of_the_whole_image() -> None:
    """Nothing pools before it, so the tiles' average is the image's mean."""
    network, image = srgb_denoiser(), photo(96, 131)
    first = next(module for module in network.modules() if isinstance(module, GlobalMean))
    seen: list[Tensor] = []
    handle = first.register_forward_hook(lambda _pool, _inputs, out: seen.append(out.clone()))
    whole(network, image)
    handle.remove()
    used: list[Tensor] = []
    handle = network.get_submodule("deep.groups.0.blocks.0.channel_attention.squeeze").register_forward_pre_hook(
        lambda _conv, inputs: used.append(inputs[0].clone())
    )
    TiledDenoiser(network, TILE)(image)
    handle.remove()
    count = len(used) // 2
    assert count == len(list(tiles(96, 131, TILE)))
    for mean in used[count:]:  # the second pass
        torch.testing.assert_close(mean, seen[0], atol=1e-5, rtol=1e-4)


def test_no_seams_show() -> None:
    """The correction's steps across tile borders are those of one pass over the image."""
    network, image = srgb_denoiser(2), photo(128, 160)
    denoised, expected = TiledDenoiser(network, TILE)(image), whole(network, image)
    for dim, side in ((2, 128), (3, 160)):
        borders = torch.arange(TILE, side, TILE)
        steps, expected_steps = (
            each.index_select(dim, borders) - each.index_select(dim, borders - 1) for each in (denoised, expected)
        )
        torch.testing.assert_close(steps, expected_steps, atol=1e-4, rtol=0)


def test_a_flat_image_stays_as_flat_as_in_one_pass() -> None:
    network, image = srgb_denoiser(), torch.full((1, 3, 128, 128), 0.4)
    torch.testing.assert_close(TiledDenoiser(network, TILE)(image), whole(network, image), atol=1e-4, rtol=0)


def test_raw_with_its_variance() -> None:
    network = raw_denoiser()
    raw = photo(131, 99)[:, [0, 1, 1, 2]]
    variance = 0.5 * raw + 0.01
    denoiser = TiledDenoiser(network, TILE)
    denoised = denoiser(raw, variance)
    assert denoised.shape == raw.shape
    torch.testing.assert_close(denoised, whole(network, raw, variance), atol=1e-3, rtol=0)
    # the map is used, tile by tile
    assert (denoiser(raw, 0.1 * variance) - denoised).abs().max() > 0.01


def test_without_a_tile_a_cpu_gives_the_whole_image_exactly() -> None:
    network, image = srgb_denoiser(unshuffle=2), photo(70, 131)
    torch.testing.assert_close(TiledDenoiser(network)(image), whole(network, image), atol=1e-5, rtol=0)


def test_a_tile_is_at_least_one_block_of_the_network() -> None:
    network, image = srgb_denoiser(unshuffle=4), photo(97, 101)
    denoiser = TiledDenoiser(network, 3)
    assert denoiser.tile == 4 and TiledDenoiser(network, 1023).tile == 1020
    assert denoiser(image).shape == image.shape


def test_results_lie_in_the_unit_interval_and_inputs_are_left_alone() -> None:
    network = srgb_denoiser(3)
    network.tail.weight.data *= 50
    image = photo(70, 90)
    before = image.clone()
    denoised = TiledDenoiser(network, TILE)(image)
    assert denoised.min() == 0 and denoised.max() == 1 and torch.equal(image, before)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("size", [(20, 20), (90, 100)], ids=["whole", "tiled"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_no_numbers_are_refused(size: tuple[int, int], value: float) -> None:
    image = photo(*size)
    image[0, 1, 7, 9] = value
    with pytest.raises(ValueError, match="NaN or infinite"):
        TiledDenoiser(srgb_denoiser(), TILE)(image)
    raw = photo(*size)[:, [0, 1, 1, 2]]
    with pytest.raises(ValueError, match="NaN or infinite"):
        TiledDenoiser(raw_denoiser(), TILE)(raw, image[:, [0, 1, 1, 2]])


@pytest.mark.parametrize(
    "shape", [(2, 3, 20, 20), (3, 20, 20), (0, 3, 20, 20), (1, 3, 0, 20), (1, 3, 20, 0), (1, 0, 20, 20)], ids=str
)
def test_anything_but_one_image_with_pixels_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"one image \(1, C, H, W\) with pixels, got"):
        TiledDenoiser(srgb_denoiser(), TILE)(torch.zeros(shape))


@pytest.mark.parametrize("size", [(20, 20), (90, 100)], ids=["whole", "tiled"])
@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_are_refused(size: tuple[int, int], channels: int) -> None:
    with pytest.raises(ValueError, match=r"noisy sRGB: expected \(B, 3, H, W\)"):
        TiledDenoiser(srgb_denoiser(), TILE)(torch.zeros(1, channels, *size))


@pytest.mark.parametrize("size", [(20, 20), (90, 100)], ids=["whole", "tiled"])
@pytest.mark.parametrize("other", [-2, 2, 30])
def test_a_variance_of_another_size_is_refused(size: tuple[int, int], other: int) -> None:
    raw = torch.zeros(1, 4, *size)
    with pytest.raises(ValueError, match="variance map"):
        TiledDenoiser(raw_denoiser(), TILE)(raw, torch.zeros(1, 4, size[0], size[1] + other))


def test_no_hook_stays_behind_even_after_a_failure() -> None:
    network, image = srgb_denoiser(), photo(100, 120)
    denoiser = TiledDenoiser(network, TILE)
    before = whole(network, image)
    denoiser(image)
    assert hooks(network) == 0
    passes = 2 * len(list(tiles(100, 120, TILE)))
    for failing in (0, 3, passes // 2, passes - 1):  # in the first and in the second pass
        calls = 0

        def fail(_module: nn.Module, _inputs: object, failing: int = failing) -> None:
            nonlocal calls
            calls += 1
            if calls > failing:
                raise RuntimeError("out of memory")

        handle = network.tail.register_forward_pre_hook(fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            denoiser(image)
        handle.remove()
        assert hooks(network) == 0
    assert torch.equal(whole(network, image), before)


def test_an_image_that_does_not_fit_into_memory_is_cut_into_tiles(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    network, noisy = srgb_denoiser(), photo(96, 131)
    in_tiles, at_once = TiledDenoiser(network, tile=32)(noisy), TiledDenoiser(network)(noisy)
    monkeypatch.setattr(tiled, "LARGE_TILE", 32)
    features = 3 * 4 * network.deep.conv.in_channels * (96 * 131 // network.multiple**2)  # three maps
    needed = 96 * 131 * tiled.WHOLE_BYTES["srgb"] + features
    monkeypatch.setattr(tiled, "available_memory", lambda: needed)
    torch.testing.assert_close(TiledDenoiser(network)(noisy), at_once, rtol=0, atol=0)
    monkeypatch.setattr(tiled, "available_memory", lambda: needed - 1)
    with caplog.at_level("INFO"):
        torch.testing.assert_close(TiledDenoiser(network)(noisy), in_tiles, rtol=0, atol=0)
    assert "131x96 pixels" in caplog.text
