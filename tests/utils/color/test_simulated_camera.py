"""Simulated cameras: the way back undoes the classical way forward."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from cycleisp.utils.color import colorimetry
from cycleisp.utils.color.simulated_camera import (
    DAYLIGHT_SPREAD,
    INVERSE_TONES,
    XYZ2CAM,
    SimulatedCamera,
    sample_camera,
    typical_camera,
)

TONES: dict[str, Callable[[NDArray], NDArray]] = {
    "libraw": colorimetry.bt709_encode,
    "srgb": colorimetry.srgb_encode,
    "smoothstep": lambda linear: colorimetry.srgb_encode(colorimetry.smoothstep(linear)),
}
MEAN_XYZ2CAM = np.mean([np.reshape(matrix, (3, 3)) for matrix in XYZ2CAM.values()], axis=0) / 1e4
CAMERAS = {
    **{f"sampled {seed}": sample_camera(np.random.default_rng(seed)) for seed in range(4)},
    **{f"typical {tone}": typical_camera(tone) for tone in TONES},
    "bright": SimulatedCamera(sample_camera(np.random.default_rng(9)).cam2rgb, np.array([0.8, 1, 2.5]), "srgb", 1.5),
}


def process(camera_rgb: NDArray, camera: SimulatedCamera) -> NDArray:
    """The classical way forward: white balance, colour matrix, display curve."""
    balanced = camera_rgb.astype(np.float64) * camera.brightness * camera.white_balance / camera.white_balance.min()
    return TONES[camera.tone](balanced @ camera.cam2rgb.T)


def test_every_tone_has_a_way_forward_here() -> None:
    assert TONES.keys() == INVERSE_TONES.keys()


@pytest.mark.parametrize("name", CAMERAS)
def test_processing_the_unprocessed_photo_gives_the_photo_back(name: str) -> None:
    camera = CAMERAS[name]
    photo = np.random.default_rng(0).uniform(0, 0.8, (64, 64, 3)).astype(np.float32)
    linear = INVERSE_TONES[camera.tone](photo.astype(np.float64))
    balanced = linear @ np.linalg.inv(camera.cam2rgb).T
    kept = ((balanced >= 0) & (balanced <= 1)).all(axis=-1) & (balanced.mean(axis=-1) < 0.9)  # in gamut, no highlight
    assert kept.mean() > 0.9
    np.testing.assert_allclose(process(camera.unprocess(photo), camera)[kept], photo[kept], atol=1e-5)


@pytest.mark.parametrize("name", CAMERAS)
def test_camera_colors_lie_in_zero_to_one_for_every_photo(name: str) -> None:
    corners = np.stack(np.meshgrid(*[[0.0, 0.5, 1.0]] * 3), axis=-1).reshape(-1, 1, 3)
    random = np.random.default_rng(0).uniform(0, 1, (64, 64, 3)).reshape(-1, 1, 3)
    camera_rgb = CAMERAS[name].unprocess(np.concatenate([corners, random]).astype(np.float32))
    assert camera_rgb.dtype == np.float32
    assert np.isfinite(camera_rgb).all()
    assert camera_rgb.min() >= 0
    assert camera_rgb.max() <= 1


@pytest.mark.parametrize("name", CAMERAS)
def test_black_stays_black_and_white_stays_white(name: str) -> None:
    camera_rgb = CAMERAS[name].unprocess(np.array([[[0.0] * 3, [1.0] * 3]], np.float32))
    np.testing.assert_allclose(camera_rgb[0, 0], 0, atol=1e-6)
    np.testing.assert_allclose(camera_rgb[0, 1], 1, atol=1e-5)


def test_brighter_greys_are_brighter_on_the_sensor_through_the_shoulder() -> None:
    ramp = np.linspace(0, 1, 500, dtype=np.float32)[None, :, None].repeat(3, axis=2)
    for camera in CAMERAS.values():
        assert (np.diff(camera.unprocess(ramp)[0], axis=0) >= -1e-6).all()


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


def test_the_typical_camera_of_brooks_has_their_mean_values() -> None:
    camera = typical_camera("smoothstep")
    np.testing.assert_array_equal(camera.white_balance, [2.15, 1.0, 1.7])
    assert camera.brightness == pytest.approx(1.25)
    np.testing.assert_allclose(camera.cam2rgb, colorimetry.cam2rgb_from_xyz2cam(MEAN_XYZ2CAM))


def test_the_typical_camera_renders_as_our_raw_files_by_default() -> None:
    camera = typical_camera()
    assert (camera.tone, camera.brightness) == ("libraw", 1.0)
    np.testing.assert_allclose(camera.white_balance, colorimetry.white_balance_gains(MEAN_XYZ2CAM, 5500.0))
    assert 1.5 < camera.white_balance[0] < 3
    assert 1 < camera.white_balance[2] < 2.5
