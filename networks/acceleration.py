"""Networks on a GPU: channels innermost, and for training the blocks compiled and the trunks recorded."""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from cycleisp.networks.blocks import DAB, RRG, DeepFeatures
from cycleisp.utils.devices import computing

Network = TypeVar("Network", bound=nn.Module)
log = logging.getLogger(__name__)


def to_device(network: Network, device: torch.device, compiled: bool = False) -> Network:
    """Move a network to the device that it shall compute on; on CUDA its weights lie with channels innermost. In place.

    Args:
        compiled: for training on CUDA with batches of one shape; compile the blocks, too, which takes some seconds at
            the first batch. Without autograd networks/trunk.py finds the way.
    """
    network.to(device)
    if device.type == "cuda":
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compiled and compiler_works(device):
            compile_blocks(network, dynamic=False)
    return network


@cache
def compiler_works(device: torch.device) -> bool:
    """Whether torch.compile makes kernels for this device here: it needs Triton, a C compiler and Python's headers."""
    try:
        torch.compile(torch.sin)(torch.ones(8, device=device))
    except Exception as error:  # of whatever is missing; networks run all the same
        log.warning("networks are not compiled, which would be faster: %s", str(error).strip().partition("\n")[0])
        return False
    return True


def compile_blocks(network: nn.Module, **options: Any) -> None:
    """torch.compile every dual attention block, in place.

    All the work lies in them, and they are alike: the compiler makes one kernel of all that surrounds the two
    convolutions, and makes it once for all blocks. Should the shapes become too many for it, blocks run as they are.
    Parameters, their names and gradients stay what they were. Hooks inside blocks are no longer called;
    networks/inference/tiled.py, which needs them, is for networks that are not compiled.

    Args:
        options: as torch.compile takes them.
    """
    for module in network.modules():
        if isinstance(module, DAB):
            module.compile(**options)


def record_trunks(network: nn.Module, forward: Callable[[], object], precision: str) -> None:
    """Record forward and backward pass of every trunk as CUDA graphs, in place, for training with batches of one shape.

    A training step starts thousands of kernels; recorded, a trunk's passes are two calls. Evaluation, and calls without
    autograd, stay what they were. Trunks that `forward` calls more than once, or that compute blocks again to save
    memory, are left as they are. Gradients must be set to None between steps: they lie where the next step writes.

    Args:
        network: on CUDA, in training mode, its blocks compiled or not; its last weights copied, its optimizer made.
        forward: a forward pass of it as training will do it.
        precision: of training: float32, tf32, bf16 or fp16.
    """
    seen: dict[DeepFeatures, list[Tensor]] = {}
    trunks = [module for module in network.modules() if isinstance(module, DeepFeatures)]
    handles = [
        trunk.register_forward_pre_hook(lambda module, inputs: seen.setdefault(module, []).append(inputs[0].detach()))
        for trunk in trunks
    ]
    try:
        forward()
    finally:
        for handle in handles:
            handle.remove()
    torch.clear_autocast_cache()  # weights in half precision hold on to the stream they were made in
    if hasattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch"):
        torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)  # recording has a stream of its own
    cached = torch.is_autocast_cache_enabled()
    for trunk, inputs in seen.items():
        if len(inputs) > 1 or any(isinstance(module, RRG) and module.computed_again for module in trunk.modules()):
            continue
        with computing(precision, inputs[0].device):
            torch.set_autocast_cache_enabled(False)
            try:
                torch.cuda.make_graphed_callables(trunk, (inputs[0].clone().requires_grad_(),))
            finally:
                torch.set_autocast_cache_enabled(cached)
