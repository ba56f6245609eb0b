"""benchmarks/unprocessing.py: the way back inverts the way forward, with published means."""

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.unprocessing import (
    MEAN_XYZ2CAM,
    BrooksCamera,
    inverse_smoothstep,
    typical_brooks_camera,
    typical_camera,
)
from cycleisp.utils.color import colorimetry
from cycleisp.utils.color.simulated_camera import SimulatedCamera, sample_camera
from tests.support.curves import bt709_encode
from tests.support.simulated_cameras import check_ends, check_order_of_greys, check_range, check_round_trip

CAMERAS: dict[str, SimulatedCamera] = {
    "typical": typical_camera(),
    "Brooks et al.": typical_brooks_camera(),
    "bright": BrooksCamera(sample_camera(np.random.default_rng(9)).cam2rgb, np.array([0.8, 1, 2.5]), 1.5),
}
EVERY_CAMERA = pytest.mark.parametrize("name", CAMERAS)


def encode_as_brooks(linear: NDArray) -> NDArray:
    return colorimetry.srgb_encode(colorimetry.smoothstep(linear))


def decode_as_brooks(encoded: NDArray) -> NDArray:
    return inverse_smoothstep(colorimetry.srgb_decode(encoded))


@pytest.mark.parametrize(("toned", "linear"), [(0.15625, 0.25), (0.5, 0.5), (-0.5, 0), (0, 0), (1, 1), (1.5, 1)])
def test_known_values_of_the_inverse_tone_curve(toned: float, linear: float) -> None:
    assert inverse_smoothstep(np.array(toned)) == pytest.approx(linear, abs=1e-12)


def test_the_inverse_tone_curve_undoes_the_tone_curve_both_ways() -> None:
    values = np.linspace(0, 1, 2001)
    np.testing.assert_allclose(inverse_smoothstep(colorimetry.smoothstep(values)), values, atol=1e-6)
    np.testing.assert_allclose(colorimetry.smoothstep(inverse_smoothstep(values)), values, atol=1e-6)
    assert inverse_smoothstep(values.astype(np.float32)).dtype == np.float32


@EVERY_CAMERA
def test_processing_the_unprocessed_photo_gives_the_photo_back(name: str) -> None:
    camera = CAMERAS[name]
    if isinstance(camera, BrooksCamera):
        check_round_trip(camera, encode_as_brooks, decode_as_brooks, camera.brightness)
    else:
        check_round_trip(camera, bt709_encode, colorimetry.bt709_decode)


@EVERY_CAMERA
def test_camera_colors_lie_in_zero_to_one_for_every_photo(name: str) -> None:
    check_range(CAMERAS[name])


@EVERY_CAMERA
def test_black_stays_black_and_white_stays_white(name: str) -> None:
    check_ends(CAMERAS[name])


@EVERY_CAMERA
def test_brighter_greys_are_brighter_on_the_sensor_through_the_shoulder(name: str) -> None:
    check_order_of_greys(CAMERAS[name])


def test_the_typical_camera_of_brooks_has_their_mean_values() -> None:
    camera = typical_brooks_camera()
    np.testing.assert_array_equal(camera.white_balance, [2.15, 1.0, 1.7])
    assert camera.brightness == pytest.approx(1.25)
    np.testing.assert_allclose(camera.cam2rgb, colorimetry.cam2rgb_from_xyz2cam(MEAN_XYZ2CAM))


def test_the_typical_camera_has_the_gains_of_daylight() -> None:
    camera = typical_camera()
    np.testing.assert_allclose(camera.white_balance, colorimetry.white_balance_gains(MEAN_XYZ2CAM, 5500.0))
    assert 1.5 < camera.white_balance[0] < 3
    assert 1 < camera.white_balance[2] < 2.5
