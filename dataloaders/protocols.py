"""What each benchmark scores: the one place where results are clipped and rounded, and how they are measured.

Facts: SIDD's blocks of sRGB are rounded to 8 bits before they are scored, RAW is not; a score is the mean over blocks,
each measured alone. DND's server takes float32 in [0, 1] for both spaces.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils import metrics
from cycleisp.utils.images import Space

SIDD_GRID = (40, 32)  # scenes, blocks of each
SIDD_SIDE = 256  # of a block, in pixels
Measure = Callable[[NDArray, NDArray], float]  # result and clean image, both finished


@dataclass(frozen=True)
class Protocol:
    """How a benchmark takes and measures results.

    Attributes:
        finish: denoised values, any range -> what is submitted and scored.
        measures: name -> measure; `psnr` is among them.
        definitions: of the measures, in words, to be printed beside the numbers.
    """

    finish: Callable[[NDArray], NDArray]
    measures: Mapping[str, Measure]
    definitions: tuple[str, ...]


def as_8bit(denoised: NDArray) -> NDArray[np.uint8]:
    """Clipped to [0, 1], times 255, rounded to the nearest level."""
    return np.round(np.clip(denoised.astype(np.float64), 0, 1) * 255).astype(np.uint8)


def as_unit_float(denoised: NDArray) -> NDArray[np.float32]:
    """Clipped to [0, 1], float32, not rounded."""
    return np.clip(denoised, 0, 1).astype(np.float32)


SIDD: Mapping[Space, Protocol] = {
    "srgb": Protocol(
        as_8bit,
        {"psnr": metrics.psnr_8bit, "ssim": metrics.ssim_8bit, "ssim_luma": metrics.ssim_luma_8bit},
        (metrics.PSNR_8BIT, metrics.SSIM_8BIT, metrics.SSIM_LUMA_8BIT),
    ),
    "raw": Protocol(
        as_unit_float,
        {"psnr": metrics.psnr_raw, "ssim": metrics.ssim_raw},
        (metrics.PSNR_RAW, metrics.SSIM_RAW),
    ),
}
dnd_finish = as_unit_float
