"""The variance-stabilising transform: unit variance, an inverse without bias, no transform without shot noise."""

import numpy as np
import pytest

from utils.variance_stabilization import stabilize, unstabilize

COUNT = 200_000


@pytest.mark.parametrize(("shot_noise", "read_noise"), [(1e-4, 1e-7), (0.01, 1e-4), (0.02, 2e-3)])
@pytest.mark.parametrize("signal", [0.2, 0.4, 0.6])
def test_noise_has_unit_variance_away_from_black_and_white(shot_noise: float, read_noise: float, signal: float) -> None:
    rng = np.random.default_rng(0)
    noisy = signal + np.sqrt(shot_noise * signal + read_noise) * rng.standard_normal(COUNT)
    # Of higher order is shot_noise / signal; the sample's own error is sqrt(2 / COUNT) = 0.003.
    assert stabilize(noisy, shot_noise, read_noise).var() == pytest.approx(1, abs=0.02 + shot_noise / signal)


@pytest.mark.parametrize(("shot_noise", "read_noise"), [(1e-4, 1e-7), (0.01, 1e-4), (0.02, 2e-3)])
@pytest.mark.parametrize("signal", [0.0, 0.01, 0.3, 0.8, 1.0])
def test_the_inverse_of_the_mean_is_the_clean_signal(shot_noise: float, read_noise: float, signal: float) -> None:
    rng = np.random.default_rng(1)
    deviation = np.sqrt(shot_noise * signal + read_noise)
    noisy = np.clip(signal + deviation * rng.standard_normal(COUNT), 0, 1)
    mean = stabilize(noisy, shot_noise, read_noise).mean()
    restored = unstabilize(np.array([mean]), shot_noise, read_noise)[0]
    # The mean has an error of 1 / sqrt(COUNT), which the slope turns into deviation / sqrt(COUNT); the corner at
    # black costs the quadrature some more.
    assert restored == pytest.approx(signal, abs=6 * deviation / np.sqrt(COUNT) + 0.02 * deviation)


def test_noise_without_shot_noise_needs_no_transform() -> None:
    with pytest.raises(ValueError, match="shot noise must be positive"):
        stabilize(np.zeros(3), 0.0, 1e-4)
