"""What a camera does to a noisy picture after developing it: noise reduction and JPEG."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cycleisp.utils.color.colorimetry import RGB2YCC
from cycleisp.utils.padding import reflect_pad

WIDEST_BLUR = 2.0  # pixels
BLUR_RADIUS = 6  # pixels: three sigma of the widest blur
JPEG_THREADS = 8


def smooth_noise(noise: Tensor, luma_sigma: Tensor, chroma_sigma: Tensor) -> Tensor:
    """Noise (B, 3, H, W) as noise reduction leaves it: finer than a Gaussian of `sigma` pixels is gone.

    Cameras smooth colour noise more than luma noise. They spare edges; blurring the noise alone, not the picture, has
    that effect.

    Args:
        noise: sRGB, noisy - clean.
        luma_sigma: (B,) in pixels, 0 for none.
        chroma_sigma: (B,) likewise, for both colour differences.
    """
    to_ycc = torch.tensor(RGB2YCC, dtype=torch.float32).to(noise)
    ycc = torch.einsum("ij,bjhw->bihw", to_ycc, noise)
    smoothed = _blur(ycc, torch.stack([luma_sigma, chroma_sigma, chroma_sigma], dim=1))
    return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(to_ycc), smoothed)


def _blur(planes: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of (B, C, H, W), each plane with its own sigma (B, C) in pixels."""
    batch, channels, height, width = planes.shape
    offsets = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=planes.device)
    taps = torch.exp(-0.5 * (offsets / sigma.reshape(-1, 1).clamp(min=1e-3)) ** 2)
    taps = taps / taps.sum(dim=1, keepdim=True)
    padded = reflect_pad(planes.reshape(1, -1, height, width), (BLUR_RADIUS,) * 4)
    groups = batch * channels
    rows = F.conv2d(padded, taps.view(groups, 1, -1, 1), groups=groups)
    return F.conv2d(rows, taps.view(groups, 1, 1, -1), groups=groups).view(planes.shape)


def jpeg(images: Tensor, qualities: list[int], subsampled: list[bool]) -> Tensor:
    """What JPEG leaves of images: each is compressed and read again.

    Args:
        images: (B, 3, H, W) sRGB in [0, 1].
        qualities: one an image, 1 to 100 as OpenCV counts; 0 leaves the image as it is, without rounding.
        subsampled: one an image; whether colour differences are stored at half resolution (4:2:0).

    Returns:
        (B, 3, H, W) on the device of `images`.
    """
    each = list(zip(images, qualities, subsampled, strict=True))
    chosen = [index for index, (_, quality, _) in enumerate(each) if quality]
    if not chosen:
        return images
    pixels = (images[chosen].clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).flip(3).cpu().numpy()
    options = [each[index][1:] for index in chosen]
    with ThreadPoolExecutor(min(len(chosen), JPEG_THREADS)) as pool:  # OpenCV lets other threads go on
        decoded = torch.from_numpy(np.stack(list(pool.map(_compressed, pixels, options))))
    result = images.clone()
    result[chosen] = decoded.to(images.device).flip(3).permute(0, 3, 1, 2).to(images) / 255
    return result


def _compressed(bgr: NDArray[np.uint8], options: tuple[int, bool]) -> NDArray[np.uint8]:
    """What JPEG of (quality, whether subsampled) leaves of (H, W, 3)."""
    quality, half = options
    sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420 if half else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    _, content = cv2.imencode(".jpg", np.ascontiguousarray(bgr), flags)
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), dtype=np.uint8)
