"""The unbiased inverse that benchmarks/raw_noise.py puts behind BM3D."""

import numpy as np
import pytest

from benchmarks.raw_noise import camera_noise, total_level, unbiased_inverse, with_parts
from cycleisp.utils.errors import UserError
from cycleisp.utils.raw.noise import FixedNoise
from cycleisp.utils.raw.variance_stabilization import destabilize, stabilize
from tests.support.noise import COUNT, LEVELS, frames


@LEVELS
@pytest.mark.parametrize("signal", [0.0, 0.01, 0.3, 0.8, 1.0])
def test_the_unbiased_inverse_of_the_mean_is_the_clean_signal(
    shot_noise: float, read_noise: float, signal: float
) -> None:
    deviation = (shot_noise * signal + read_noise) ** 0.5
    noisy = frames(signal, shot_noise, read_noise, seed=1).clamp(0, 1)
    mean = stabilize(noisy, shot_noise, read_noise).mean().item()
    restored = unbiased_inverse(np.array([mean]), shot_noise, read_noise)[0]
    # The mean has an error of 1 / sqrt(COUNT), which the slope turns into deviation / sqrt(COUNT);
    # the corner at black costs the quadrature some more.
    assert restored == pytest.approx(signal, abs=6 * deviation / np.sqrt(COUNT) + 0.02 * deviation)


def test_the_algebraic_inverse_of_the_same_mean_is_biased() -> None:
    mean = stabilize(frames(0.3, 0.02, 1e-4, seed=2), 0.02, 1e-4).mean()
    unbiased = unbiased_inverse(mean.numpy(), 0.02, 1e-4)
    assert abs(destabilize(mean, 0.02, 1e-4).item() - 0.3) > 5 * abs(unbiased - 0.3)


def test_the_unbiased_inverse_keeps_shape_and_range() -> None:
    values = np.linspace(-5, 500, 60).reshape(3, 4, 5)
    for levels in ((0.01, 1e-4), (0.01, 0.0), (0.0, 1e-4)):
        restored = unbiased_inverse(values, *levels)
        assert restored.shape == values.shape and restored.min() == 0 and restored.max() == 1
        assert (np.diff(restored.ravel()) >= 0).all()


def test_parts_keep_their_ratio_to_read_noise_and_the_level_tells_of_them() -> None:
    level = FixedNoise(0.01, 1e-3)
    camera = camera_noise("noise/sony_a7s_ii.yaml@6400")
    noise = with_parts(level, camera, hot_pixels=1e-4)
    known = camera.at(6400)
    ratio = known["row_noise"][0] / known["read_noise"][0]
    assert noise.row_noise is not None and noise.row_noise.item() == pytest.approx(1e-3 * ratio)
    assert noise.tail is not None and noise.tail.item() == pytest.approx(known["tukey_lambda"])
    assert noise.hot_pixels is not None and noise.hot_pixels.item() == pytest.approx(1e-4)
    assert total_level(noise).read_noise == pytest.approx(1e-3 * (1 + ratio))


def test_without_parts_the_level_is_that_of_the_profile() -> None:
    level = FixedNoise(0.01, 1e-3)
    noise = with_parts(level, None, hot_pixels=0)
    assert noise.row_noise is None and noise.tail is None and noise.hot_pixels is None
    assert total_level(noise).read_noise == pytest.approx(1e-3)


def test_parts_of_no_camera_are_refused() -> None:
    with pytest.raises(UserError, match="noise file"):
        camera_noise("dnd")
