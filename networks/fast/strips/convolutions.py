"""3x3 convolutions of strips: PyTorch's direct ones, or Winograd's where a CPU is faster with them.

Either kind is prepared once and used for many strips. It is a function of rows (1, I, n + 2, W),
which come with a row above and one below; columns are padded with zeros. It returns (1, O, n, W),
channels innermost, and writes the values, (n * W, O), to its second argument if there is one.
"""

import logging
from collections.abc import Callable
from functools import cache
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cycleisp.networks.fast.strips.rows import as_values, convolve

# From these on Winograd's convolutions are faster than direct ones (benchmarks/winograd.py).
FEWEST_CHANNELS = 32
FEWEST_PRODUCTS = (64 * 144) ** 2  # pixels * channels * channels
Convolution = Callable[..., Tensor]
log = logging.getLogger(__name__)


def direct(conv: nn.Conv2d, slopes: Tensor | None = None) -> Convolution:
    """Prepares PyTorch's convolution, followed by a PReLU if there are slopes."""

    def convolution(rows: Tensor, out: Tensor | None = None) -> Tensor:
        result = convolve(conv, rows)
        if slopes is not None:
            result = F.prelu(result, slopes)
        if out is not None:
            out.copy_(as_values(result))
        return result

    return convolution


def winograd(conv: nn.Conv2d, slopes: Tensor | None = None) -> Convolution:
    """Prepares Winograd's convolution, followed by a PReLU if there are slopes.

    It is for float32 on a CPU. Its operations use one core. Its rounding errors are about as large
    as a direct convolution's.
    """
    module = _winograd()
    assert module is not None and conv.bias is not None
    convolution: Convolution = module.convolution(conv.weight, conv.bias, slopes)
    return convolution


def winograd_wins(planes: Tensor, channels: int, pixels: int) -> bool:
    """Returns whether a trunk is faster with Winograd's convolutions.

    Args:
        planes: has the device and the type of the images.
        channels: of the features.
        pixels: of the features of one image.
    """
    return (
        planes.device.type == "cpu"
        and planes.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and channels >= FEWEST_CHANNELS
        and pixels * channels**2 >= FEWEST_PRODUCTS
        and _winograd() is not None
    )


@cache
def _winograd() -> ModuleType | None:
    """Returns the module with Winograd's convolutions, or None where Numba cannot be used.

    It is imported when it is needed, since that takes a second.
    """
    try:
        from cycleisp.networks.fast.strips import winograd
    except (ImportError, RuntimeError) as error:  # the latter: nowhere to keep what was compiled
        log.warning("networks run without Winograd's convolutions, which would be faster: %s", error)
        return None
    return winograd
