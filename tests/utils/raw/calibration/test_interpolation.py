import math

import pytest

from cycleisp.utils.raw.calibration.estimate import Estimate
from cycleisp.utils.raw.calibration.interpolation import interpolate, log_line

LOW = {
    "read_noise": (Estimate(1.0, 0.1),) * 4,
    "tukey_lambda": Estimate(0.1, 0.02),
    "row_noise": (Estimate(-1e-3, 0.1),) * 4,
}
HIGH = {
    "read_noise": (Estimate(16.0, 1.6),) * 4,
    "tukey_lambda": Estimate(-0.1, 0.02),
    "row_noise": (Estimate(1.0, 0.1),) * 4,
}
SETTINGS = {100: LOW, 1600: {**HIGH, "column_noise": (Estimate(1.0, 0.1),) * 4}}


def test_variances_are_log_linear_and_shapes_linear_in_the_logarithm_of_iso() -> None:
    middle = interpolate(SETTINGS, 400)
    assert middle["read_noise"][2].value == pytest.approx(4.0)
    assert middle["read_noise"][2].error == pytest.approx(4.0 * 0.1 / math.sqrt(2))  # of two of 10 %
    assert middle["tukey_lambda"] == Estimate(pytest.approx(0.0, abs=1e-12), pytest.approx(0.02 / math.sqrt(2)))


def test_a_variance_that_is_not_above_0_is_interpolated_as_it_is() -> None:
    assert interpolate(SETTINGS, 400)["row_noise"][0].value == pytest.approx((1.0 - 1e-3) / 2)


def test_settings_themselves_come_back_and_unknown_parts_are_left_out() -> None:
    assert interpolate(SETTINGS, 1600) == SETTINGS[1600]
    assert "column_noise" not in interpolate(SETTINGS, 400)


@pytest.mark.parametrize(("settings", "iso"), [(SETTINGS, 50), (SETTINGS, 3200), ({}, 100)])
def test_nothing_is_said_outside_of_what_was_measured(settings, iso) -> None:
    with pytest.raises(ValueError, match="take frames at that setting"):
        interpolate(settings, iso)


def test_a_power_of_iso_is_found() -> None:
    isos = [100, 200, 400, 1600]
    line = log_line(isos, [Estimate(0.01 * iso**0.8, 1e-9) for iso in isos])
    assert line.slope.value == pytest.approx(0.8)
    assert line.at(800) == pytest.approx(0.01 * 800**0.8)
    assert line.spread == pytest.approx(0.0, abs=1e-6)


def test_the_spread_is_what_errors_do_not_explain() -> None:
    isos = [100, 200, 400, 800, 1600, 3200]
    values = [iso * math.exp(sign * 0.3) for iso, sign in zip(isos, (1, -1, 0, 0, -1, 1), strict=True)]
    exact = log_line(isos, [Estimate(value, 1e-6 * value) for value in values])
    assert exact.spread == pytest.approx(0.3, abs=0.01)
    assert log_line(isos, [Estimate(value, 0.4 * value) for value in values]).spread == 0
    assert exact.slope.value == pytest.approx(1.0, abs=3 * exact.slope.error)


def test_a_line_needs_two_settings() -> None:
    with pytest.raises(ValueError, match="needs two"):
        log_line([100, 200], [Estimate(1.0, 0.1), Estimate(-1.0, 0.1)])
