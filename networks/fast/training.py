"""Faster training on a CUDA GPU: compiled blocks, and trunks recorded as CUDA graphs."""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from cycleisp.networks.blocks import DAB, Chain, DeepFeatures
from cycleisp.networks.gated_denoiser import GatedBlock, GatedUNet
from cycleisp.utils.devices import computing

log = logging.getLogger(__name__)


@cache
def compiler_works(device: torch.device) -> bool:
    """Returns whether torch.compile can make kernels for this device.

    It needs Triton, a C compiler and Python's headers. Where something is missing, one line in the
    log says what.
    """
    try:
        torch.compile(torch.sin)(torch.ones(8, device=device))
    except torch.OutOfMemoryError:  # which says nothing about the compiler
        raise
    except Exception as error:  # depends on what is missing; networks run without the compiler
        log.warning("networks are not compiled, which would be faster: %s", str(error).strip().partition("\n")[0])
        return False
    return True


def compile_blocks(network: nn.Module, **options: Any) -> None:
    """Applies torch.compile to every dual attention or gated block of a network, in place.

    Nearly all work is done in the blocks, and they are alike: the compiler fuses everything around
    the convolutions into few kernels, and it does so once for all blocks of one width. If it meets
    too many shapes, it leaves the blocks as they are. Parameters, their names and their gradients
    do not change. Hooks inside blocks are no longer called, so networks/inference/tiled.py, which
    needs them, is for networks that are not compiled.

    Args:
        options: of torch.compile.
    """
    for module in network.modules():
        if isinstance(module, DAB | GatedBlock):
            module.compile(**options)


def record_trunks(network: nn.Module, forward: Callable[[], object], precision: str) -> None:
    """Records forward and backward pass of every trunk as CUDA graphs, in place.

    A training step starts thousands of kernels; a recorded trunk needs two calls. Evaluation and
    calls without autograd do not change. Trunks that `forward` calls more than once, and those that
    compute blocks again to save memory, are left as they are. Gradients must be set to None between
    steps, because they lie where the next step writes.

    Args:
        network, forward, precision: as `cycleisp.networks.acceleration.record_trunks` takes them.
    """
    seen: dict[nn.Module, list[Tensor]] = {}
    trunks = [module for module in network.modules() if isinstance(module, DeepFeatures | GatedUNet)]
    handles = [
        trunk.register_forward_pre_hook(lambda module, inputs: seen.setdefault(module, []).append(inputs[0].detach()))
        for trunk in trunks
    ]
    try:
        forward()
    finally:
        for handle in handles:
            handle.remove()
    torch.clear_autocast_cache()  # weights in half precision are bound to the stream they were made in
    if hasattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch"):
        # recording uses a stream of its own
        torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    cached = torch.is_autocast_cache_enabled()
    for trunk, inputs in seen.items():
        if len(inputs) > 1 or any(isinstance(module, Chain) and module.computed_again for module in trunk.modules()):
            continue
        with computing(precision, inputs[0].device):
            torch.set_autocast_cache_enabled(False)
            try:
                torch.cuda.make_graphed_callables(trunk, (inputs[0].clone().requires_grad_(),))
            finally:
                torch.set_autocast_cache_enabled(cached)
