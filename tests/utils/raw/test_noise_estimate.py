"""Noise levels recovered from pictures whose noise is known.

A picture of four planes of 256x256 has 65536 diagonal differences, so that the variance in the
middle of the line has a relative standard error of sqrt(2 / 65536), times 1.6 for what is
subtracted for texture: 0.9 %. Bounds at an end, or of slope and offset apart, are wider and say so.
"""

import math

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from cycleisp.utils.raw.noise import FixedNoise, parse_noise
from cycleisp.utils.raw.noise_estimate import estimate_noise
from tests.support.pictures import random_picture

SIGMAS = 5.0
LEVELS = pytest.mark.parametrize(("shot", "read"), [(0.01, 1e-3), (0.002, 1e-5), (5e-4, 1e-6)])


def recorded(clean: Tensor, shot: float, read: float, seed: int = 0) -> Tensor:
    """Returns what a camera file holds: noisy RAW, clipped to [0, 1]."""
    white = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    return (clean + (shot * clean + read).sqrt() * white).clamp(0, 1)


def ramp(low: float, high: float, size: int = 256) -> Tensor:
    return (low + (high - low) * torch.linspace(0, 1, size)).expand(4, size, size)


def natural(seed: int, size: int = 256, low: float = 0.03) -> Tensor:
    """Returns a smooth picture with edges as packed RAW.

    Its finest texture is a few pixels wide.
    """
    picture = cv2.GaussianBlur(random_picture(size, size, np.uint16, seed).astype(np.float32) / 65535, (0, 0), 4)
    picture[size // 3 : size // 2, size // 4 : size // 2] *= 0.4
    planes = torch.from_numpy(picture).permute(2, 0, 1)[[0, 1, 1, 2]]
    return low + (0.85 - low) * planes


def ratio(estimate: FixedNoise, shot: float, read: float, signal: float) -> float:
    """Returns the estimated variance at a brightness, divided by the true one."""
    return (estimate.shot_noise * signal + estimate.read_noise) / (shot * signal + read)


def middle_error(size: int) -> float:
    """Returns the relative standard error of the variance in the middle of the line."""
    return 1.6 * math.sqrt(2 / size**2)


# ---------------------------------------------------------------- known noise


@LEVELS
@pytest.mark.parametrize("span", [(0.1, 0.6), (0.3, 0.8)], ids=str)
def test_a_gradient(shot: float, read: float, span: tuple[float, float]) -> None:
    estimate = estimate_noise(recorded(ramp(*span), shot, read))
    assert isinstance(estimate, FixedNoise)
    assert abs(ratio(estimate, shot, read, sum(span) / 2) - 1) <= SIGMAS * middle_error(256)
    for end in span:  # a line's end is twice as uncertain as its middle
        assert abs(ratio(estimate, shot, read, end) - 1) <= 2 * SIGMAS * middle_error(256)


@LEVELS
@pytest.mark.parametrize("seed", range(3))
def test_a_picture_with_edges(shot: float, read: float, seed: int) -> None:
    """Texture and edges add to the noise; they may not add more than 15 %, anywhere on the line."""
    clean = natural(seed)
    estimate = estimate_noise(recorded(clean, shot, read))
    for signal in (0.1, clean.mean().item(), 0.8):
        assert 1 - SIGMAS * middle_error(256) * 2 <= ratio(estimate, shot, read, signal) <= 1.15


def test_shot_and_read_noise_are_told_apart() -> None:
    """Both are found to 10 % on a 512x512 ramp that begins near black."""
    estimate = estimate_noise(recorded(ramp(0.02, 0.85, 512), 0.004, 2e-5))
    assert estimate.shot_noise == pytest.approx(0.004, rel=0.1)
    assert estimate.read_noise == pytest.approx(2e-5, rel=0.5)  # 0.8 % of the range's mean variance
    only_read = estimate_noise(recorded(ramp(0.2, 0.8, 512), 0.0, 4e-4))
    assert only_read.read_noise == pytest.approx(4e-4, rel=0.1) and only_read.shot_noise < 4e-5
    only_shot = estimate_noise(recorded(ramp(0.1, 0.85, 512), 0.004, 0.0))
    assert only_shot.shot_noise == pytest.approx(0.004, rel=0.1) and only_shot.read_noise < 4e-5


@pytest.mark.parametrize("signal", [0.1, 0.5, 0.8])
def test_a_flat_field_tells_the_noise_at_its_own_brightness(signal: float) -> None:
    """Its line has no length to speak of, so shot and read noise apart are left open."""
    estimate = estimate_noise(recorded(torch.full((4, 256, 256), signal), 0.004, 1e-4))
    assert abs(ratio(estimate, 0.004, 1e-4, signal) - 1) <= SIGMAS * middle_error(256)


def test_slopes_are_no_noise() -> None:
    rows, columns = torch.linspace(0, 0.4, 64)[:, None], torch.linspace(0.1, 0.4, 64)
    estimate = estimate_noise((rows + columns).expand(4, 64, 64))
    assert estimate.shot_noise < 1e-12 and estimate.read_noise < 1e-12  # float32 rounding of the ramp


@pytest.mark.parametrize("seed", range(3))
def test_texture_as_fine_as_pixels_counts_as_noise(seed: int) -> None:
    """The fabricated picture has grain, of which the docstring warns."""
    picture = torch.from_numpy(random_picture(128, 128, seed=seed)).permute(2, 0, 1)[[0, 1, 1, 2]].float() / 255
    shot, read = 1e-3, 1e-5
    assert ratio(estimate_noise(recorded(picture, shot, read)), shot, read, 0.5) > 1.2


# ---------------------------------------------------------------- clipping


@pytest.mark.parametrize("high", [0.2, 0.4, 1.0])
def test_clipped_blacks_do_not_hide_noise(high: float) -> None:
    """The sensor's range cuts the noise of black in half, so other levels must decide.

    The bound is 20 % at the ramp's middle.
    """
    estimate = estimate_noise(recorded(ramp(0.0, high, 512), 0.01, 1e-3))
    assert ratio(estimate, 0.01, 1e-3, min(high / 2, 0.4)) == pytest.approx(1, abs=0.2)


def test_a_border_of_black_and_blown_highlights_change_nothing() -> None:
    clean = ramp(0.1, 0.7, 256).clone()
    noisy = recorded(clean, 0.004, 1e-4)
    masked = noisy.clone()
    masked[:, :80], masked[:, -80:] = 0.0, 1.0
    alone, among = estimate_noise(noisy[:, 80:-80]), estimate_noise(masked)
    assert ratio(among, alone.shot_noise, alone.read_noise, 0.4) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("deviations", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("shot", [0.0, 0.01])
def test_values_below_black_tell_the_noise_of_the_dark(shot: float, deviations: float) -> None:
    """As in a night sky, the mean signal is about the deviation of the read noise.

    The bound is that of the middle of the line. The brightness of a square has noise, too, of half
    the deviation, which bends the line at its ends.
    """
    read = 4e-4
    signal = deviations * math.sqrt(read)
    clean = ramp(0.5 * signal, 1.5 * signal, 256)
    white = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    noisy = clean + (shot * clean + read).sqrt() * white
    assert (noisy < 0).double().mean() > 0.02
    assert abs(ratio(estimate_noise(noisy), shot, read, signal) - 1) <= SIGMAS * middle_error(256)


@pytest.mark.parametrize("deviations", [0.2, 1.0])
@pytest.mark.parametrize(("shot", "read"), [(0.01, 1e-3), (1e-5, 1e-8)])
def test_noise_is_told_from_the_half_of_it_that_a_camera_has_not_clipped(
    deviations: float, shot: float, read: float
) -> None:
    """A picture whose signal is about its noise, and whose values end at black.

    The clipped values have half of the variance or less; their mean says how much is cut off. What
    is left tells about half as much.
    """
    signal = deviations * math.sqrt(read)
    noisy = recorded(ramp(0.5 * signal, 1.5 * signal, 256), shot, read)
    assert (noisy == 0).double().mean() > 0.15
    assert abs(ratio(estimate_noise(noisy), shot, read, signal) - 1) <= 2 * SIGMAS * middle_error(256)


# ---------------------------------------------------------------- results and refusals


@pytest.mark.parametrize("clean", [ramp(0.0, 1.0, 64), ramp(0.3, 0.31, 64), natural(0, 64)], ids=["all", "few", "pic"])
@pytest.mark.parametrize(("shot", "read"), [(0.0, 0.0), (0.3, 0.1), (1e-5, 1e-9), (0.01, 1e-4)])
def test_a_result_is_a_noise_that_users_may_write(clean: Tensor, shot: float, read: float) -> None:
    try:
        estimate = estimate_noise(recorded(clean, shot, read))
    except ValueError as error:
        assert shot in (0.0, 0.3) and "--noise" in str(error)  # there is none, or all of it clips
        return
    parse_noise(estimate.name)  # neither negative, nor above 1, nor NaN


def test_planes_with_odd_sides_are_estimated_and_left_alone() -> None:
    noisy = recorded(ramp(0.1, 0.7, 131), 0.004, 1e-4)[:, :129]
    before = noisy.clone()
    estimate = estimate_noise(noisy)
    assert ratio(estimate, 0.004, 1e-4, 0.4) == pytest.approx(1, abs=SIGMAS * middle_error(128))
    assert torch.equal(noisy, before) and estimate == estimate_noise(noisy)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_uniform_picture_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"too uniform.*--noise shot=\.\.,read=\.\."):
        estimate_noise(torch.full((4, 128, 128), value))


@pytest.mark.parametrize("size", [(1, 1), (0, 0), (1, 400), (16, 16)], ids=str)
def test_a_picture_too_small_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="too small"):
        estimate_noise(recorded(0.5 * torch.ones(4, *size), 0.01, 1e-4))
