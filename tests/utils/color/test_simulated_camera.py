"""Simulated cameras: the way back inverts the way forward, and draws are plausible."""

import numpy as np
import pytest

from cycleisp.utils.color import colorimetry
from cycleisp.utils.color.simulated_camera import DAYLIGHT_SPREAD, XYZ2CAM, SimulatedCamera, sample_camera
from tests.support.curves import bt709_encode
from tests.support.simulated_cameras import check_ends, check_order_of_greys, check_range, check_round_trip

SENSOR = sample_camera(np.random.default_rng(9))
CAMERAS = {
    **{f"sampled {seed}": sample_camera(np.random.default_rng(seed)) for seed in range(4)},
    "strong gains": SimulatedCamera(SENSOR.cam2rgb, np.array([0.8, 1, 2.5])),
}
EVERY_CAMERA = pytest.mark.parametrize("name", CAMERAS)


@EVERY_CAMERA
def test_processing_the_unprocessed_photo_gives_the_photo_back(name: str) -> None:
    check_round_trip(CAMERAS[name], bt709_encode, colorimetry.bt709_decode)


@EVERY_CAMERA
def test_camera_colors_lie_in_zero_to_one_for_every_photo(name: str) -> None:
    check_range(CAMERAS[name])


@EVERY_CAMERA
def test_black_stays_black_and_white_stays_white(name: str) -> None:
    check_ends(CAMERAS[name])


@EVERY_CAMERA
def test_brighter_greys_are_brighter_on_the_sensor_through_the_shoulder(name: str) -> None:
    check_order_of_greys(CAMERAS[name])


def test_green_is_the_gain_of_reference_and_red_and_blue_are_those_of_real_lights() -> None:
    rng = np.random.default_rng(0)
    gains = np.array([sample_camera(rng).white_balance for _ in range(500)])
    np.testing.assert_allclose(gains[:, 1], 1)
    assert gains[:, [0, 2]].min() > 0.9
    assert gains[:, [0, 2]].max() < 4.5
    # warm light needs blue, cold light needs red: the gains cannot be drawn apart
    assert np.corrcoef(gains[:, 0], gains[:, 2])[0, 1] < -0.8
    assert np.ptp(gains[:, 0]) > 1
    assert np.ptp(gains[:, 2]) > 1


def test_a_wide_spread_of_light_brings_lamps() -> None:
    daylight, wide = (
        np.array([sample_camera(np.random.default_rng(seed), spread).white_balance for seed in range(300)])
        for spread in (DAYLIGHT_SPREAD, 100.0)
    )
    lamps = [np.mean(gains[:, 2] > 1.5 * gains[:, 0]) for gains in (daylight, wide)]  # blue needs far more than red
    assert lamps[0] < 0.03 and lamps[1] > 0.07


def test_the_middle_of_the_light_decides_which_colour_needs_the_gain() -> None:
    day, lamp = (
        np.array([sample_camera(np.random.default_rng(seed), 20.0, center).white_balance for seed in range(40)])
        for center in (6500.0, 3000.0)
    )
    assert (day[:, 0] > day[:, 2]).mean() > 0.9 and (lamp[:, 2] > lamp[:, 0]).mean() > 0.9
    np.testing.assert_array_equal(  # daylight, where nothing is said
        sample_camera(np.random.default_rng(1), 45.0, 5500.0).white_balance,
        sample_camera(np.random.default_rng(1)).white_balance,
    )


def test_sampled_matrices_keep_white_and_lie_about_the_known_ones() -> None:
    known = np.array([colorimetry.cam2rgb_from_xyz2cam(np.reshape(matrix, (3, 3))) for matrix in XYZ2CAM.values()])
    rng = np.random.default_rng(0)
    matrices = np.array([sample_camera(rng).cam2rgb for _ in range(200)])
    np.testing.assert_allclose(matrices.sum(axis=2), 1)
    assert (matrices > known.min(axis=0) - 0.05).all()
    assert (matrices < known.max(axis=0) + 0.05).all()
    assert (matrices.std(axis=0) > 0.001).all()


def test_the_generator_decides_the_camera() -> None:
    first, again, other = (sample_camera(np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.cam2rgb, again.cam2rgb)
    np.testing.assert_array_equal(first.white_balance, again.white_balance)
    assert not np.array_equal(first.white_balance, other.white_balance)
