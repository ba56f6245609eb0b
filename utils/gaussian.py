"""The weights of a Gaussian blur, for all that blur with one."""

import torch
from torch import Tensor


def gaussian_taps(sigma: Tensor, radius: int) -> Tensor:
    """Returns Gaussian weights that sum to 1, in the precision and on the device of `sigma`.

    Args:
        sigma: (...) standard deviations in pixels, positive.
        radius: pixels on either side of the middle; what lies beyond is cut off.

    Returns:
        (..., 2 * radius + 1)
    """
    offsets = torch.arange(-radius, radius + 1, device=sigma.device)
    weights = torch.exp(-0.5 * (offsets / sigma[..., None]) ** 2)
    return weights / weights.sum(dim=-1, keepdim=True)
