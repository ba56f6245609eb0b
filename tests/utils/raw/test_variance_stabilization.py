"""The variance-stabilising transform, its inverse, and the noise level of a variance map."""

import pytest
import torch
from torch import Tensor

from cycleisp.utils.raw.noise import noise_level_function
from cycleisp.utils.raw.variance_stabilization import destabilize, read_noise_level, stabilize
from tests.support.noise import LEVELS, frames

ALL_LEVELS = pytest.mark.parametrize(
    ("shot_noise", "read_noise"), [(1e-4, 1e-8), (0.01, 1e-4), (0.02, 2e-3), (0.01, 0.0), (0.0, 1e-4), (0.0, 1e-8)]
)
UNIT = torch.linspace(0, 1, 1001, dtype=torch.float64)


# ---------------------------------------------------------------- there


@LEVELS
@pytest.mark.parametrize("signal", [0.2, 0.4, 0.6])
def test_noise_has_unit_variance_away_from_black_and_white(shot_noise: float, read_noise: float, signal: float) -> None:
    noisy = frames(signal, shot_noise, read_noise, seed=0)
    # Of higher order is shot_noise / signal; the sample's own error is sqrt(2 / COUNT) = 0.003.
    variance = stabilize(noisy, shot_noise, read_noise).var().item()
    assert variance == pytest.approx(1, abs=0.02 + shot_noise / signal)


@ALL_LEVELS
def test_the_slope_is_one_over_the_deviation(shot_noise: float, read_noise: float) -> None:
    """So noise of that deviation has deviation 1 after the transform.

    The formula itself is 2 / a (sqrt(a x + b) - sqrt(b)).
    """
    raw = UNIT[1:].clone().requires_grad_()
    stabilized = stabilize(raw, shot_noise, read_noise)
    (slope,) = torch.autograd.grad(stabilized.sum(), raw)
    torch.testing.assert_close(slope, (shot_noise * UNIT[1:] + read_noise) ** -0.5, rtol=1e-6, atol=0)
    if shot_noise:
        by_hand = 2 / shot_noise * ((shot_noise * UNIT + read_noise).sqrt() - read_noise**0.5)
        torch.testing.assert_close(stabilize(UNIT, shot_noise, read_noise), by_hand, rtol=1e-6, atol=1e-6)


def test_black_is_0_and_negative_values_count_as_black() -> None:
    values = torch.tensor([-1.0, -1e-6, 0.0])
    for levels in ((0.01, 1e-4), (0.01, 0.0), (0.0, 1e-4), (0.0, 0.0)):
        assert torch.equal(stabilize(values, *levels), torch.zeros(3))
        assert torch.equal(destabilize(values, *levels), torch.zeros(3))


def test_without_shot_noise_it_divides_by_the_deviation() -> None:
    torch.testing.assert_close(stabilize(UNIT, 0.0, 4e-4), UNIT / 0.02)


def test_without_any_noise_it_stays_finite_and_in_order() -> None:
    for values in (UNIT, UNIT.float()):
        stabilized = stabilize(values, 0.0, 0.0)
        assert stabilized.isfinite().all() and (stabilized.diff() > 0).all()


