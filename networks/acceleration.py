"""Networks on a GPU: channels innermost, and the blocks compiled. On a CPU networks/strips.py does what can be done."""

import logging
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils._triton import has_triton

from networks.blocks import DAB

Network = TypeVar("Network", bound=nn.Module)
log = logging.getLogger(__name__)


def to_device(network: Network, device: torch.device, compiled: bool = False) -> Network:
    """Move a network to the device that it shall compute on, laid out as that computes fastest; in place.

    Args:
        compiled: compile the blocks, too, on a CUDA GPU. It takes some seconds at the first batch, and again at the
            second size of images, so it is for training and for many images.
    """
    network.to(device)
    if device.type == "cuda":
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compiled and has_triton():
            compile_blocks(network)
        elif compiled:
            log.warning("Triton does not work with this GPU; networks are not compiled")
    return network


def compile_blocks(network: nn.Module, **options: Any) -> None:
    """torch.compile every dual attention block, in place.

    All the work lies in them, and they are alike: the compiler makes one kernel of all that surrounds the two
    convolutions, once for all blocks and sizes. Should the cases ever be too many for it, blocks run as they are.
    Parameters, their names and gradients stay what they were. Hooks inside blocks are no longer called;
    networks/tiling.py, which needs them, is for networks that are not compiled.

    Args:
        options: as torch.compile takes them.
    """
    for module in network.modules():
        if isinstance(module, DAB):
            module.compile(**options)
