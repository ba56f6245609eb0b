"""What every camera that sends photos backwards to its sensor has to do."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.color.simulated_camera import SimulatedCamera

Curve = Callable[[NDArray], NDArray]


def check_round_trip(camera: SimulatedCamera, encode: Curve, decode: Curve, brightness: float = 1.0) -> None:
    """Checks that the unprocessed photo, processed by the textbook, is the photo again.

    Args:
        camera: to check.
        encode: the camera's display curve, [0, 1] -> [0, 1].
        decode: its inverse.
        brightness: gain that the camera applied to all channels.
    """
    photo = np.random.default_rng(0).uniform(0, 0.8, (64, 64, 3)).astype(np.float32)
    linear = decode(photo.astype(np.float64))
    balanced = linear @ np.linalg.inv(camera.cam2rgb).T
    kept = ((balanced >= 0) & (balanced <= 1)).all(axis=-1) & (balanced.mean(axis=-1) < 0.9)  # in gamut, no highlight
    assert kept.mean() > 0.9
    camera_rgb = camera.unprocess(photo).astype(np.float64)
    processed = camera_rgb * brightness * camera.white_balance / camera.white_balance.min() @ camera.cam2rgb.T
    np.testing.assert_allclose(encode(processed)[kept], photo[kept], atol=1e-5)


def check_range(camera: SimulatedCamera) -> None:
    """Checks that camera colours lie in [0, 1] for every photo."""
    corners = np.stack(np.meshgrid(*[[0.0, 0.5, 1.0]] * 3), axis=-1).reshape(-1, 1, 3)
    random = np.random.default_rng(0).uniform(0, 1, (64, 64, 3)).reshape(-1, 1, 3)
    camera_rgb = camera.unprocess(np.concatenate([corners, random]).astype(np.float32))
    assert camera_rgb.dtype == np.float32
    assert np.isfinite(camera_rgb).all()
    assert camera_rgb.min() >= 0
    assert camera_rgb.max() <= 1


def check_ends(camera: SimulatedCamera) -> None:
    """Checks that black stays black and white stays white."""
    camera_rgb = camera.unprocess(np.array([[[0.0] * 3, [1.0] * 3]], np.float32))
    np.testing.assert_allclose(camera_rgb[0, 0], 0, atol=1e-6)
    np.testing.assert_allclose(camera_rgb[0, 1], 1, atol=1e-5)


def check_order_of_greys(camera: SimulatedCamera) -> None:
    """Checks that brighter greys are brighter on the sensor, even in highlights."""
    ramp = np.linspace(0, 1, 500, dtype=np.float32)[None, :, None].repeat(3, axis=2)
    assert (np.diff(camera.unprocess(ramp)[0], axis=0) >= -1e-6).all()
