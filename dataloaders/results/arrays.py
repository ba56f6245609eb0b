"""Denoisers of files, which take and give arrays, so that files need no PyTorch of their own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

# A photo (1, 3, H, W) in [0, 1], or packed RGGB (1, 4, H/2, W/2) and its variance -> it, denoised.
DenoiseArrays = Callable[..., NDArray[np.float32]]


@dataclass(frozen=True)
class OpenedDenoiser:
    """A denoiser that is ready, and what its results depend on.

    Attributes:
        denoise: the function.
        sha256: of its weights.
        halo: how far around a pixel its result looks, in pixels of its input.
        multiple: the grid of blocks that it works on, in the same pixels.
        pools: whether it takes means over the whole image.
        level: the one noise level that it is made for, as --noise has it; "" for any.
    """

    denoise: DenoiseArrays
    sha256: str
    halo: int
    multiple: int
    pools: bool
    level: str = ""


def of_arrays(denoise: "Callable[..., Tensor]") -> DenoiseArrays:
    """Returns a denoiser of tensors on the CPU as one of arrays, which share their memory."""
    import torch

    def run(*images: NDArray[np.float32]) -> NDArray[np.float32]:
        return denoise(*map(torch.from_numpy, images)).numpy()

    return run
