"""How close two images are."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import structural_similarity
from torch import Tensor

PSNR_8BIT = "PSNR: dB, 8 bit, peak 255, over all pixels and three channels of an image"
SSIM_8BIT = (
    "SSIM: 8 bit, range 255, Gaussian window of sigma 1.5 (11x11), K1 0.01, K2 0.03, population covariance, mean of "
    "the three channels (scikit-image)"
)


def psnr(predicted: Tensor, target: Tensor) -> float:
    """Peak signal-to-noise ratio in dB over all values: data range 1, `predicted` clipped to [0, 1], no rounding.

    Args:
        predicted: any shape.
        target: the same shape, in [0, 1].

    Returns:
        dB; infinite for equal images.

    Raises:
        ValueError: shapes differ, or the target leaves [0, 1].
    """
    if predicted.shape != target.shape:
        raise ValueError(f"PSNR of different shapes: {tuple(predicted.shape)} and {tuple(target.shape)}")
    if target.min() < 0 or target.max() > 1:
        raise ValueError(f"PSNR expects a target in [0, 1], got {target.min():.3g}..{target.max():.3g}")
    error = torch.mean((predicted.double().clamp(0, 1) - target.double()) ** 2).item()
    return -10 * math.log10(error) if error else math.inf


def psnr_8bit(predicted: NDArray[np.uint8], target: NDArray[np.uint8]) -> float:
    """PSNR in dB of two 8 bit images of one shape, peak 255, over all values; infinite for equal images.

    Raises:
        ValueError: another type, or shapes differ.
    """
    _check_8bit(predicted, target)
    error = float(np.mean((predicted.astype(np.float64) - target.astype(np.float64)) ** 2))
    return 10 * math.log10(255**2 / error) if error else math.inf


def ssim_8bit(predicted: NDArray[np.uint8], target: NDArray[np.uint8]) -> float:
    """SSIM of two 8 bit colour images (H, W, 3) as Wang et al. (2004) define it; see SSIM_8BIT.

    Raises:
        ValueError: another type or layout, shapes differ, or images smaller than the window.
    """
    _check_8bit(predicted, target)
    if predicted.ndim != 3 or predicted.shape[2] != 3:
        raise ValueError(f"SSIM expects colour images (H, W, 3), got {predicted.shape}")
    return float(
        structural_similarity(
            predicted,
            target,
            channel_axis=-1,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def _check_8bit(predicted: NDArray, target: NDArray) -> None:
    if predicted.dtype != np.uint8 or target.dtype != np.uint8:
        raise ValueError(f"expected 8 bit images, got {predicted.dtype} and {target.dtype}")
    if predicted.shape != target.shape:
        raise ValueError(f"images of different shapes: {predicted.shape} and {target.shape}")
