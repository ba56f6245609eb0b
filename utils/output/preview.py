"""Previews: RAW rendered so that people can look at it, and strips of images side by side."""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from cycleisp.utils.color import colorimetry
from cycleisp.utils.images import as_float, channels_first, channels_last, to_8bit, to_16bit
from cycleisp.utils.raw import bayer

_TO_RGB = {
    "RGGB": cv2.COLOR_BayerRGGB2RGB,
    "BGGR": cv2.COLOR_BayerBGGR2RGB,
    "GRBG": cv2.COLOR_BayerGRBG2RGB,
    "GBRG": cv2.COLOR_BayerGBRG2RGB,
}


def demosaic_bilinear(mosaic: NDArray[np.float32], pattern: str) -> NDArray[np.float32]:
    """Interpolates the missing colours bilinearly (OpenCV).

    Args:
        mosaic: (H, W) in [0, 1].
        pattern: its Bayer tile.

    Returns:
        (H, W, 3) camera colours in [0, 1].

    Raises:
        ValueError: unknown pattern.
    """
    bayer.check_pattern(pattern)
    return as_float(cv2.cvtColor(to_16bit(mosaic), _TO_RGB[pattern]))


def gray_world_gains(mosaic: NDArray[np.float32], pattern: str) -> NDArray[np.float64]:
    """Returns the white balance (3,), green = 1, that makes the mosaic's mean grey.

    It is for RAW whose own white balance is unknown.
    """
    bayer.check_pattern(pattern)
    means = np.zeros(3)
    for site, letter in enumerate(pattern):
        row, column = divmod(site, 2)
        means["RGB".index(letter)] += mosaic[row::2, column::2].mean() / pattern.count(letter)
    return means[1] / np.maximum(means, 1e-6) if means[1] > 0 else np.ones(3)


def render_preview(
    mosaic: NDArray[np.float32],
    pattern: str,
    white_balance: ArrayLike | None = None,
    cam2rgb: ArrayLike | None = None,
) -> NDArray[np.uint8]:
    """Renders RAW for the eye: demosaicking, white balance, colour matrix, sRGB curve.

    Args:
        mosaic: (H, W) linear, [0, 1].
        pattern: its Bayer tile.
        white_balance: (3,) gains, applied so that the smallest is 1; None for `gray_world_gains`.
        cam2rgb: (3, 3) white-balanced camera colours to linear sRGB; None keeps camera colours.

    Returns:
        (H, W, 3) uint8 sRGB.
    """
    gains = gray_world_gains(mosaic, pattern) if white_balance is None else np.asarray(white_balance)
    balanced = np.clip(demosaic_bilinear(mosaic, pattern) * (gains / gains.min()), 0, 1)
    linear_rgb = balanced if cam2rgb is None else colorimetry.apply_matrix(balanced, np.asarray(cam2rgb))
    return to_8bit(colorimetry.srgb_encode(linear_rgb))


def packed_preview(packed: Tensor, white_balance: ArrayLike | None = None) -> NDArray[np.uint8]:
    """Renders packed RGGB RAW (4, H, W) on any device by `render_preview`: (2H, 2W, 3) uint8."""
    mosaic = bayer.unpack(packed.detach().float().cpu())[0].clamp(0, 1).numpy()
    return render_preview(mosaic, "RGGB", white_balance)


def target_key(output_name: str) -> str:
    """Returns the batch key that an output should equal: `srgb` for `srgb_from_true_raw`."""
    return output_name.split("_from_")[0]


def training_strip(batch: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
    """Returns the first image of a batch: target and prediction of each output side by side.

    RAW is shown with the target's grey-world white balance, so that wrong colours show.

    Returns:
        (3, H, W) uint8.
    """
    tiles: list[NDArray[np.uint8]] = []
    for name, predicted in outputs.items():
        target = batch[target_key(name)]
        if target.shape[1] == 4:
            mosaic = bayer.unpack(target[0].float().cpu())[0].numpy()
            gains = gray_world_gains(mosaic, "RGGB")
            tiles += [packed_preview(image[0], gains) for image in (target, predicted)]
        else:
            tiles += [_as_uint8(image[0]) for image in (target, predicted)]
    return channels_first(np.concatenate(tiles, axis=1))


def _as_uint8(image: Tensor) -> NDArray[np.uint8]:
    """Converts (3, H, W) in [0, 1] to (H, W, 3) uint8."""
    return channels_last(to_8bit(image.detach().float().cpu()))
