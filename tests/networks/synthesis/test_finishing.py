"""Noise reduction and JPEG of a simulated camera. Bounds of statistics are five standard errors."""

import math

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from cycleisp.networks.synthesis.finishing import SMOOTHING_RADIUS, jpeg, smooth_noise
from cycleisp.utils.config.values import WIDEST_BLUR
from cycleisp.utils.images import photo_to_tensor
from tests.support.pictures import random_picture

SIGMAS = 5.0
# BT.601 luma and colour differences, from the standard: Cb = (B - Y) / 1.772, Cr = (R - Y) / 1.402.
LUMA = np.array([0.299, 0.587, 0.114])


def white(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def luma_and_chroma(image: Tensor) -> Tensor:
    """Converts RGB (B, 3, H, W) to Y, Cb, Cr in double precision."""
    red, green, blue = image.double().unbind(1)
    luma = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    return torch.stack([luma, (blue - luma) / 1.772, (red - luma) / 1.402], dim=1)


def smoothed(noise: Tensor, luma: float, chroma: float) -> Tensor:
    count = noise.shape[0]
    return smooth_noise(noise, torch.full((count,), luma), torch.full((count,), chroma))


def taps(sigma: float) -> np.ndarray:
    weights = np.exp(-0.5 * (np.arange(-SMOOTHING_RADIUS, SMOOTHING_RADIUS + 1) / sigma) ** 2)
    return weights / weights.sum()


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """Returns (1, 3, H, W) float32 of 8 bit levels."""
    return photo_to_tensor(random_picture(height, width, seed=seed))[None]


# ---------------------------------------------------------------- noise reduction


def test_sigma_0_leaves_noise_as_it_is() -> None:
    noise = white(2, 3, 20, 24)
    torch.testing.assert_close(smoothed(noise, 0.0, 0.0), noise, atol=2e-6, rtol=0)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_variance_of_smoothed_noise_follows_from_the_taps(sigma: float) -> None:
    """The variance of white noise falls by the sum of the squared weights.

    In two dimensions that is (sum of squared taps)^2. Smoothed noise is correlated: N pixels hold
    about N / (4 pi sigma^2) independent ones, N times the factor below.
    """
    noise = white(1, 3, 300, 300)
    factor = (taps(sigma) ** 2).sum() ** 2
    if sigma >= 1:
        assert factor == pytest.approx(1 / (4 * math.pi * sigma**2), rel=0.02)  # of a continuous Gaussian
    before, after = luma_and_chroma(noise), luma_and_chroma(smoothed(noise, sigma, sigma))
    bound = SIGMAS * math.sqrt(2 / (before[0, 0].numel() * factor))
    for plane in range(3):
        ratio = (after[0, plane].var() / before[0, plane].var()).item()
        assert abs(ratio / factor - 1) <= bound


@pytest.mark.parametrize(("luma", "chroma"), [(0.0, 2.0), (0.9, 0.0), (0.6, 1.7)])
def test_luma_and_colour_are_each_blurred_by_their_own_sigma(luma: float, chroma: float) -> None:
    """Each plane is compared with OpenCV's Gaussian blur, reflected at the borders as ours."""
    noise = white(1, 3, 40, 50)
    before, after = luma_and_chroma(noise)[0].numpy(), luma_and_chroma(smoothed(noise, luma, chroma))[0].numpy()
    for plane, sigma in enumerate((luma, chroma, chroma)):
        expected = before[plane]
        if sigma:
            expected = cv2.sepFilter2D(expected, -1, taps(sigma), taps(sigma), borderType=cv2.BORDER_REFLECT_101)
        np.testing.assert_allclose(after[plane], expected, atol=5e-6)


def test_grey_noise_has_no_colour_and_colour_noise_no_luma() -> None:
    grey = white(1, 1, 32, 32).expand(-1, 3, -1, -1)
    torch.testing.assert_close(smoothed(grey, 0.0, 2.0), grey, atol=2e-6, rtol=0)
    out = smoothed(grey, 1.0, 0.0)
    torch.testing.assert_close(out, out[:, :1].expand(-1, 3, -1, -1), atol=2e-6, rtol=0)
    colour = white(1, 3, 32, 32)
    colour = colour - (torch.from_numpy(LUMA).float().view(3, 1, 1) * colour).sum(1, keepdim=True)
    torch.testing.assert_close(smoothed(colour, 2.0, 0.0), colour, atol=3e-6, rtol=0)


def test_a_constant_is_no_detail() -> None:
    """Weights sum to 1: an error that is the same everywhere stays."""
    constant = torch.tensor([0.2, -0.1, 0.05]).view(1, 3, 1, 1).expand(1, 3, 9, 7)
    torch.testing.assert_close(smoothed(constant, 0.9, 2.0), constant, atol=1e-6, rtol=0)


def test_colour_noise_is_weakened_at_every_size_and_luma_is_not() -> None:
    noise, none = white(2, 3, 20, 24), torch.zeros(2)
    before = luma_and_chroma(noise)
    after = luma_and_chroma(smooth_noise(noise, none, none, torch.tensor([0.3, 1.0])))
    torch.testing.assert_close(after[0, 1:], 0.3 * before[0, 1:], atol=4e-6, rtol=0)
    torch.testing.assert_close(after[:, 0], before[:, 0], atol=4e-6, rtol=0)
    torch.testing.assert_close(after[1], before[1], atol=4e-6, rtol=0)


def test_each_image_of_a_batch_has_its_own_sigmas_and_sees_no_other() -> None:
    noise, luma, chroma = white(3, 3, 24, 20), torch.tensor([0.0, 0.5, 0.9]), torch.tensor([2.0, 0.0, 1.0])
    together = smooth_noise(noise, luma, chroma)
    assert together.shape == noise.shape
    for index in range(3):
        one = slice(index, index + 1)
        torch.testing.assert_close(smooth_noise(noise[one], luma[one], chroma[one]), together[one], atol=1e-6, rtol=0)
    assert torch.equal(noise, white(3, 3, 24, 20))  # the input is left alone


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (6, 6), (7, 5)], ids=str)
def test_images_smaller_than_the_blur_keep_their_size(size: tuple[int, int]) -> None:
    out = smoothed(white(2, 3, *size), 0.9, 2.0)
    assert out.shape == (2, 3, *size) and out.isfinite().all()