def test_levels_may_differ_from_plane_to_plane() -> None:
    raw = torch.rand(2, 4, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shot, read = torch.rand(2, 2, 4, 1, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    together = stabilize(raw, shot, read)
    for image in range(2):
        for plane in range(4):
            level = shot[image, plane].item(), read[image, plane].item()
            torch.testing.assert_close(together[image, plane], stabilize(raw[image, plane], *level))
    torch.testing.assert_close(destabilize(together, shot, read), raw)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_type_is_kept_and_inputs_left_alone(dtype: torch.dtype) -> None:
    raw = UNIT.to(dtype) - 0.1
    before = raw.clone()
    stabilized = stabilize(raw, 0.01, 1e-4)
    assert stabilized.dtype == destabilize(stabilized, 0.01, 1e-4).dtype == dtype
    assert torch.equal(raw, before)


# ---------------------------------------------------------------- and back


@ALL_LEVELS
def test_the_algebraic_inverse_undoes_it(shot_noise: float, read_noise: float) -> None:
    back = destabilize(stabilize(UNIT, shot_noise, read_noise), shot_noise, read_noise)
    torch.testing.assert_close(back, UNIT, rtol=1e-9, atol=1e-12)
    single = UNIT.float()
    back = destabilize(stabilize(single, shot_noise, read_noise), shot_noise, read_noise)
    torch.testing.assert_close(back, single, rtol=1e-5, atol=1e-9)


def test_the_algebraic_inverse_of_the_mean_is_biased() -> None:
    """A quarter of the shot noise is missing (Makitalo and Foi, for Poisson noise).

    That is why benchmarks/raw_noise.py has an unbiased inverse.
    """
    mean = stabilize(frames(0.3, 0.02, 1e-4, seed=2), 0.02, 1e-4).mean()
    assert destabilize(mean, 0.02, 1e-4).item() == pytest.approx(0.3 - 0.02 / 4, abs=1e-3)


# ---------------------------------------------------------------- noise levels of variance maps


def planes(low: float, high: float, seed: int = 0) -> Tensor:
    values = torch.rand(2, 4, 9, 11, generator=torch.Generator().manual_seed(seed))
    return low + (high - low) * values


@ALL_LEVELS
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.001, 0.02), (0.5, 0.7), (-0.2, 1.2)])
def test_both_factors_are_read_from_a_map(shot_noise: float, read_noise: float, low: float, high: float) -> None:
    """Float32 rounds the variances.

    The error grows along the line with the distance from the values to black.
    """
    noisy = planes(low, high)
    variance = noise_level_function(noisy, torch.full((2,), shot_noise), torch.full((2,), read_noise))
    shot, read = read_noise_level(noisy, variance)
    assert shot.shape == read.shape == (2, 4, 1, 1)
    largest, span = shot_noise * max(high, 0) + read_noise, max(high, 0) - max(low, 0)
    error = 4e-7 * largest / span
    assert (shot - shot_noise).abs().max() <= error
    assert (read - read_noise).abs().max() <= error * max(high, 0) + 1e-9 * read_noise
    assert (read >= 0).all() and (shot >= 0).all()


def test_every_image_and_plane_has_its_own_factors() -> None:
    noisy = planes(0.0, 1.0)
    shot = 1e-3 * torch.arange(1, 9).view(2, 4).float()
    read = 1e-4 * torch.arange(8, 0, -1).view(2, 4).float()
    found_shot, found_read = read_noise_level(noisy, noise_level_function(noisy, shot, read))
    torch.testing.assert_close(found_shot[..., 0, 0], shot, rtol=1e-4, atol=0)
    torch.testing.assert_close(found_read[..., 0, 0], read, rtol=1e-3, atol=0)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_plane_of_one_value_has_read_noise_alone(value: float) -> None:
    noisy = planes(0.0, 1.0)
    noisy[:, 2] = value
    variance = noise_level_function(noisy, torch.full((2,), 0.01), torch.full((2,), 1e-4))
    shot, read = read_noise_level(noisy, variance)
    assert torch.equal(shot[:, 2].flatten(), torch.zeros(2))
    torch.testing.assert_close(read[:, 2].flatten(), torch.full((2,), 0.01 * value + 1e-4))
    torch.testing.assert_close(shot[:, [0, 1, 3]], torch.full((2, 3, 1, 1), 0.01), rtol=1e-4, atol=0)
    shot, read = read_noise_level(noisy[..., :1, :1], variance[..., :1, :1])  # a plane of one pixel
    assert not shot.any() and torch.equal(read, variance[..., :1, :1])


def test_noise_that_nobody_has_gives_no_negative_factor() -> None:
    """Where noise falls with light, there is no shot noise, and no root of a negative number."""
    noisy = planes(0.0, 1.0)
    shot, read = read_noise_level(noisy, 0.01 - 0.005 * noisy)
    assert not shot.any() and (read > 0).all()
    shot, read = read_noise_level(noisy, 0 * noisy)
    assert not shot.any() and not read.any()


def test_half_precision_maps_are_read_in_single_precision() -> None:
    noisy = planes(0.0, 1.0).half()
    shot, read = read_noise_level(noisy, (0.01 * noisy.float() + 1e-3).half())
    assert shot.dtype == read.dtype == torch.float32
    torch.testing.assert_close(shot, torch.full_like(shot, 0.01), rtol=1e-2, atol=0)
    torch.testing.assert_close(read, torch.full_like(read, 1e-3), rtol=1e-2, atol=0)
