import numpy as np
import pytest
from scipy import stats

from cycleisp.utils.raw.calibration.dark.distributions import FAMILIES, GAUSSIAN, STUDENT, TUKEY, Grid

GRID = Grid(width=0.25, count=2048)
SIGMA = 4.0


def variance(masses):
    return float(masses @ GRID.centres**2)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_masses_are_those_of_the_stated_deviation(family) -> None:
    shape = family.shapes[1] if family.shapes else 0.0
    masses = GRID.masses(family, SIGMA, shape)
    assert masses.sum() == pytest.approx(1.0)
    assert (masses >= 0).all()
    assert masses @ GRID.centres == pytest.approx(0.0, abs=1e-3)
    assert variance(masses) == pytest.approx(SIGMA**2 + GRID.width**2 / 12, rel=2e-3)  # Sheppard


@pytest.mark.parametrize("shape", [-0.24, -0.1, 0.0, 1e-7, 0.14, 0.4])
def test_tukey_is_the_textbook_one(shape) -> None:
    scale = stats.tukeylambda.std(shape)
    x = np.linspace(-6, 6, 25)
    np.testing.assert_allclose(TUKEY.cumulative(x, shape), stats.tukeylambda.cdf(x * scale, shape), atol=2e-6)


def test_the_heaviest_tails_are_those_that_the_noise_model_can_draw() -> None:
    from cycleisp.utils.raw.sensor_noise.ranges import HEAVIEST

    assert TUKEY.shapes[0] == HEAVIEST


def test_student_is_the_textbook_one() -> None:
    x = np.linspace(-6, 6, 25)
    np.testing.assert_allclose(STUDENT.cumulative(x, 0.2), stats.t.cdf(x * np.sqrt(5 / 3), 5), atol=1e-12)


def test_sums_and_differences_have_the_sum_of_the_variances() -> None:
    masses = GRID.masses(GAUSSIAN, SIGMA, 0.0)
    assert variance(GRID.with_gaussian(masses, 3.0)) == pytest.approx(variance(masses) + 9, rel=1e-6)
    assert variance(GRID.of_rounded_differences(masses, 0.0)) == pytest.approx(2 * variance(masses), rel=1e-6)


def test_a_difference_holds_the_rounding_of_two_numbers() -> None:
    masses = GRID.masses(TUKEY, SIGMA, 0.1)
    rounded = GRID.of_rounded_differences(masses, 4.0)
    assert variance(rounded) == pytest.approx(2 * variance(masses) + 2 * 4.0**2 / 12, rel=1e-6)
