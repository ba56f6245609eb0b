import numpy as np
import pytest

from cycleisp.utils.raw.calibration.estimate import Estimate
from cycleisp.utils.raw.calibration.levels import (
    add_counts,
    black_end,
    level_below,
    mean_level,
    quantization_step,
    saturation,
)

NUMBER = 100_000


def levels(values):
    return np.bincount(np.clip(np.rint(values), 0, None).astype(int))


def normal(mean, sigma):
    return np.random.default_rng(0).normal(mean, sigma, NUMBER)


def test_counts_of_different_length_add_up() -> None:
    assert add_counts(np.array([1, 2]), np.array([3, 4, 5])).tolist() == [4, 6, 5]


def test_mean_and_quantile_are_those_of_the_values() -> None:
    values = normal(100, 7)
    counts = levels(values)
    assert mean_level(counts) == pytest.approx(values.mean(), abs=0.01)
    assert level_below(counts, 0.8413) == pytest.approx(107, abs=0.1)  # error 0.04


@pytest.mark.parametrize("step", [1, 4, 16])
def test_a_regular_step_is_exact(step) -> None:
    values = np.rint(normal(1000, 60) / step) * step + 3
    assert quantization_step(levels(values)) == Estimate(step, 0.0)


def test_a_digital_gain_makes_a_step_that_is_not_whole() -> None:
    values = np.floor(np.rint(np.concatenate([normal(3000, 150), normal(1000, 90)])) * 1.3)
    step = quantization_step(levels(values))
    assert step.value == pytest.approx(1.3, abs=3 * step.error)
    assert 0 < step.error < 0.02


def test_a_step_needs_three_levels() -> None:
    assert quantization_step(levels(np.repeat([64, 65], 1000))) is None


def test_sparse_flanks_are_no_steps() -> None:
    few = np.random.default_rng(1).integers(0, 4000, 300)  # most levels stay empty by chance
    assert quantization_step(levels(np.concatenate([normal(500, 3), few]))) == Estimate(1.0, 0.0)


@pytest.mark.parametrize(("black", "sigma", "clipped"), [(512, 5, False), (0, 5, True), (8, 4, True), (64, 0.3, False)])
def test_zero_is_a_clipped_black_and_a_thin_end_is_none(black, sigma, clipped) -> None:
    assert black_end(levels(normal(black, sigma)), 1).clipped is clipped


def test_black_can_be_clipped_at_any_level() -> None:
    end = black_end(levels(np.maximum(normal(512, 5), 512)), 1)
    assert (end.lowest, end.clipped) == (512, True)


def test_values_that_saturate_lie_on_one_level() -> None:
    values = np.minimum(np.concatenate([normal(15900, 120), normal(9000, 95)]), 15871)
    assert saturation(levels(values), white=16383, step=1) == Estimate(15871.0, 0.0)


def test_values_that_saturate_near_one_level_give_it_an_error() -> None:
    values = np.concatenate([normal(15871, 1.5), normal(9000, 95)])
    found = saturation(levels(values), white=16383, step=1)
    assert found.value == pytest.approx(15871, abs=1)
    assert found.error == pytest.approx(1.5 / NUMBER**0.5, rel=0.1)


@pytest.mark.parametrize(("mean", "sigma"), [(15000, 120), (12000, 20), (800, 9)])
def test_bright_frames_that_do_not_saturate_are_no_saturation(mean, sigma) -> None:
    assert saturation(levels(normal(mean, sigma)), white=16383, step=1) is None
