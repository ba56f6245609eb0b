"""The door to the fast way (networks/fast), its plain twin, and the switch between the two.

Nearly all of a network's time goes into its trunk, a `DeepFeatures`. The networks call `run_trunk`
for it and for the layers before and behind it. The plain twin is one line,
`finish(deep(begin(planes)), *aligned)`; it is what is trained, traced and exported. Where no
gradient is asked for, `run_trunk` asks `cycleisp.networks.fast` first, which computes the same
result in less time and less memory.

The fast way is on by default. The environment variable CYCLEISP_FAST=0 switches it off, and so does
a block

    with acceleration.fast(enabled=False):
        denoised = network(noisy)

Where it is off, `cycleisp.networks.fast` is never imported, and the folder can be deleted. No other
file outside of networks/fast imports it.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch
from torch import Tensor, nn

from cycleisp.networks.blocks import DeepFeatures

Begin = Callable[[Tensor], Tensor]  # planes -> shallow features
Finish = Callable[..., Tensor]  # deep features, and what is aligned with them -> the result
Network = TypeVar("Network", bound=nn.Module)

_PLAIN_MAPS = 9  # maps of features that the plain modules hold at their peak
# None: the environment variable decides
_switch: ContextVar[bool | None] = ContextVar("cycleisp_fast", default=None)


def run_trunk(
    begin: Begin,
    deep: DeepFeatures,
    finish: Finish,
    planes: Tensor,
    aligned: Sequence[Tensor] = (),
    scale: int = 1,
) -> Tensor:
    """Returns finish(deep(begin(planes)), *aligned), computed the fast way where that is possible.

    The plain modules compute it with gradients, where the fast way is switched off or has nothing
    to offer, and while PyTorch traces, exports or compiles the network. Only they call the hooks of
    modules inside the trunk.

    Args:
        begin: turns planes into shallow features. A row of its result depends on the rows of planes
            at the same height and on their direct neighbours only.
        deep: the trunk.
        finish: turns deep features into the result. As with `begin`, a row depends on direct
            neighbours only.
        planes: (B, C, H, W).
        aligned: further images (B, C', H/scale, W/scale) that `finish` needs.
        scale: rows of planes for each row of features.

    Returns:
        (B, C'', H/scale, W/scale)
    """
    if not _is_traced():
        if torch.is_grad_enabled():
            _announce_training(deep)
        elif is_fast():
            from cycleisp.networks.fast import run

            result = run(begin, deep, finish, planes, aligned, scale)
            if result is not None:
                return result
    return finish(deep(begin(planes)), *aligned)


def run_in_place(block: nn.Module, features: Tensor) -> Tensor | None:
    """Returns block(features) of a gated block, computed the fast way, or None.

    None says that the plain block is to compute it: with gradients, where the fast way is switched
    off, while PyTorch traces, exports or compiles, and elsewhere than on a CPU in float32.

    Args:
        block: a `GatedBlock`.
        features: (B, C, H, W), which may hold the result afterwards.
    """
    if _is_traced() or torch.is_grad_enabled() or not is_fast():
        return None
    from cycleisp.networks.fast.tiles import gated_blocks

    return gated_blocks.run(block, features) if gated_blocks.suits(features) else None


def feature_memory(deep: DeepFeatures, pixels: int) -> int:
    """Returns how many bytes of features a CPU holds in memory at most, without gradients.

    Args:
        deep: the trunk, in float32.
        pixels: of its features, of one image.
    """
    size = 4 * deep.conv.in_channels * pixels
    if not is_fast():
        return _PLAIN_MAPS * size
    from cycleisp.networks.fast import feature_memory as in_strips

    return in_strips(size)


# ---------------------------------------------------------------- the switch


@contextmanager
def fast(enabled: bool = True) -> Iterator[None]:
    """Switches the fast way on or off inside of a `with` block.

    Blocks may be nested: the innermost one decides, and it also decides against CYCLEISP_FAST. A
    block counts for the thread that entered it; other threads are not affected.
    """
    before = _switch.set(enabled)
    try:
        yield
    finally:
        _switch.reset(before)


def is_fast() -> bool:
    """Returns whether the fast way is switched on here; CYCLEISP_FAST is read at every call."""
    chosen = _switch.get()
    return os.environ.get("CYCLEISP_FAST") != "0" if chosen is None else chosen


def _is_traced() -> bool:
    """Returns whether PyTorch is tracing, exporting or compiling the present call."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def _announce_training(deep: DeepFeatures) -> None:
    """Tells the fast way, if it is in use, that the weights of a trunk may change."""
    package = sys.modules.get("cycleisp.networks.fast")
    if package is not None:
        package.forget(deep)


# ---------------------------------------------------------------- devices and training


def to_device(network: Network, device: torch.device, compiled: bool = False) -> Network:
    """Moves a network, in place, to the device that it shall compute on, and returns it.

    On CUDA its weights are then stored with channels innermost.

    Args:
        compiled: for training on CUDA with batches of one shape. It also compiles the blocks, which
            takes some seconds at the first batch. It does nothing where the fast way is switched
            off.
    """
    network.to(device)
    if device.type == "cuda":
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compiled and is_fast():
            from cycleisp.networks.fast.training import compile_blocks, compiler_works

            if compiler_works(device):
                compile_blocks(network, dynamic=False)
    return network


def record_trunks(network: nn.Module, forward: Callable[[], object], precision: str) -> None:
    """Records the training passes of every trunk as CUDA graphs, in place.

    The graphs are for batches of one shape. It does nothing where the fast way is switched off.

    Args:
        network: on CUDA, in training mode, its blocks compiled or not. Its optimizer exists, and no
            weights will be copied into it any more.
        forward: runs a forward pass of it as training will run it.
        precision: of training: float32, tf32, bf16 or fp16.
    """
    if is_fast():
        from cycleisp.networks.fast import training

        training.record_trunks(network, forward, precision)
