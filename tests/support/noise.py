"""Noise of known levels."""

import pytest
import torch
from torch import Tensor

COUNT = 200_000
LEVELS = pytest.mark.parametrize(("shot_noise", "read_noise"), [(1e-4, 1e-7), (0.01, 1e-4), (0.02, 2e-3)])


def frames(signal: float, shot_noise: float, read_noise: float, seed: int) -> Tensor:
    """Draws COUNT noisy values of one signal, in double precision."""
    white = torch.randn(COUNT, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return signal + (shot_noise * signal + read_noise) ** 0.5 * white
