"""The kernels of a trunk, run by Triton's interpreter on a CPU: what a GPU is to compute."""

import logging
import os
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("triton", reason="Triton, which comes with PyTorch for Linux, is not installed")

from cycleisp.networks import fast as networks_fast
from cycleisp.networks.acceleration import fast, run_trunk
from cycleisp.networks.blocks import DeepFeatures
from cycleisp.networks.fast.kernels import block_kernels, fused_trunk
from cycleisp.networks.fast.kernels.fused_trunk import FusedTrunk
from cycleisp.networks.fast.strips import striped_trunk

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") != "1",
    reason="there is a GPU: tests/networks/fast/test_cuda.py runs the kernels on it",
)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begins without trunks in use and without failures."""
    monkeypatch.setattr(fused_trunk, "_failures", set())
    monkeypatch.setattr(fused_trunk, "_trunks", weakref.WeakKeyDictionary())


def deep_features(width: int, seed: int = 0, groups: int = 2, blocks: int = 2) -> DeepFeatures:
    """Returns groups of blocks with random weights and some negative slopes."""
    torch.manual_seed(seed)
    activation = nn.PReLU(width)
    deep = DeepFeatures(width, num_groups=groups, num_blocks=blocks, reduction=4, activation=activation).requires_grad_(
        False
    )
    activation.weight.uniform_(-0.5, 1)
    return deep


def features(batch: int, width: int, height: int, columns: int) -> Tensor:
    return torch.randn(batch, width, height, columns, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", [(2, 9, 15), (1, 1, 1), (1, 1, 40), (1, 30, 5)])
@pytest.mark.parametrize("width", [20, 32, 48, 64, 96])
def test_kernels_compute_what_the_modules_compute(width: int, shape: tuple[int, int, int]) -> None:
    """Images of few rows or columns show what happens at borders, for which one block is enough."""
    count = 2 if shape == (2, 9, 15) else 1
    deep = deep_features(width, groups=count, blocks=count)
    given = features(shape[0], width, *shape[1:])
    expected = deep(given)
    found = FusedTrunk(deep, torch.float32, "ieee").compute(given)
    assert (found - expected).abs().max() < 2e-5 * max(1, float(expected.std()))


@pytest.mark.parametrize("width", [20, 64, 96])
def test_images_of_many_programs(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Channels are summed up in stages, and a program of `pool` handles several parts.

    The images have five parts, the last of which is not full: three and two for the programs of
    `pool`; two, two and one for those that add up sums; and again two and one for `excite`.
    """
    monkeypatch.setattr(block_kernels, "_PROGRAMS", 2)
    monkeypatch.setattr(block_kernels, "_SUMMED", 2)
    deep, given = deep_features(width, groups=1, blocks=1), features(2, width, 19, 31)
    expected = deep(given)
    exact = FusedTrunk(deep, torch.float32, "ieee").compute(given)
    assert (exact - expected).abs().max() < 2e-5 * expected.std()
    half = FusedTrunk(deep, torch.float16, "ieee").compute(given.half())
    assert (half - expected).abs().max() < 1e-2 * expected.std()


@pytest.mark.parametrize("width", [20, 48, 64, 96])
def test_half_precision_rounds_features_alone(width: int) -> None:
    """With and without kernels for convolutions, each step rounds once."""
    deep, given = deep_features(width), features(1, width, 10, 13)
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
    """Features that claim to be on a GPU."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cuda")

    def new_zeros(self, *size: int) -> Tensor:  # type: ignore[override]
        return torch.zeros(size)  # the kernels run on the CPU


def test_without_kernels_networks_run_as_they_are(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line says why, once."""
    monkeypatch.setattr(fused_trunk, "_missing", ImportError("No module named 'triton'\nand more"))
    deep, given = deep_features(16), features(1, 16, 4, 4).as_subclass(Pretended)
    with caplog.at_level(logging.WARNING):
        assert fused_trunk.find(deep, given) is None
        assert fused_trunk.find(deep, given) is None
    expected = "networks run without kernels of their own, which would be faster: No module named 'triton'"
    assert [record.message for record in caplog.records] == [expected]


