"""Estimation of a RAW image's noise level from the image itself, for files that do not state it."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.errors import UserError
from cycleisp.utils.raw.noise import FixedNoise

if TYPE_CHECKING:
    from torch import Tensor

    from cycleisp.utils.raw.picture_noise.estimate import PictureNoise

LARGEST = 1.0  # variance


def estimate_noise(packed_raw: Tensor | NDArray[np.float32]) -> FixedNoise:
    """Estimates shot and read noise (variances) of packed RAW, one pair for all planes.

    The noise is that of flat blocks, at each level of brightness, and texture is taken out as far
    as it can be told from noise (`utils/raw/picture_noise/`). Where the camera, or the caller, has
    clipped the values at black, the estimate is that of the noise before clipping. Texture that is
    as strong between neighbours as at a distance, as sand or grass in full resolution, counts as
    noise. Noise of rows is not in it.

    Args:
        packed_raw: (4, H, W) RGGB planes, linear, nominally in [0, 1]. Values below black, which
            `read_raw(path, clip=False)` keeps, make the estimate of dark pictures more exact.

    Raises:
        ValueError: the picture is smaller than 16x16 photosites or so, uniform, or at an end of
            its range everywhere.
        UserError: SciPy is not installed, as where only the files of ONNX Runtime are.
    """
    noise = estimate_with_errors(packed_raw)
    return FixedNoise(min(noise.shot_noise.value, LARGEST), min(noise.read_noise.value, LARGEST))


def estimate_with_errors(packed_raw: Tensor | NDArray[np.float32]) -> PictureNoise:
    """Estimates the noise as `estimate_noise`, with the standard errors of the estimate.

    Raises:
        ValueError, UserError: as `estimate_noise`.
    """
    if importlib.util.find_spec("scipy") is None:
        raise UserError("the noise level can be estimated with SciPy alone: pip install scipy, or give --noise")
    from cycleisp.utils.raw.picture_noise.estimate import measure_picture, noise_of  # here, since SciPy takes a while

    planes = packed_raw if isinstance(packed_raw, np.ndarray) else packed_raw.detach().cpu().numpy()
    return noise_of([measure_picture(planes)])
