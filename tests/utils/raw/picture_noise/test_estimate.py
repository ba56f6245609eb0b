"""The noise of pictures, and its standard errors, against noise that is known."""

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cycleisp.utils.raw.picture_noise.blocks import blocks_of
from cycleisp.utils.raw.picture_noise.clipping import clipped_moments, range_of
from cycleisp.utils.raw.picture_noise.estimate import PictureNoise, measure_picture, noise_of

SHOT, READ = 1e-3, 1e-5


def leaves(seed: int, size: int = 256) -> NDArray[np.float32]:
    """Returns discs of many sizes that cover each other, as packed RAW (4, size, size).

    Their statistics are those of photos (Lee, Mumford and Huang, "Occlusion models for natural
    images", 2001): sharp edges, texture at all scales, flat places.
    """
    rng = np.random.default_rng(seed)
    picture = np.zeros((2 * size, 2 * size, 3), np.float32)
    radii = 1 / np.sqrt(rng.uniform((size / 2) ** -2.0, 3.0**-2, 3000))
    for radius in radii:
        colour = tuple(float(value) for value in rng.uniform(0.02, 0.9, 3) * rng.random())
        cv2.circle(picture, tuple(map(int, rng.integers(2 * size, size=2))), int(radius), colour, -1)
    smooth = cv2.GaussianBlur(picture, (0, 0), 0.7)
    return np.stack(
        [smooth[row::2, column::2, color] for row, column, color in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2))]
    )


def noisy(
    clean: NDArray, seed: int, shot: float = SHOT, read: float = READ, row: float = 0.0, clip: bool = False
) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    mosaic = clean + np.sqrt(shot * clean + read) * rng.standard_normal(clean.shape)
    offsets = rng.standard_normal((2, clean.shape[1], 1)) * math.sqrt(row)  # of pairs of planes in one row
    mosaic += offsets[[0, 0, 1, 1]]
    return np.clip(mosaic, 0, 1).astype(np.float32) if clip else mosaic.astype(np.float32)


def told(planes: NDArray) -> PictureNoise:
    return noise_of([measure_picture(planes)])


def ramp(low: float, high: float, size: int = 192) -> NDArray:
    return np.linspace(low, high, size) * np.ones((4, size, 1))


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("shot", [1e-5, 1e-3, 1e-1])
def test_texture_like_that_of_photos_adds_little_and_the_errors_know(shot: float, clip: bool) -> None:
    """The variance at the median brightness is found to 15 %, and within 3 of its errors."""
    clean, read = leaves(0), shot**2
    estimate = told(noisy(clean, 1, shot, read, clip=clip))
    signal = float(np.median(clean))
    found, truth = estimate.variance(signal), shot * signal + read
    assert found.value == pytest.approx(truth, rel=0.15)
    assert abs(found.value - truth) <= 3 * found.error
    assert abs(estimate.shot_noise.value - shot) <= 3 * estimate.shot_noise.error


@pytest.mark.parametrize("clip", [False, True])
def test_errors_hold_the_truth_as_often_as_they_should(clip: bool) -> None:
    """Of 24 pictures of a gradient, 14 to 23 within one standard error, all within four.

    Of 24 draws with 68 %, less than 12 or none outside are seen once in 100 times; the errors may
    be a little wide.
    """
    signal, inside = 0.05, []
    for seed in range(24):
        estimate = told(noisy(ramp(0, 0.1, 128), seed, 1e-3, 1e-4, clip=clip))
        found = estimate.variance(signal)
        inside.append(abs(found.value - (1e-3 * signal + 1e-4)) / found.error)
    assert max(inside) < 4
    assert 12 <= sum(one < 1 for one in inside) <= 24


def test_row_noise_is_told_apart_from_read_noise() -> None:
    estimate = told(noisy(ramp(0.02, 0.2, 512), 0, row=4e-6))
    assert estimate.row_noise is not None
    assert abs(estimate.row_noise.value - 4e-6) <= 4 * estimate.row_noise.error
    assert estimate.row_noise.error < 1.5e-6
    assert abs(estimate.read_noise.value - READ) <= 4 * estimate.read_noise.error  # without that of rows


def test_no_row_noise_is_reported_where_there_is_none() -> None:
    estimate = told(noisy(ramp(0.02, 0.2, 256), 0))
    assert estimate.row_noise is None and estimate.row_reason


