import math

import pytest

from cycleisp.utils.raw.calibration.estimate import Estimate, weighted_mean


def test_a_deviation_has_half_the_relative_error_of_its_variance() -> None:
    sigma = Estimate(25.0, 1.0).sigma()
    assert sigma == Estimate(5.0, pytest.approx(0.1))


def test_a_variance_that_is_lost_in_its_error_gives_a_deviation_of_finite_error() -> None:
    assert Estimate(-0.3, 0.5).sigma() == Estimate(0.0, pytest.approx(math.sqrt(0.5)))


def test_independent_errors_add_up_as_squares() -> None:
    assert Estimate(1.0, 3.0).plus(Estimate(2.0, 4.0)) == Estimate(3.0, pytest.approx(5.0))
    assert Estimate(1.0, 3.0).times(-2) == Estimate(-2.0, 6.0)


def test_precise_estimates_weigh_more() -> None:
    mean = weighted_mean([Estimate(10.0, 1.0), Estimate(10.5, 2.0)])
    assert mean.value == pytest.approx((10.0 * 4 + 10.5) / 5)
    assert mean.error == pytest.approx(1 / math.sqrt(1.25))


def test_estimates_that_disagree_make_the_error_larger() -> None:
    mean = weighted_mean([Estimate(0.0, 1.0), Estimate(10.0, 1.0)])
    assert mean.error == pytest.approx(5.0)  # half of their distance, whatever they claim


def test_an_exact_estimate_decides_alone() -> None:
    assert weighted_mean([Estimate(4.0, 0.0), Estimate(5.0, 0.1)]) == Estimate(4.0, 0.0)
