"""The average of many clipped frames: against frames, and where it has to equal the signal."""

import math

import pytest
import torch

from cycleisp.utils.raw.noise import clipped_mean

COUNT = 400_000


@pytest.mark.parametrize("signal", [0.0, 0.02, 0.5, 0.97, 1.0])
@pytest.mark.parametrize("deviation", [0.003, 0.05, 0.3])
def test_it_is_the_mean_of_clipped_noise(signal: float, deviation: float) -> None:
    white = torch.randn(COUNT, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    frames = (signal + deviation * white).clamp(0, 1)
    mean = clipped_mean(torch.tensor([signal], dtype=torch.float64), torch.tensor([deviation**2], dtype=torch.float64))
    assert mean.item() == pytest.approx(frames.mean().item(), abs=5 * deviation / math.sqrt(COUNT))


def test_black_is_lifted_by_what_half_a_normal_distribution_has_as_mean() -> None:
    mean = clipped_mean(torch.zeros(1), torch.full((1,), 0.01))
    assert mean.item() == pytest.approx(0.1 / math.sqrt(2 * math.pi), rel=1e-5)


def test_without_noise_it_is_the_signal() -> None:
    signal = torch.linspace(0, 1, 101)
    torch.testing.assert_close(clipped_mean(signal, torch.zeros(101)), signal)
    torch.testing.assert_close(clipped_mean(signal, torch.full((101,), 1e-12)), signal)
