"""Padding by reflection, for images of any size."""

import torch
import torch.nn.functional as F
from torch import Tensor


def _reflected_indices(size: int, before: int, after: int, device: torch.device) -> Tensor:
    """Returns the indices of a line padded by reflection, repeated as often as necessary.

    They lie in 0 ... size - 1, and the border is not repeated.
    """
    if size == 1:
        return torch.zeros(before + size + after, dtype=torch.long, device=device)
    period = 2 * (size - 1)
    positions = torch.arange(-before, size + after, device=device) % period
    return torch.where(positions < size, positions, period - positions)


def reflect_pad(image: Tensor, padding: tuple[int, int, int, int]) -> Tensor:
    """Pads (..., H, W) by reflection; unlike PyTorch's padding, also by more than the image's size.

    Args:
        image: (..., H, W), any range.
        padding: pixels to add, (left, right, top, bottom), as in torch.nn.functional.pad.

    Returns:
        (..., H + top + bottom, W + left + right)
    """
    left, right, top, bottom = padding
    height, width = image.shape[-2:]
    if max(left, right) < width and max(top, bottom) < height and image.ndim in (3, 4):
        return F.pad(image, padding, mode="reflect")
    rows = _reflected_indices(height, top, bottom, image.device)
    columns = _reflected_indices(width, left, right, image.device)
    return image[..., rows, :][..., columns]


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Pads (..., H, W) at the bottom and right so that both sides are multiples of `multiple`.

    The first pixel stays where it is, so that the Bayer phase is kept, and `[..., :H, :W]` undoes
    the padding exactly. An image whose sides are multiples already is returned itself, no copy.
    """
    height, width = image.shape[-2:]
    if height % multiple == width % multiple == 0:
        return image
    return reflect_pad(image, (0, -width % multiple, 0, -height % multiple))