def test_hot_pixels_are_no_noise() -> None:
    planes = noisy(ramp(0.02, 0.3, 256), 0)
    rng = np.random.default_rng(1)
    planes[rng.random(planes.shape) < 5e-4] = 0.8
    found = told(planes).variance(0.15)
    assert found.value == pytest.approx(SHOT * 0.15 + READ, rel=0.05)


def test_several_pictures_tell_more_than_one() -> None:
    """A bright one and a dark one together tell both factors, each alone tells one."""
    bright, dark = (measure_picture(noisy(ramp(*ends), 3)) for ends in ((0.3, 0.7), (0.0, 0.004)))
    together, alone = noise_of([bright, dark]), noise_of([bright])
    assert together.read_noise.error < 0.2 * alone.read_noise.error
    assert together.read_noise.value == pytest.approx(READ, rel=0.1)
    assert together.shot_noise.value == pytest.approx(SHOT, rel=0.05)
    assert together.pictures == 2


def test_pictures_that_contradict_each_other_widen_the_errors() -> None:
    agreeing = noise_of([measure_picture(noisy(ramp(0.1, 0.6, 128), seed)) for seed in range(4)])
    mixed = noise_of([measure_picture(noisy(ramp(0.1, 0.6, 128), seed, SHOT * (1 + seed))) for seed in range(4)])
    assert mixed.variance(0.3).error / mixed.variance(0.3).value > 3 * (
        agreeing.variance(0.3).error / agreeing.variance(0.3).value
    )


def test_a_sensor_that_saturates_below_white_is_not_taken_for_quiet() -> None:
    clean = ramp(0.05, 1.3, 256)
    planes = np.minimum(noisy(clean, 0), 0.94 + 1e-4 * np.random.default_rng(1).standard_normal(clean.shape))
    assert told(planes.astype(np.float32)).variance(0.4).value == pytest.approx(SHOT * 0.4 + READ, rel=0.08)


def test_rounding_to_few_steps_does_not_make_noise_vanish() -> None:
    """Where all values of a block are one, its noise is that of rounding."""
    planes = np.round(ramp(0.1, 0.5, 128) * 32) / 32
    assert told(planes.astype(np.float32)).variance(0.3).value > 0


# ---------------------------------------------------------------- parts


@pytest.mark.parametrize("signal", [-0.05, 0.0, 0.03, 0.5, 0.98])
def test_moments_of_clipped_noise(signal: float) -> None:
    """Against a million draws, whose mean and variance have errors of 0.1 % and 0.2 % of sigma."""
    sigma = 0.05
    drawn = np.clip(signal + sigma * np.random.default_rng(0).standard_normal(1_000_000), 0, 1)
    mean, variance = clipped_moments(np.array([signal]), np.array([sigma]), 0.0, 1.0)
    assert mean[0] == pytest.approx(drawn.mean(), abs=5e-3 * sigma)
    assert variance[0] == pytest.approx(drawn.var(), abs=0.01 * sigma**2)


def test_the_end_of_a_range_is_told_from_the_end_of_a_tail() -> None:
    rng = np.random.default_rng(0)
    values = np.round(rng.standard_normal((64, 64)) * 10) / 1000
    assert range_of(values) == (-math.inf, 1.0)
    assert range_of(np.maximum(values, 0)) == (0.0, 1.0)
    assert range_of(np.maximum(values, -0.004)) == (-0.004, 1.0)
    dead = np.maximum(values, 0)
    dead[0, :3] = -0.05  # below a black at which all else was clipped
    assert range_of(dead)[0] == 0.0


def test_white_noise_varies_alike_at_all_scales_and_rows_and_slopes_do_not_show() -> None:
    """65536 values; the mean squares have relative standard errors of 1.1 %, 0.9 % and 1.5 %."""
    rng = np.random.default_rng(0)
    plane = rng.standard_normal((256, 256)) + rng.standard_normal((256, 1)) * 5 + np.linspace(0, 100, 256)
    blocks = blocks_of(plane, -math.inf, math.inf)
    for values in (blocks.fine, blocks.edges, blocks.coarse):
        assert values.mean() == pytest.approx(1, abs=0.08)
