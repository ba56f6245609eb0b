"""Gives a denoised photo the brightness that the noisy one has over large areas.

Noise has a mean of zero in linear light, where nothing clips. So over a large area the noisy photo
tells the true brightness better than any network does. What a denoised photo lacks of it, in each
channel, is measured in blocks, smoothed, and added in linear light.

Two things are left as the denoiser made them: what lies within two deviations of the noise of black
or white, since clipped noise has no mean of zero, and all that is smaller than the smoothing.
Display values are taken for sRGB's: a photo of another curve, or of a camera with an S-shaped one,
gets a part of the correction wrong, the less so the weaker the noise. docs/lab/brightness.md has
figures of what it is worth.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from cycleisp.utils.color.colorimetry import srgb_decode, srgb_encode
from cycleisp.utils.gaussian import gaussian_taps

BLOCK = 16  # pixels; the side of the areas that are compared
_SIGMA = 2.0  # of the smoothing, in blocks
_RADIUS = 8  # blocks on either side that it reaches
REACH = (_RADIUS + 1) * BLOCK  # pixels: how far away the noisy photo has an influence
_DEVIATIONS = 2.0  # of the noise, from black and white: what lies nearer may be clipped
_HEADROOM = 0.04  # display values: nearer to white less is added, and nothing to white itself
_ROWS = 64 * BLOCK  # looked at together, so that a large photo needs no further copies of itself


def keep_brightness(noisy: Tensor, denoised: Tensor) -> Tensor:
    """Returns a denoised photo with the noisy one's brightness over large areas.

    Args:
        noisy: (1, 3, H, W) sRGB display values in [0, 1], of any size.
        denoised: of the same shape; it is changed in place.

    Returns:
        `denoised`.
    """
    sums = [torch.cat(parts, dim=2) for parts in zip(*_each_strip(noisy, denoised), strict=True)]
    lacking, usable, pixels = (_smooth(part) for part in sums)
    share = usable / pixels
    # where little can be compared, the denoiser is believed
    offset = lacking / usable.clamp(min=1e-6) * share**2
    across = (offset.shape[3] + 2) * BLOCK
    offset = F.interpolate(_bordered(offset), size=(offset.shape[2] + 2, across), mode="bilinear")
    offset = offset[..., BLOCK : BLOCK + denoised.shape[3]]
    for top in range(0, denoised.shape[2], _ROWS):
        rows = denoised[..., top : top + _ROWS, :]
        fading = ((1 - rows) / _HEADROOM).clamp(max=1)
        rows.copy_(srgb_encode(srgb_decode(rows) + fading * _between_rows(offset, top, rows.shape[2])))
    return denoised


def keeping_brightness(denoise: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Returns a denoiser of photos whose results pass `keep_brightness`."""
    return lambda noisy: keep_brightness(noisy, denoise(noisy))


def _each_strip(noisy: Tensor, denoised: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yields for the blocks of each strip of rows: lacking light, usable pixels, all pixels."""
    for top in range(0, noisy.shape[2], _ROWS):
        before, after = (image[..., top : top + _ROWS, :] for image in (noisy, denoised))
        pixels = _block_sums(torch.ones_like(after))
        deviation = (_block_sums((before - after) ** 2) / pixels).sqrt()
        margin = _DEVIATIONS * _spread(deviation, after)
        usable = ((after > margin) & (after < 1 - margin)).to(after)
        lacking = usable * (srgb_decode(before) - srgb_decode(after))
        yield _block_sums(lacking), _block_sums(usable), pixels


def _block_sums(image: Tensor) -> Tensor:
    """Sums an image over blocks; those at its end may be smaller."""
    height, width = image.shape[2:]
    padded = F.pad(image, (0, -width % BLOCK, 0, -height % BLOCK))
    return F.avg_pool2d(padded, BLOCK) * BLOCK**2


def _spread(blocks: Tensor, like: Tensor) -> Tensor:
    """Gives every pixel the value of its block."""
    height, width = like.shape[2:]
    return blocks.repeat_interleave(BLOCK, 2).repeat_interleave(BLOCK, 3)[..., :height, :width]


def _smooth(blocks: Tensor) -> Tensor:
    """Smooths sums of blocks. There is nothing beyond the image."""
    channels = blocks.shape[1]
    taps = gaussian_taps(blocks.new_tensor(_SIGMA), _RADIUS).to(blocks)
    down, across = taps.view(1, 1, -1, 1), taps.view(1, 1, 1, -1)
    for kernel, padding in ((down, (_RADIUS, 0)), (across, (0, _RADIUS))):
        blocks = F.conv2d(blocks, kernel.expand(channels, -1, -1, -1), padding=padding, groups=channels)
    return blocks


def _bordered(blocks: Tensor) -> Tensor:
    """Repeats the outermost blocks, since the outermost pixels lie beyond their middles."""
    return F.pad(blocks, (1, 1, 1, 1), mode="replicate")


def _between_rows(offset: Tensor, top: int, count: int) -> Tensor:
    """Interpolates rows of pixels between the middles of bordered rows of blocks."""
    position = (torch.arange(top, top + count, device=offset.device) + 0.5) / BLOCK + 0.5
    above = position.floor().long()
    share = (position - above).to(offset)[:, None]
    return torch.lerp(offset[..., above, :], offset[..., above + 1, :], share)
