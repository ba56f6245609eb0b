"""Pictures of things that are no pictures: RAW rendered for the eye, and strips of images side by side."""

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from cycleisp.utils.color import colorimetry
from cycleisp.utils.raw import bayer

_TO_RGB = {
    "RGGB": cv2.COLOR_BayerRGGB2RGB,
    "BGGR": cv2.COLOR_BayerBGGR2RGB,
    "GRBG": cv2.COLOR_BayerGRBG2RGB,
    "GBRG": cv2.COLOR_BayerGBRG2RGB,
}


def demosaic(mosaic: NDArray[np.float32], pattern: str) -> NDArray[np.float32]:
    """Bilinear demosaicking by OpenCV: (H, W) in [0, 1] -> camera colours (H, W, 3) in [0, 1].

    Raises:
        ValueError: unknown pattern.
    """
    bayer.check_pattern(pattern)
    levels = np.round(np.clip(mosaic, 0, 1) * 65535).astype(np.uint16)
    return cv2.cvtColor(levels, _TO_RGB[pattern]).astype(np.float32) / np.float32(65535)


def gray_world_gains(mosaic: NDArray[np.float32], pattern: str) -> NDArray[np.float64]:
    """White balance (3,), green = 1, that makes the mosaic's mean grey: for RAW that does not say its own."""
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
    """Render RAW so that it can be looked at: demosaic, white balance, colour matrix, sRGB curve.

    Args:
        mosaic: (H, W) linear, [0, 1].
        pattern: its Bayer tile.
        white_balance: (3,) gains, applied so that the smallest is 1; None takes the grey world's.
        cam2rgb: (3, 3) white-balanced camera colours to linear sRGB; None keeps camera colours.

    Returns:
        (H, W, 3) uint8 sRGB.
    """
    gains = gray_world_gains(mosaic, pattern) if white_balance is None else np.asarray(white_balance)
    balanced = np.clip(demosaic(mosaic, pattern) * (gains / gains.min()), 0, 1)
    linear_rgb = balanced if cam2rgb is None else colorimetry.apply_matrix(balanced, np.asarray(cam2rgb))
    return np.round(colorimetry.srgb_encode(linear_rgb) * 255).astype(np.uint8)


def packed_preview(packed: Tensor, white_balance: ArrayLike | None = None) -> NDArray[np.uint8]:
    """`render_preview` of packed RGGB RAW (4, H, W) on any device -> (2H, 2W, 3) uint8."""
    mosaic = bayer.unpack(packed.detach().float().cpu())[0].clamp(0, 1).numpy()
    return render_preview(mosaic, "RGGB", white_balance)


def target_key(output_name: str) -> str:
    """The batch key that an output should equal: `srgb` of `srgb` and of `srgb_from_true_raw`."""
    return output_name.split("_from_")[0]


def training_strip(batch: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
    """The first image of a batch: for each output, target and prediction side by side, (3, H, W) uint8.

    RAW is shown with the target's grey-world white balance, so that wrong colours show.
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
    return torch.from_numpy(np.concatenate(tiles, axis=1)).permute(2, 0, 1)


def _as_uint8(image: Tensor) -> NDArray[np.uint8]:
    """(3, H, W) in [0, 1] -> (H, W, 3) uint8."""
    return (image.detach().float().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
