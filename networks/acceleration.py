"""Networks on a GPU: channels innermost, and the blocks compiled. On a CPU networks/strips.py does what can be done."""

import logging
from functools import cache
from typing import Any, TypeVar

import torch
from torch import nn

from networks.blocks import DAB

Network = TypeVar("Network", bound=nn.Module)
log = logging.getLogger(__name__)


def to_device(network: Network, device: torch.device, compiled: bool = False, one_size: bool = False) -> Network:
    """Move a network to the device that it shall compute on; on CUDA its weights lie with channels innermost. In place.

    Args:
        compiled: compile the blocks, too, on CUDA. It takes some seconds at the first batch, and again at the second
            size of images, so it is for training and for many images.
        one_size: every batch has the same shape, for which the compiler then makes its kernels.
    """
    network.to(device)
    if device.type == "cuda":
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compiled and compiler_works(device):
            compile_blocks(network, dynamic=False if one_size else None)
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
    networks/tiling.py, which needs them, is for networks that are not compiled.

    Args:
        options: as torch.compile takes them.
    """
    for module in network.modules():
        if isinstance(module, DAB):
            module.compile(**options)
