"""The 3x3 convolutions of networks/fast/strips/strips.py: PyTorch's direct ones, or Winograd's where a CPU is faster
with them.

Either is made ready once for many strips: a function of rows (1, I, n + 2, W) that have their neighbours above and
below, columns being padded with zeros. It gives (1, O, n, W), channels innermost, and writes its values, (n * W, O), to
a second argument if there is one.
"""

import logging
from collections.abc import Callable
from functools import cache
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cycleisp.networks.fast.strips.rows import as_values, convolve

FEWEST_CHANNELS = 32  # for which Winograd's convolutions are faster than direct ones (benchmarks/winograd.py)
FEWEST_PRODUCTS = (64 * 144) ** 2  # pixels * channels * channels, likewise: each step waits for its last strip
Convolution = Callable[..., Tensor]
log = logging.getLogger(__name__)


def direct(conv: nn.Conv2d, slopes: Tensor | None = None) -> Convolution:
    """`conv`, with a PReLU behind it if there are slopes."""

    def convolution(rows: Tensor, out: Tensor | None = None) -> Tensor:
        result = convolve(conv, rows)
        if slopes is not None:
            result = F.prelu(result, slopes)
        if out is not None:
            out.copy_(as_values(result))
        return result

    return convolution


def winograd(conv: nn.Conv2d, slopes: Tensor | None = None) -> Convolution:
    """The same for float32 on a CPU, with operations of one core; errors are of the size of a direct convolution's."""
    module = _winograd()
    assert module is not None and conv.bias is not None
    convolution: Convolution = module.convolution(conv.weight, conv.bias, slopes)
    return convolution


def winograd_wins(planes: Tensor, channels: int, pixels: int) -> bool:
    """Whether a trunk is faster with it, for images of `pixels` features that have the device and type of `planes`."""
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
    """networks/fast/strips/winograd.py, imported when needed, since that takes a second; None where Numba cannot be
    used.
    """
    try:
        from cycleisp.networks.fast.strips import winograd
    except (ImportError, RuntimeError) as error:  # the latter: nowhere to keep what was compiled
        log.warning("networks run without Winograd's convolutions, which would be faster: %s", error)
        return None
    return winograd
