import math

import pytest

from cycleisp.utils.raw.calibration.estimate import Estimate, four
from cycleisp.utils.raw.calibration.setting import SettingEstimate
from cycleisp.utils.raw.calibration.unit_scale import on_unit_scale


def alike(value, error):
    return four([Estimate(value, error)] * 4)


SETTING = SettingEstimate(
    iso=800,
    white=4095.0,
    nominal_black=(95.0, 95.0, 95.0, 95.0),
    counts={"flat": 2, "dark": 2, "burst": 0},
    black=four(Estimate(level, 0.1) for level in (95.0, 95.0, 95.0, 3095.0)),
    gain=alike(2.0, 0.1),
    read_noise=alike(16.0, 0.4),
    quantization_step=Estimate(2.0, 0.0),
)


def test_variances_are_divided_by_the_square_of_the_range_and_gain_by_the_range() -> None:
    scaled = on_unit_scale(SETTING)
    assert scaled["shot_noise"][0] == Estimate(pytest.approx(2 / 4000), pytest.approx(0.1 / 4000))
    assert scaled["read_noise"][0] == Estimate(pytest.approx(1e-6), pytest.approx(0.4 / 4000**2))
    assert scaled["read_noise"][3].value == pytest.approx(16e-6)  # of a range of 1000


def test_bits_count_the_steps_from_black_to_white() -> None:
    assert on_unit_scale(SETTING)["quantization_bits"].value == pytest.approx(math.log2(3250 / 2))


def test_what_is_unknown_is_absent() -> None:
    assert set(on_unit_scale(SETTING)) == {"shot_noise", "read_noise", "quantization_bits"}
