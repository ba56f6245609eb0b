"""The whole calibration of one ISO setting, against fabricated cameras.

Bounds are multiples of the standard errors that the estimates state, and these have bounds of their
own, from the number of photosites.
"""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.fabricated_camera import FabricatedCamera, eld_cameras
from cycleisp.utils.raw.calibration.estimate import Estimate
from cycleisp.utils.raw.calibration.setting import calibrate_setting
from tests.support.paths import shared

LEVELS = (0.02, 0.1, 0.3, 0.6, 0.9)
SMALL = FabricatedCamera(height=128, width=128)

CAMERAS = {
    "10 bit": FabricatedCamera(
        bits=10,
        gain=0.2,
        sigma_read=1.1,
        sigma_row=0.2,
        sigma_column=0.15,
        sigma_fixed=0.3,
        black=(64, 64.3, 63.8, 64.1),
    ),
    "12 bit, black clipped": FabricatedCamera(
        bits=12, gain=1.0, sigma_read=4.0, tukey_lambda=-0.05, sigma_row=0.8, black=(0, 0.4, -0.3, 0.2)
    ),
    "14 bit, heavy tails, hot pixels": FabricatedCamera(tukey_lambda=-0.15, hot_density=2e-3, hot_amplitude=500),
    "16 bit, steps of 4": FabricatedCamera(
        bits=16,
        gain=5.0,
        sigma_read=18.0,
        tukey_lambda=0.05,
        sigma_row=3.0,
        sigma_column=2.0,
        sigma_fixed=6.0,
        step=4,
        black=(2048, 2049, 2046, 2050),
        pattern="BGGR",
    ),
}


def check(camera, setting):
    """Checks all estimates of a camera against its truth, within 4.5 standard errors."""
    for sites, truth, largest in (
        (setting.gain, (camera.gain,) * 4, 0.02),
        (setting.read_noise, (camera.sigma_read**2,) * 4, 0.06),
        (setting.row_noise, (camera.sigma_row**2,) * 4, 0.4),
        (setting.column_noise, (camera.sigma_column**2,) * 4, 0.8),
        (setting.fixed_pattern, (camera.sigma_fixed**2,) * 4, 0.4),
    ):
        for one, true in zip(sites, truth, strict=True):
            assert one.value == pytest.approx(true, abs=4.5 * one.error)
            assert one.error < largest * true
    for one, true in zip(setting.black, camera.black, strict=True):
        assert one.value == pytest.approx(true, abs=4.5 * one.error)
        assert one.error < 0.05 * max(camera.sigma_read, 1)
    if camera.tukey_lambda is not None:
        assert setting.tukey_lambda.value == pytest.approx(camera.tukey_lambda, abs=4.5 * setting.tukey_lambda.error)
        assert setting.tukey_lambda.error < 0.02
    assert setting.quantization_step == Estimate(camera.step, 0.0)


@pytest.mark.parametrize("name", CAMERAS)
def test_a_camera_of_known_noise_is_measured(name) -> None:
    camera = CAMERAS[name]
    frames = [*camera.darks(8), *camera.flats(LEVELS, 2, flicker=0.01, banded=True)]
    told = []
    setting = calibrate_setting(frames, told.append)
    check(camera, setting)
    assert setting.black_clipped is (min(camera.black) < 1)
    assert setting.counts == {"flat": 10, "dark": 8, "burst": 0}
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_a_camera_of_eld_is_measured() -> None:
    # The file has no column noise and no fixed pattern.
    camera = replace(
        eld_cameras(shared("data/noise/eld_cameras.json"))["SonyA7S2 high"], sigma_column=1.0, sigma_fixed=3.0
    )
    check(camera, calibrate_setting([*camera.darks(8), *camera.flats(LEVELS, 2, flicker=0.01)]))


def test_eld_s_deviations_are_powers_of_the_gain(tmp_path) -> None:
    line = {"slope": 0.5, "bias": 0.2, "sigma": 0.1}
    camera = {
        "Kmin": 1.0,
        "Kmax": 4.0,
        "tukey_shapes": [0.1],
        "sigma_TL": line,
        "sigma_R": line,
        "color_bias": [[0] * 4],
    }
    (tmp_path / "eld.json").write_text(json.dumps({"cameras": {"One": camera}}))
    assert eld_cameras(tmp_path / "eld.json")["One high"].sigma_row == pytest.approx(math.exp(0.2) * 2)


def test_frames_that_saturate_tell_the_level_and_do_not_bias_the_gain() -> None:
    camera = replace(SMALL, bits=12, black=(128.0,) * 4, gain=1.0)
    saturated = camera.frame(camera.expose(1e5), "flat", "white")
    setting = calibrate_setting([*camera.darks(2), *camera.flats([0.1, 0.5, 0.95, 1.1], 2), saturated])
    assert setting.saturation == (Estimate(4095.0, 0.0),) * 4
    for gain in setting.gain:
        assert gain.value == pytest.approx(1.0, abs=4.5 * gain.error)


def test_bursts_of_a_scene_are_as_good_as_flat_frames() -> None:
    texture = np.random.default_rng(3).uniform(0.5, 1.0, (128, 128))
    scene = texture * np.linspace(0.02, 0.8, 128) * SMALL.white
    burst = [SMALL.frame(SMALL.expose(scene * lamp), "burst", "scene") for lamp in (1.0, 1.01, 0.99, 1.0)]
    setting = calibrate_setting(burst)
    for gain in setting.gain:
        assert gain.value == pytest.approx(SMALL.gain, abs=4.5 * gain.error)
        assert gain.error < 0.1 * SMALL.gain


def test_without_dark_frames_the_light_tells_read_noise_and_the_rest_has_a_reason() -> None:
    setting = calibrate_setting(SMALL.flats([0.002, 0.01, 0.05, 0.3], 4))
    for read in setting.read_noise:
        assert read.value == pytest.approx(25 + 0.09, abs=4.5 * read.error)  # with column noise
        assert 0.1 < read.error < 5
    assert setting.tukey_lambda is None
    assert "dark frames" in setting.reasons["tukey_lambda"]
    assert "no frame saturates" in setting.reasons["saturation"]
    assert "read_noise" not in setting.reasons


def test_without_light_the_gain_has_a_reason() -> None:
    setting = calibrate_setting(SMALL.darks(2))
    assert setting.gain is None
    assert "flat frames" in setting.reasons["gain"]
    assert setting.read_noise is not None


def test_single_frames_tell_no_noise() -> None:
    frames = [*SMALL.darks(1), *SMALL.flats([0.1, 0.5], 1)]
    setting = calibrate_setting(frames)
    assert setting.read_noise is None
    assert setting.gain is None
    assert setting.quantization_step == Estimate(1.0, 0.0)


def test_noise_that_rounding_hides_has_a_reason() -> None:
    still = replace(SMALL, sigma_read=0.01, sigma_row=0, sigma_column=0, sigma_fixed=0, black=(512.0,) * 4)
    setting = calibrate_setting([*still.darks(2), *still.flats([0.1, 0.5], 2)])
    assert setting.tukey_lambda is None
    assert "fewer than three" in setting.reasons["row_noise"]
    assert setting.gain[0].value == pytest.approx(2.0, abs=4.5 * setting.gain[0].error)


def test_no_frames_are_no_setting() -> None:
    with pytest.raises(ValueError, match="no frames"):
        calibrate_setting([])
