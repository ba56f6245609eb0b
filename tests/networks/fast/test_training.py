"""Compiled blocks and recorded trunks, as far as a machine without a GPU can tell."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cycleisp.networks import ColorCorrection, Raw2Rgb, Rgb2Raw, SrgbDenoiser, acceleration
from cycleisp.networks.acceleration import record_trunks, to_device
from cycleisp.networks.blocks import DAB, DeepFeatures, save_memory
from cycleisp.networks.cycleisp import CycleISP
from cycleisp.networks.fast.training import compile_blocks, compiler_works
from cycleisp.utils.weights.files import load_weights, save_weights
from tests.support.trunks import SMALL, PretendedMove

# The compiler captures graphs, but makes no code for a processor.
GRAPH_ONLY = {"backend": "aot_eager", "fullgraph": True}


def srgb_denoiser(**sizes: int) -> SrgbDenoiser:
    torch.manual_seed(0)
    return SrgbDenoiser(**{**SMALL, **sizes})


def blocks(network: nn.Module) -> list[DAB]:
    return [module for module in network.modules() if isinstance(module, DAB)]


def is_compiled(block: nn.Module) -> bool:
    return getattr(block._compiled_call_impl, "_torchdynamo_orig_callable", None) is not None


@pytest.mark.parametrize("recomputed", [False, True])
def test_compiled_blocks_give_the_same_results_and_gradients(recomputed: bool) -> None:
    """Sizes and batches differ, so that the compiler must notice that they vary."""
    plain, compiled = srgb_denoiser(num_groups=1), srgb_denoiser(num_groups=1)
    if recomputed:
        save_memory(compiled)
    compile_blocks(compiled, **GRAPH_ONLY)
    assert all(is_compiled(block) for block in blocks(compiled))
    for shape in ((2, 3, 12, 16), (1, 3, 9, 7), (3, 3, 5, 21)):
        noisy = torch.rand(shape, generator=torch.Generator().manual_seed(1))
        results = [network(noisy) for network in (plain, compiled)]
        torch.testing.assert_close(*results, atol=1e-6, rtol=0)
        for result in results:
            result.square().mean().backward()
    for one, other in zip(plain.parameters(), compiled.parameters(), strict=True):
        assert one.grad is not None and other.grad is not None
        torch.testing.assert_close(one.grad, other.grad, atol=1e-6, rtol=1e-4)


def test_compiled_networks_keep_their_names_and_copies_are_plain(tmp_path: Path) -> None:
    """Checkpoints fit both. The moving average of a run is a copy of its network."""
    network = srgb_denoiser()
    names = list(network.state_dict())
    compile_blocks(network, **GRAPH_ONLY)
    assert list(network.state_dict()) == names
    assert not any(is_compiled(block) for block in blocks(copy.deepcopy(network)))
    save_weights(tmp_path / "weights.safetensors", network, {})
    load_weights(srgb_denoiser(), tmp_path / "weights.safetensors")


@pytest.mark.parametrize("works", [False, True])
@pytest.mark.parametrize("asked", [False, True])
def test_on_a_gpu(asked: bool, works: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def compile_function(_function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        if works:
            return lambda values: values
        raise RuntimeError("cannot find a C compiler\nand much more")

    compiler_works.cache_clear()
    monkeypatch.setattr(torch, "ones", lambda *_, device: torch.zeros(1))
    with monkeypatch.context() as patched:
        patched.setattr(torch, "compile", compile_function)
        compiler_works(torch.device("cuda"))  # which is remembered
    network = to_device(PretendedMove(), torch.device("cuda"), compiled=asked)
    assert not network.block.conv1.weight.is_contiguous()  # channels innermost
    assert is_compiled(network.block) == (asked and works)
    warned = "networks are not compiled, which would be faster: cannot find a C compiler\n" in caplog.text
    assert warned == (not works)
    compiler_works.cache_clear()


def test_photos_of_many_sizes_need_few_compilations() -> None:
    """The compiler stops at eight cases, with three networks, single photos and batches."""
    compiled: list[object] = []

    def count(graph: torch.fx.GraphModule, _inputs: list[Tensor]) -> Callable[..., Tensor]:
        compiled.append(graph)
        return graph.forward

    torch._dynamo.reset()
    networks = [make(**SMALL).requires_grad_(False) for make in (Rgb2Raw, ColorCorrection, Raw2Rgb)]
    for network in networks:
        compile_blocks(network, backend=count)
    to_raw, to_colors, to_srgb = networks
    with torch.inference_mode(), acceleration.fast(enabled=False):  # as on a GPU, not by strips
        for batch, height, width in ((1, 32, 48), (1, 48, 32), (1, 40, 40), (2, 40, 40), (4, 64, 50), (1, 34, 62)):
            photos = torch.rand(batch, 3, height, width)
            assert to_srgb(to_raw(photos), to_colors(photos)).shape == photos.shape
    assert 1 <= len(compiled) <= 4


def test_trunks_that_run_once_a_step_are_recorded(tiny_isp: CycleISP, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trunk that runs twice before its gradient would overwrite what its first run kept."""
    recorded: list[tuple[nn.Module, Tensor]] = []
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", lambda trunk, given: recorded.append((trunk, *given)))
    network = copy.deepcopy(tiny_isp).train().requires_grad_(True)
    photo, raw = torch.rand(2, 3, 16, 16), torch.rand(2, 4, 8, 8)
    guided = network.guided_raw2rgb
    once = [network.rgb2raw.deep, guided.color_correction.deep]
    for forward, expected in (
        (lambda: network(photo, raw), once),
        (lambda: network(photo), [*once, guided.raw2rgb.deep]),
    ):
        recorded.clear()
        record_trunks(network, forward, "float32")
        assert {module for module, _ in recorded} == set(expected)
        assert all(given.requires_grad and given.shape == (2, 8, 8, 8) for _, given in recorded)
    assert not any(module._forward_pre_hooks for module in network.modules())
    save_memory(network)
    recorded.clear()
    record_trunks(network, lambda: network(photo), "float32")
    assert not recorded


def test_recording_sees_the_precision_and_caches_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cached weight in half precision would belong to the pass that cached it."""
    network, states = srgb_denoiser().train(), []

    def record(_trunk: DeepFeatures, given: tuple[Tensor]) -> None:
        states.append((torch.is_autocast_enabled("cpu"), torch.is_autocast_cache_enabled(), given[0].dtype))

    def forward() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            network(torch.rand(1, 3, 8, 8))

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", record)
    record_trunks(network, forward, "bf16")
    assert states == [(True, False, torch.bfloat16)]
    assert torch.is_autocast_cache_enabled() and not torch.is_autocast_enabled("cpu")
