"""The kernels of networks/fast/kernels/block_kernels.py, run by Triton's interpreter on a CPU: what a GPU is to
compute.
"""

import logging
import os
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("triton", reason="Triton, which comes with PyTorch for Linux, is not installed")

from cycleisp.networks import trunk
from cycleisp.networks.blocks import DeepFeatures
from cycleisp.networks.fast.kernels import block_kernels, fused_trunk
from cycleisp.networks.fast.kernels.fused_trunk import FusedTrunk

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") != "1",
    reason="there is a GPU: tests/networks/fast/test_cuda.py runs the kernels on it",
)


def deep_features(width: int, seed: int = 0) -> DeepFeatures:
    """Two groups of two blocks with random weights; slopes differ and some are negative."""
    torch.manual_seed(seed)
    activation = nn.PReLU(width)
    deep = DeepFeatures(width, num_groups=2, num_blocks=2, reduction=4, activation=activation).requires_grad_(False)
    activation.weight.uniform_(-0.5, 1)
    return deep


def features(batch: int, width: int, height: int, columns: int) -> Tensor:
    return torch.randn(batch, width, height, columns, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", [(2, 9, 15), (1, 1, 1), (1, 1, 40), (1, 30, 5)])
@pytest.mark.parametrize("width", [20, 32, 48, 64, 96])
def test_kernels_compute_what_the_modules_compute(width: int, shape: tuple[int, int, int]) -> None:
    deep, given = deep_features(width), features(shape[0], width, *shape[1:])
    expected = deep(given)
    found = FusedTrunk(deep, torch.float32, "ieee").compute(given)
    assert (found - expected).abs().max() < 2e-5 * max(1, float(expected.std()))


@pytest.mark.parametrize("width", [20, 64, 96])
def test_images_of_many_programs(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of channels are added up in stages, and a program of `pool` takes several parts of the image."""
    monkeypatch.setattr(block_kernels, "_PROGRAMS", 2)
    monkeypatch.setattr(block_kernels, "_SUMMED", 4)
    deep, given = deep_features(width), features(2, width, 30, 41)
    expected = deep(given)
    exact = FusedTrunk(deep, torch.float32, "ieee").compute(given)
    assert (exact - expected).abs().max() < 2e-5 * expected.std()
    half = FusedTrunk(deep, torch.float16, "ieee").compute(given.half())
    assert (half - expected).abs().max() < 1e-2 * expected.std()


@pytest.mark.parametrize("width", [20, 48, 64, 96])
def test_half_precision_rounds_features_alone(width: int) -> None:
    """With and without convolutions of its own: every result is as close as one rounding a step lets it be."""
    deep, given = deep_features(width), features(1, width, 16, 20)
    expected = deep(given)
    found = FusedTrunk(deep, torch.float16, "ieee").compute(given.half())
    assert found.dtype == torch.float16
    steps = 2 * (2 * 4 + 1) + 1  # groups of two blocks of four maps
    assert (found.float() - expected).square().mean().sqrt() < 2**-11 * steps**0.5 * 3 * expected.std()


def test_convolutions_are_padded_with_zeros_and_channels_do_not_mix_up() -> None:
    torch.manual_seed(0)
    given = torch.randn(1, 20, 5, 7).half().contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(20, 20, 3, 3) / 14
    bias, slopes = torch.randn(20), torch.rand(20)
    packed = kernel.half().permute(2, 3, 1, 0).reshape(9, 20, 20).contiguous()
    exact = nn.functional.conv2d(given.float(), kernel.half().float(), padding=1)
    shifted = exact + bias.view(1, -1, 1, 1)

    activated = block_kernels.convolve_activate(given, packed, bias, slopes)
    assert (activated - nn.functional.prelu(shifted, slopes)).abs().max() < 2**-9
    u, pooled = block_kernels.convolve_pool(given, packed, bias)
    assert (u - exact).abs().max() < 2**-9
    for found in (pooled, block_kernels.pool(u, bias)):
        planes = torch.stack([shifted.amax(1).flatten(1), shifted.mean(1).flatten(1)], dim=1)
        assert (found.planes - planes).abs().max() < 2**-8
        assert (found.sums.sum(1) - shifted.sum((2, 3))).abs().max() < 35 * 2**-8


def test_an_image_gives_the_same_bits_in_any_batch() -> None:
    deep, given = deep_features(32), features(3, 32, 11, 13).half().contiguous(memory_format=torch.channels_last)
    block = FusedTrunk(deep, torch.float16, "ieee")._groups[0].blocks[0]

    def run(images: Tensor) -> Tensor:
        u, pooled = block_kernels.convolve_pool(images, block.conv2, block.attention.conv2_bias)
        block_kernels.dual_attention(u, images, pooled, block.attention, "ieee")
        return u

    assert torch.equal(run(given), torch.cat([run(image) for image in given.split(1)]))


def test_weights_that_change_are_noticed() -> None:
    deep = deep_features(16)
    fused = FusedTrunk(deep, torch.float32, "ieee")
    assert fused.is_current()
    deep.groups[1].blocks[0].fuse.bias.add_(1)  # type: ignore[union-attr,index]
    assert not fused.is_current()
    fused = FusedTrunk(deep, torch.float32, "ieee")
    deep.load_state_dict(deep_features(16, seed=1).state_dict())
    assert not fused.is_current()


class Pretended(Tensor):
    """Features that say they lie on a GPU."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cuda")


def test_without_kernels_networks_run_as_they_are(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And one line says why, once."""
    monkeypatch.setattr(fused_trunk, "_failures", set())
    monkeypatch.setattr(fused_trunk, "_missing", ImportError("No module named 'triton'\nand more"))
    deep, given = deep_features(16), features(1, 16, 4, 4).as_subclass(Pretended)
    with caplog.at_level(logging.WARNING):
        assert fused_trunk.find(deep, given) is None
        assert fused_trunk.find(deep, given) is None
    expected = "networks run without kernels of their own, which would be faster: No module named 'triton'"
    assert [record.message for record in caplog.records] == [expected]


def test_gradients_hooks_and_cpus_go_module_by_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU's kernels are asked for, and what not."""
    asked: list[Tensor] = []

    def find(_deep: DeepFeatures, given: Tensor) -> Callable[[Tensor], Tensor]:
        asked.append(given)
        return lambda features: 0 * features

    monkeypatch.setattr(fused_trunk, "find", find)
    monkeypatch.setattr(trunk.strips, "wins", lambda *_: False)
    deep, given = deep_features(16), features(1, 16, 6, 6)

    def run() -> Tensor:
        return trunk.run(lambda planes: 2 * planes, deep, lambda features: features + 1, given)

    expected = deep(2 * given) + 1
    assert torch.equal(run(), expected)
    with torch.no_grad():
        assert torch.equal(run(), torch.ones_like(given)) and len(asked) == 1
        deep.whole = True
        assert torch.equal(run(), expected)
    assert len(asked) == 1
