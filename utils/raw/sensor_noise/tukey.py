"""Tukey's lambda distribution, whose shape goes from heavy tails to lighter ones than a Gaussian's.

It is given by its quantile function Q(u) = (u^lambda - (1 - u)^lambda) / lambda, and lambda = 0 is
the logistic distribution. At 0.14 it is close to a Gaussian; below, its tails are heavier. Wei et
al. (A Physics-based Noise Formation Model for Extreme Low-light Raw Denoising, CVPR 2020) found it
to fit the read noise of cameras. Formulas: Joiner and Rosenblatt, "Some properties of the range in
samples from Tukey's symmetric lambda distributions", JASA 66 (1971).
"""

import torch
from torch import Tensor

_NEAR_LOGISTIC = 1e-5  # |lambda| below which float32 has no digits of Q's difference left
_HALF_STEP = 2.0**-25  # of the numbers that torch.rand draws, multiples of 2^-24


def tukey_variance(shape: Tensor) -> Tensor:
    """Returns the variance of Tukey's lambda distribution.

    It is 2 / lambda^2 * (1 / (1 + 2 lambda) - Gamma(lambda + 1)^2 / Gamma(2 lambda + 2)), with the
    limit pi^2 / 3 at 0.

    Args:
        shape: lambda, of any shape, above -0.5.

    Returns:
        Variances in the shape and type of `shape`, computed in double precision.
    """
    wide = shape.cpu().double()  # which not every device has
    # Near 0 the two terms cancel; between two shapes beside 0 the variance is close to a line.
    gap = 1e-3
    near = wide.abs() < gap
    safe = torch.where(near, torch.full_like(wide, gap), wide)
    other = torch.where(near, torch.full_like(wide, -gap), wide)
    weight = torch.where(near, (wide + gap) / (2 * gap), torch.ones_like(wide))
    return (weight * _variance(safe) + (1 - weight) * _variance(other)).to(shape)


def _variance(shape: Tensor) -> Tensor:
    beta = (2 * torch.lgamma(shape + 1) - torch.lgamma(2 * shape + 2)).exp()
    return 2 / shape**2 * (1 / (1 + 2 * shape) - beta)


def tukey_from_uniform(uniform: Tensor, shape: Tensor) -> Tensor:
    """Turns uniform numbers into numbers of Tukey's lambda distribution with variance 1.

    Args:
        uniform: float32 in [0, 1), as `torch.rand` draws them; half a step is added, so that 0 and
            1 never occur. This cuts the tails at 3e-8 of the probability, which takes 0.4 % of the
            variance at lambda -0.3, and less at larger ones.
        shape: lambda, of a shape that broadcasts, from `ranges.HEAVIEST` to LIGHTEST.

    Returns:
        In the shape of `uniform`, symmetrical about 0.
    """
    # The smaller of u and 1 - u is exact in float32, the other one is not.
    upper = uniform >= 0.5
    small = torch.where(upper, (1 - uniform) - _HALF_STEP, uniform + _HALF_STEP)
    log_small, log_large = small.log(), torch.log1p(-small)
    safe = torch.where(shape.abs() < _NEAR_LOGISTIC, torch.full_like(shape, _NEAR_LOGISTIC), shape)
    below = (torch.expm1(safe * log_small) - torch.expm1(safe * log_large)) / safe
    return torch.where(upper, -below, below) / tukey_variance(shape).sqrt()