def test_the_radius_holds_the_strongest_blur() -> None:
    """It is three sigma of the widest: 0.2 % of the weight is cut off."""
    far = np.exp(-0.5 * (np.arange(-60, 61) / WIDEST_BLUR) ** 2)
    near = far[60 - SMOOTHING_RADIUS : 61 + SMOOTHING_RADIUS]
    assert 1 - near.sum() / far.sum() < 0.002


# ---------------------------------------------------------------- JPEG


def test_quality_0_leaves_the_image_as_it_is_without_rounding_or_clipping() -> None:
    image = white(2, 3, 8, 8)
    assert torch.equal(jpeg(image, [0, 0], [True, False]), image)


def test_only_the_images_asked_for_are_compressed() -> None:
    images = torch.cat([picture(32, 40, seed) for seed in range(3)])
    before = images.clone()
    out = jpeg(images, [0, 20, 0], [False, False, False])
    assert torch.equal(out[[0, 2]], images[[0, 2]]) and not torch.equal(out[1], images[1])
    assert torch.equal(images, before)


def test_each_image_is_compressed_by_itself_and_always_the_same() -> None:
    images = torch.cat([picture(33, 41, seed) for seed in range(3)])
    qualities, halves = [30, 60, 95], [True, False, True]
    together = jpeg(images, qualities, halves)
    for index in range(3):
        assert torch.equal(jpeg(images[[index]], [qualities[index]], [halves[index]])[0], together[index])


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("color", [(220, 30, 40), (25, 200, 60), (30, 60, 210)], ids=str)
def test_colours_stay_in_their_channels(color: tuple[int, int, int], half: bool) -> None:
    image = (torch.tensor(color) / 255).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    out = jpeg(image, [95], [half])
    assert (out - image).abs().max() * 255 <= 4  # a flat colour loses the rounding of YCbCr and its DC step only


def test_results_are_8_bit_levels_in_the_unit_interval() -> None:
    out = jpeg(0.5 + white(1, 3, 17, 23), [50], [True])
    assert out.shape == (1, 3, 17, 23) and out.dtype == torch.float32
    assert out.min() >= 0 and out.max() <= 1
    torch.testing.assert_close((out * 255).round() / 255, out)


def test_a_lower_quality_leaves_less() -> None:
    image = picture(64, 64)
    errors = [(jpeg(image, [quality], [False]) - image).square().mean().item() for quality in (98, 80, 50, 10)]
    assert errors == sorted(errors) and errors[0] < errors[-1] / 4


def test_420_halves_the_resolution_of_colour_but_not_of_luma() -> None:
    """Stripes are one pixel wide.

    Of colour, 4:2:0 leaves nothing and 4:4:4 nearly all; of luma both leave nearly all.
    """
    stripes = torch.where(torch.arange(32) % 2 == 0, 1.0, -1.0).expand(1, 1, 32, 32)
    along_cb = torch.tensor([0.0, -0.344136, 1.772]).view(1, 3, 1, 1)  # a change of Cb alone (BT.601)
    colour, grey = 0.5 + 0.15 * along_cb * stripes, 0.5 + 0.15 * stripes.expand(1, 3, 32, 32)
    for image, plane, half, least, most in (
        (colour, 1, False, 0.9, 1.1),
        (colour, 1, True, 0.0, 0.1),
        (grey, 0, False, 0.9, 1.1),
        (grey, 0, True, 0.9, 1.1),
    ):
        before, after = (luma_and_chroma(each)[0, plane] for each in (image, jpeg(image, [98], [half])))
        kept = ((after - after.mean()) * (before - before.mean())).sum() / (before - before.mean()).square().sum()
        assert least <= kept <= most, (plane, half)


def test_one_quality_and_sampling_an_image() -> None:
    images = picture(8, 8).expand(2, -1, -1, -1)
    with pytest.raises(ValueError, match=r"shorter|longer"):
        jpeg(images, [90], [True, False])
    with pytest.raises(ValueError, match=r"shorter|longer"):
        jpeg(images, [90, 90], [True])
