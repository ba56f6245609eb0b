"""The noise of a camera file is the one it states, or else that of its picture."""

from dataclasses import replace

import numpy as np
import pytest

from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import RawImage
from cycleisp.utils.raw.file_noise import ESTIMATED, STATED, noise_of_file
from cycleisp.utils.raw.noise_estimate import estimate_noise

SHOT, READ = 0.004, 1e-4


def noisy_file(pattern: str = "RGGB", profile: list[list[float]] | None = None) -> RawImage:
    """Returns a camera file of a smooth scene with the noise SHOT and READ."""
    clean = np.tile(np.linspace(0.02, 0.8, 256), (256, 1))
    noise = np.random.default_rng(4).standard_normal(clean.shape)
    return RawImage(
        mosaic=(clean + np.sqrt(SHOT * clean + READ) * noise).astype(np.float32),
        pattern=pattern,
        black_level=np.zeros(4),
        white_level=1023,
        white_balance=np.ones(3),
        cam2rgb=None,
        iso=None,
        noise_profile=None if profile is None else np.array(profile),
    )


@pytest.mark.parametrize(
    ("profile", "shot", "read"),
    [
        ([[0.01, 1e-4]], [0.01] * 4, [1e-4] * 4),
        ([[0.01, 1e-4], [0.02, 2e-4], [0.03, 3e-4]], [0.01, 0.02, 0.02, 0.03], [1e-4, 2e-4, 2e-4, 3e-4]),
        ([[0.01, 1e-4], [0.02, 2e-4], [0.03, 3e-4], [0.04, 4e-4]], [0.01, 0.02, 0.03, 0.04], [1e-4, 2e-4, 3e-4, 4e-4]),
    ],
    ids=["one", "a colour", "a plane"],
)
def test_a_profile_is_that_of_the_planes(profile: list[list[float]], shot: list[float], read: list[float]) -> None:
    shot_noise, read_noise, origin = noise_of_file(noisy_file(profile=profile))
    np.testing.assert_array_equal(shot_noise, np.float32(shot))
    np.testing.assert_array_equal(read_noise, np.float32(read))
    assert origin == STATED


@pytest.mark.parametrize("pattern", ["RGGB", "GBRG"])
def test_without_a_profile_the_picture_tells_the_same_for_all_planes(pattern: str) -> None:
    image = noisy_file(pattern)
    shot_noise, read_noise, origin = noise_of_file(image)
    padded, _ = bayer.pad_to_rggb(image.mosaic[None], pattern, multiple=2)
    expected = estimate_noise(bayer.pack(padded))
    np.testing.assert_array_equal(shot_noise, np.full(4, expected.shot_noise, np.float32))
    np.testing.assert_array_equal(read_noise, np.full(4, expected.read_noise, np.float32))
    assert origin == ESTIMATED
    middle = shot_noise[0] * 0.4 + read_noise[0]
    assert abs(middle / (SHOT * 0.4 + READ) - 1) < 0.1  # tests/utils/raw/test_noise_estimate.py has the exact bounds


def test_a_picture_that_cannot_tell_is_refused() -> None:
    with pytest.raises(ValueError, match="too small, too dark or too uniform"):
        noise_of_file(replace(noisy_file(), mosaic=np.full((64, 64), 0.5, np.float32)))
