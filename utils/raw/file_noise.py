"""The noise level of a camera file: what the file states, or else what its picture shows."""

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import RawImage
from cycleisp.utils.raw.noise_estimate import estimate_noise

STATED, ESTIMATED = "the file's NoiseProfile", "an estimate"
Levels = NDArray[np.float32]  # (4,) variances of the planes R, G_r, G_b, B


def noise_of_file(image: RawImage) -> tuple[Levels, Levels, str]:
    """Returns the noise of a camera file by its NoiseProfile or, without one, by an estimate.

    Args:
        image: the file, read without clipping: values below black make the estimate of dark
            pictures more exact.

    Returns:
        Shot and read noise of the planes, and where they come from, STATED or ESTIMATED.

    Raises:
        ValueError: there is no profile, and the picture is too small or too uniform to tell.
        UserError: there is no profile, and SciPy is not installed.
    """
    if image.plane_noise is not None:
        shot_noise, read_noise = image.plane_noise
        return of_planes(shot_noise), of_planes(read_noise), STATED
    padded, _ = bayer.pad_to_rggb(image.mosaic[None], image.pattern, multiple=2)
    estimate = estimate_noise(bayer.pack(padded))
    return of_planes(estimate.shot_noise), of_planes(estimate.read_noise), ESTIMATED


def of_planes(variance: float | tuple[float, ...]) -> Levels:
    """Returns a variance of all planes, or four of them, as (4,)."""
    return np.full(4, variance, dtype=np.float32)
