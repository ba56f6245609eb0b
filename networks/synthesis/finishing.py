"""What a camera does to a noisy picture after developing it: noise reduction and JPEG."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cycleisp.networks.blur import blur_planes
from cycleisp.networks.synthesis.jpeg import compressed
from cycleisp.utils.color.colorimetry import RGB2YCC
from cycleisp.utils.config.values import WIDEST_BLUR
from cycleisp.utils.gaussian import gaussian_taps
from cycleisp.utils.images import channels_first, channels_last, to_8bit

SMOOTHING_RADIUS = round(3 * WIDEST_BLUR)  # pixels
JPEG_THREADS = 8


def smooth_noise(noise: Tensor, luma_sigma: Tensor, chroma_sigma: Tensor, chroma_noise: Tensor | None = None) -> Tensor:
    """Removes fine noise as a camera's noise reduction does.

    What is finer than a Gaussian of `sigma` pixels is gone. Cameras smooth colour noise more than
    luma noise. They spare edges, and blurring the noise alone, not the picture, has that effect.

    Args:
        noise: (B, 3, H, W) sRGB, noisy - clean.
        luma_sigma: (B,) in pixels, 0 for none.
        chroma_sigma: (B,) likewise, for both colour differences.
        chroma_noise: (B,) what both colour differences are multiplied by afterwards: cameras also
            weaken colour noise that is too coarse for their blur. None leaves them.

    Returns:
        (B, 3, H, W)
    """
    to_ycc = torch.tensor(RGB2YCC, dtype=torch.float32).to(noise)
    ycc = torch.einsum("ij,bjhw->bihw", to_ycc, noise)
    smoothed = _blur(ycc, torch.stack([luma_sigma, chroma_sigma, chroma_sigma], dim=1))
    if chroma_noise is not None:
        factors = torch.stack([torch.ones_like(chroma_noise), chroma_noise, chroma_noise], dim=1)
        smoothed = smoothed * factors[:, :, None, None]
    return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(to_ycc), smoothed)


def _blur(planes: Tensor, sigma: Tensor) -> Tensor:
    """Blurs (B, C, H, W) by Gaussians, each plane with its own sigma (B, C) in pixels."""
    taps = gaussian_taps(sigma.reshape(-1).clamp(min=1e-3), SMOOTHING_RADIUS)
    return blur_planes(planes.reshape(1, -1, *planes.shape[2:]), taps).view(planes.shape)


def jpeg(images: Tensor, qualities: list[int], subsampled: list[bool]) -> Tensor:
    """Compresses images as JPEG and decodes them again.

    OpenCV does it, on the CPU. On CUDA the images stay on the GPU (networks/synthesis/jpeg.py), and
    some values in a hundred come out a few levels apart.

    Args:
        images: (B, 3, H, W) sRGB in [0, 1].
        qualities: of each image, 1 to 100 as OpenCV counts; 0 leaves the image as it is, without
            rounding.
        subsampled: of each image, whether colour differences are stored at half resolution (4:2:0).

    Returns:
        (B, 3, H, W) on the device of `images`.
    """
    each = list(zip(images, qualities, subsampled, strict=True))
    chosen = [index for index, (_, quality, _) in enumerate(each) if quality]
    if not chosen:
        return images
    result = images.clone()
    compress = _on_device if images.device.type == "cuda" else _by_opencv
    options = [each[index][1:] for index in chosen]
    result[chosen] = compress(to_8bit(images[chosen]), options).to(images) / 255
    return result


def _on_device(pixels: Tensor, options: list[tuple[int, bool]]) -> Tensor:
    """Compresses (B, 3, H, W) uint8 RGB with (quality, whether subsampled) where the pixels are."""
    result = torch.empty_like(pixels)
    for half in (False, True):
        part = [index for index, (_, sampling) in enumerate(options) if sampling == half]
        if part:
            result[part] = compressed(pixels[part], [options[index][0] for index in part], half)
    return result


def _by_opencv(pixels: Tensor, options: list[tuple[int, bool]]) -> Tensor:
    """Compresses likewise on the CPU; returns the result there."""
    bgr = channels_last(pixels.flip(1))  # OpenCV takes blue first
    with ThreadPoolExecutor(min(len(options), JPEG_THREADS)) as pool:  # other threads run while OpenCV works
        return channels_first(np.stack(list(pool.map(_compressed, bgr, options)))).flip(1)


def _compressed(bgr: NDArray[np.uint8], options: tuple[int, bool]) -> NDArray[np.uint8]:
    """Returns what is left of (H, W, 3) after JPEG with (quality, whether subsampled)."""
    quality, half = options
    sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420 if half else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    _, content = cv2.imencode(".jpg", np.ascontiguousarray(bgr), flags)
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), dtype=np.uint8)
