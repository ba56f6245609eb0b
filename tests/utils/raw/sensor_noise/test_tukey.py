"""Tukey's lambda distribution, beside SciPy's."""

import math

import pytest
import torch
from scipy.stats import tukeylambda

from cycleisp.utils.raw.sensor_noise.ranges import HEAVIEST, LIGHTEST
from cycleisp.utils.raw.sensor_noise.tukey import tukey_from_uniform, tukey_variance

SIGMAS, COUNT = 5.0, 400_000
SHAPES = [HEAVIEST, -0.243, -0.1, -1e-4, 0.0, 1e-7, 3e-4, 0.14, 0.5, LIGHTEST]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_variance_is_scipys(shape: float) -> None:
    ours = tukey_variance(torch.tensor([shape], dtype=torch.float64)).item()
    assert ours == pytest.approx(float(tukeylambda.var(shape)), rel=2e-5)


def test_the_variance_at_known_shapes() -> None:
    """The logistic one has pi^2 / 3; lambda 1 is uniform on [-1, 1], 2 on [-1/2, 1/2]."""
    shapes = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    expected = torch.tensor([math.pi**2 / 3, 1 / 3, 1 / 12], dtype=torch.float64)
    torch.testing.assert_close(tukey_variance(shapes), expected, rtol=2e-5, atol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_quantiles_are_scipys_at_variance_1(shape: float) -> None:
    """A uniform number stands for the middle of its step of 2^-24."""
    steps = [0, 1, 16_777, 5_033_165, 2**23 - 1, 2**23, 11_744_051, 16_760_439, 2**24 - 1]
    uniform = torch.tensor(steps) / 2.0**24
    quantiles = torch.tensor(
        tukeylambda.ppf(uniform.double().numpy() + 2.0**-25, shape) / math.sqrt(tukeylambda.var(shape))
    )
    ours = tukey_from_uniform(uniform, torch.full((9,), shape)).double()
    torch.testing.assert_close(ours, quantiles, rtol=1e-4, atol=1e-7)
    mirrored = tukey_from_uniform(1 - 2.0**-24 - uniform, torch.full((9,), shape)).double()
    torch.testing.assert_close(mirrored, -ours, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape", [-0.1, 0.0, 0.14, 0.5])
def test_moments_are_those_of_variance_1_and_scipys_kurtosis(shape: float) -> None:
    """The 8th moment, which bounds the error of the 4th, is finite above lambda = -1/8."""
    uniform = torch.rand(COUNT, generator=torch.Generator().manual_seed(1))
    drawn = tukey_from_uniform(uniform, torch.full((COUNT,), shape)).double()
    fourth = float(tukeylambda.stats(shape, moments="k")) + 3
    assert abs(drawn.mean().item()) <= SIGMAS / math.sqrt(COUNT)
    assert abs(drawn.square().mean().item() - 1) <= SIGMAS * math.sqrt((fourth - 1) / COUNT)
    steps = (torch.arange(1_000_000, dtype=torch.float64) + 0.5) / 1_000_000
    eighth = (torch.from_numpy(tukeylambda.ppf(steps.numpy(), shape)) / math.sqrt(tukeylambda.var(shape))).pow(8).mean()
    assert abs(drawn.pow(4).mean().item() - fourth) <= SIGMAS * math.sqrt((eighth.item() - fourth**2) / COUNT)


def test_the_cut_of_the_tails_takes_little_of_the_variance() -> None:
    """It is the variance beyond the last number that a float32 gives, at the heaviest tail."""
    variance, cut = float(tukeylambda.var(HEAVIEST)), 2.0**-25
    beyond = 2 * cut ** (1 + 2 * HEAVIEST) / (1 + 2 * HEAVIEST) / HEAVIEST**2
    assert beyond / variance < 5e-3
