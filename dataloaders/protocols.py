"""What each benchmark scores: the one place where results are clipped, rounded and measured.

SIDD rounds blocks of sRGB to 8 bits before it scores them, and leaves RAW as it is. A score is the
mean over all blocks, and each block is measured alone. DND's server takes float32 in [0, 1] for
both spaces.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils import metrics
from cycleisp.utils.images import Space, to_integers

SIDD_GRID = (40, 32)  # scenes, and blocks of each scene
SIDD_SIDE = 256  # of a block, in pixels
Measure = Callable[[NDArray, NDArray], float]  # result and clean image, both finished


@dataclass(frozen=True)
class Protocol:
    """How a benchmark takes and measures results.

    Attributes:
        finish: turns denoised values of any range into what is submitted and scored.
        measures: the measures by name; `psnr` is one of them.
        definitions: the measures in words, to be printed beside the numbers.
    """

    finish: Callable[[NDArray], NDArray]
    measures: Mapping[str, Measure]
    definitions: tuple[str, ...]


def as_8bit(denoised: NDArray) -> NDArray[np.uint8]:
    """Clips to [0, 1], multiplies by 255, and rounds to the nearest level."""
    return to_integers(denoised, np.uint8)


def as_unit_float(denoised: NDArray) -> NDArray[np.float32]:
    """Clips to [0, 1] and converts to float32, without rounding to levels."""
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
