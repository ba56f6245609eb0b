"""PSNR and SSIM by scikit-image, with checks of their inputs and a rule for equal images.

The texts `PSNR_...` and `SSIM_...` are the exact definitions, to be printed beside scores.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

SSIM_WINDOW = 11  # pixels; smaller images have no SSIM
_WINDOW = "Gaussian window of sigma 1.5 (11x11), K1 0.01, K2 0.03, population covariance (scikit-image)"
PSNR_8BIT = "PSNR: dB, 8 bit, peak 255, over all pixels and three channels of an image"
SSIM_8BIT = f"SSIM: 8 bit, range 255, {_WINDOW}, mean of the three channels"
SSIM_LUMA_8BIT = f"SSIM of luma: 0.299 R + 0.587 G + 0.114 B of 8 bit values, not rounded, range 255, {_WINDOW}"
PSNR_RAW = "PSNR: dB, linear RAW in [0, 1], not rounded, peak 1, over all photosites of a mosaic"
SSIM_RAW = f"SSIM: linear RAW mosaic as one plane, not rounded, range 1, {_WINDOW}"
_LUMA = np.array([0.299, 0.587, 0.114])


def psnr(predicted: Tensor, target: Tensor) -> float:
    """Returns the peak signal-to-noise ratio over all values, with data range 1, without rounding.

    Args:
        predicted: any shape; it is clipped to [0, 1].
        target: the same shape, in [0, 1].

    Returns:
        dB; infinite for equal images.

    Raises:
        ValueError: the shapes differ, the target leaves [0, 1], or there is NaN.
    """
    return psnr_raw(predicted.detach().cpu().double().clamp(0, 1).numpy(), target.detach().cpu().double().numpy())


def psnr_raw(predicted: NDArray, target: NDArray) -> float:
    """Returns the PSNR in dB of two arrays of one shape in [0, 1]; infinite for equal ones.

    Raises:
        ValueError: the shapes differ, values leave [0, 1], or there is NaN.
    """
    _check_shapes(predicted, target)
    _check_range("prediction", predicted)
    _check_range("target", target)
    return _psnr(predicted, target, 1)


def ssim_raw(predicted: NDArray, target: NDArray) -> float:
    """Returns the SSIM of two mosaics (H, W) in [0, 1], as SSIM_RAW defines it.

    Raises:
        ValueError: as `psnr_raw`, or another layout.
    """
    _check_shapes(predicted, target)
    _check_range("prediction", predicted)
    _check_range("target", target)
    if predicted.ndim != 2:
        raise ValueError(f"SSIM of RAW expects a mosaic (H, W), got {predicted.shape}")
    return _ssim(predicted.astype(np.float64), target.astype(np.float64), 1)


def psnr_8bit(predicted: NDArray[np.uint8], target: NDArray[np.uint8]) -> float:
    """Returns the PSNR in dB of two 8 bit images of one shape, peak 255, over all values.

    It is infinite for equal images.

    Raises:
        ValueError: another type, or the shapes differ.
    """
    _check_8bit(predicted, target)
    return _psnr(predicted, target, 255)


def ssim_8bit(predicted: NDArray[np.uint8], target: NDArray[np.uint8]) -> float:
    """Returns the SSIM of two 8 bit colour images (H, W, 3), as SSIM_8BIT defines it.

    The definition is that of Wang et al. (2004).

    Raises:
        ValueError: another type or layout, the shapes differ, or images smaller than the window.
    """
    _check_colors(predicted, target)
    return _ssim(predicted, target, 255, channel_axis=-1)


def ssim_luma_8bit(predicted: NDArray[np.uint8], target: NDArray[np.uint8]) -> float:
    """Returns the SSIM of the luma of two 8 bit colour images (H, W, 3); see SSIM_LUMA_8BIT.

    Raises:
        ValueError: as `ssim_8bit`.
    """
    _check_colors(predicted, target)
    return _ssim(predicted @ _LUMA, target @ _LUMA, 255)


@dataclass(frozen=True)
class MeanPsnr:
    """The mean of finite PSNRs in dB (NaN if there are none), and the number of infinite ones."""

    mean: float
    infinite: int


def mean_psnr(values: Iterable[float]) -> MeanPsnr:
    """Averages PSNRs in dB; those of equal images, which are infinite, are counted separately."""
    values = list(values)
    finite = [value for value in values if value != math.inf]  # NaN stays, so that the mean is NaN, too
    return MeanPsnr(sum(finite) / len(finite) if finite else math.nan, len(values) - len(finite))


def _psnr(predicted: NDArray, target: NDArray, data_range: int) -> float:
    from skimage.metrics import peak_signal_noise_ratio  # here, since it imports all of scipy.stats

    with np.errstate(divide="ignore"):  # equal images
        return float(
            peak_signal_noise_ratio(target.astype(np.float64), predicted.astype(np.float64), data_range=data_range)
        )


def _ssim(predicted: NDArray, target: NDArray, data_range: int, channel_axis: int | None = None) -> float:
    from skimage.metrics import structural_similarity  # here, as in `_psnr`

    return float(
        structural_similarity(
            predicted,
            target,
            channel_axis=channel_axis,
            data_range=data_range,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def _check_shapes(predicted: NDArray, target: NDArray) -> None:
    if predicted.shape != target.shape:
        raise ValueError(f"images of different shapes: {predicted.shape} and {target.shape}")


def _check_range(name: str, image: NDArray) -> None:
    if not (image.min() >= 0 and image.max() <= 1):  # NaN is neither
        raise ValueError(f"expected a {name} in [0, 1], got {image.min():.3g}..{image.max():.3g}")


def _check_8bit(predicted: NDArray, target: NDArray) -> None:
    if predicted.dtype != np.uint8 or target.dtype != np.uint8:
        raise ValueError(f"expected 8 bit images, got {predicted.dtype} and {target.dtype}")
    _check_shapes(predicted, target)


def _check_colors(predicted: NDArray, target: NDArray) -> None:
    _check_8bit(predicted, target)
    if predicted.ndim != 3 or predicted.shape[2] != 3:
        raise ValueError(f"SSIM expects colour images (H, W, 3), got {predicted.shape}")