def test_gradients_and_the_switch_go_module_by_module(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Tensor] = []

    def find(_deep: DeepFeatures, like: Tensor) -> Callable[[Tensor], Tensor]:
        asked.append(like)
        return lambda features: 0 * features

    monkeypatch.setattr(fused_trunk, "find", find)
    monkeypatch.setattr(striped_trunk, "suits", lambda *_: False)
    deep, given = deep_features(16), features(1, 16, 6, 6).as_subclass(Pretended)

    def run() -> Tensor:
        return run_trunk(lambda planes: 2 * planes, deep, lambda features: features + 1, given)

    expected = deep(2 * given) + 1
    assert torch.equal(run(), expected)
    with torch.no_grad():
        assert torch.equal(run(), torch.ones_like(given)) and len(asked) == 1
        with fast(enabled=False):
            assert torch.equal(run(), expected)
    assert len(asked) == 1


# ---------------------------------------------------------------- what is kept of the weights


def trainable() -> DeepFeatures:
    return deep_features(16).requires_grad_(True)


def loss(deep: DeepFeatures) -> Tensor:
    """Runs a trunk with gradients, as in a network's forward pass."""
    return run_trunk(nn.Identity(), deep, nn.Identity(), features(1, 16, 6, 6)).square().mean()


def found_result(deep: DeepFeatures) -> Tensor:
    """Returns what the kernels compute that are in use for this trunk."""
    found = fused_trunk.find(deep, features(1, 16, 4, 4).as_subclass(Pretended))
    assert found is not None
    with torch.no_grad():
        return found.compute(features(1, 16, 6, 6))


def true_result(deep: DeepFeatures) -> Tensor:
    with torch.no_grad():
        return deep(features(1, 16, 6, 6))


def test_kernels_are_kept_while_weights_stay() -> None:
    deep, like = trainable(), features(1, 16, 4, 4).as_subclass(Pretended)
    found = fused_trunk.find(deep, like)
    assert isinstance(found, FusedTrunk) and fused_trunk.find(deep, like) is found
    networks_fast.forget(deep)
    assert fused_trunk.find(deep, like) is not found


def test_a_forward_pass_with_gradients_forgets() -> None:
    deep, other, like = trainable(), trainable(), features(1, 16, 4, 4).as_subclass(Pretended)
    found = [fused_trunk.find(one, like) for one in (deep, other)]
    loss(deep)
    assert deep not in fused_trunk._trunks
    assert fused_trunk.find(other, like) is found[1]


def test_any_training_loop_validates_on_true_weights() -> None:
    """Fused optimizers do not count versions: the kernels look current after a step."""
    deep = trainable()
    optimizer = torch.optim.AdamW(deep.parameters(), lr=0.01, fused=True)
    for _ in range(2):
        loss(deep).backward()
        before = found_result(deep)  # between gradient and step, as adversarial training does
        packed = fused_trunk._trunks[deep][torch.float32, "ieee"]
        optimizer.step()
        optimizer.zero_grad()
        assert packed.is_current()
        found, true = found_result(deep), true_result(deep)
        assert (found - true).abs().max() < 1e-4 * max(1, float(true.std()))
        assert (found - before).abs().max() > 0.01


def test_other_networks_steps_forget_nothing() -> None:
    deep, other, like = trainable(), trainable(), features(1, 16, 4, 4).as_subclass(Pretended)
    loss(other).backward()
    found = fused_trunk.find(deep, like)
    torch.optim.AdamW(other.parameters(), fused=True).step()
    assert fused_trunk.find(deep, like) is found


# ---------------------------------------------------------------- failures


def test_running_out_of_memory_passes_through_and_the_next_call_tries_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    deep, like = deep_features(16), features(1, 16, 4, 4).as_subclass(Pretended)

    def fail(*_: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    for name in ("_pack_group", "_convolve"):  # while weights are packed, and in the first run
        with monkeypatch.context() as patched, pytest.raises(torch.OutOfMemoryError):
            patched.setattr(fused_trunk, name, fail)
            fused_trunk.find(deep, like)
        assert not fused_trunk._failures and not fused_trunk._trunks[deep]
    assert not caplog.records
    assert isinstance(fused_trunk.find(deep, like), FusedTrunk)
