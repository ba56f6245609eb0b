"""PSNR and SSIM of known errors, of 8 bit and of RAW; the mean of PSNRs."""

import math

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cycleisp.utils.metrics import mean_psnr, psnr, psnr_8bit, psnr_raw, ssim_8bit, ssim_luma_8bit, ssim_raw
from tests.support.pictures import random_picture


@pytest.mark.parametrize(("error", "expected"), [(0.1, 20.0), (0.01, 40.0), (1 / 255, 48.1308), (0.5, 6.0206)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_psnr_of_a_constant_error(error: float, expected: float, sign: int) -> None:
    target = torch.full((2, 3, 8, 8), 0.5, dtype=torch.float64)
    assert psnr(target + sign * error, target) == pytest.approx(expected, abs=1e-4)


def test_psnr_of_one_wrong_pixel_in_a_hundred() -> None:
    target = torch.zeros(1, 1, 10, 10)
    predicted = target.clone()
    predicted[0, 0, 3, 4] = 1
    assert psnr(predicted, target) == pytest.approx(20)


def test_all_values_of_a_batch_share_one_mean() -> None:
    """Errors 0 and 0.1 in two images: the mean square is 0.005, not a mean of decibels."""
    target = torch.full((2, 1, 4, 4), 0.5, dtype=torch.float64)
    predicted = target.clone()
    predicted[1] += 0.1
    assert psnr(predicted, target) == pytest.approx(-10 * math.log10(0.005))


def test_equal_images_are_infinitely_close() -> None:
    image = torch.rand(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    assert psnr(image, image.clone()) == math.inf


def test_the_prediction_is_clipped_to_the_data_range() -> None:
    target = torch.tensor([0.0, 1.0])
    assert psnr(torch.tensor([-3.0, 7.0]), target) == math.inf


def test_nothing_is_rounded_to_eight_bits() -> None:
    target = torch.full((4, 4), 0.5, dtype=torch.float64)
    assert psnr(target + 1e-5, target) == pytest.approx(100)


def test_half_precision_images_are_compared_in_double_precision() -> None:
    """The square of this error is below what float16 can hold."""
    target = torch.full((8, 8), 2**-3, dtype=torch.float16)
    assert psnr(target + 2**-13, target) == pytest.approx(20 * 13 * math.log10(2))


def test_bfloat16_images_of_training_are_compared_too() -> None:
    """numpy does not have this type."""
    target = torch.full((8, 8), 0.5)
    predicted = (target + 2**-5).bfloat16().requires_grad_()
    assert psnr(predicted, target.bfloat16()) == pytest.approx(20 * 5 * math.log10(2))


@pytest.mark.parametrize("side", ["predicted", "target"])
def test_what_is_no_number_has_no_score(side: str) -> None:
    images = {"predicted": torch.full((8, 8), 0.5), "target": torch.full((8, 8), 0.5)}
    images[side][3, 4] = math.nan
    with pytest.raises(ValueError, match=r"in \[0, 1\], got nan"):
        psnr(**images)


def test_images_of_different_shapes_are_refused() -> None:
    for shape in ((1, 3, 8, 9), (3, 8, 8), (1, 1, 8, 8)):  # the last two would broadcast
        with pytest.raises(ValueError, match="different shapes"):
            psnr(torch.zeros(shape), torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("target", [torch.tensor([0.0, 1.1]), torch.tensor([-0.1, 0.5]), torch.tensor([0, 128, 255])])
def test_a_target_that_leaves_the_data_range_is_refused(target: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"target in \[0, 1\]"):
        psnr(torch.zeros(target.shape), target)


# ---------------------------------------------------------------- 8 bit, as benchmarks score


def grey(level: int, height: int = 16, width: int = 20) -> NDArray[np.uint8]:
    return np.full((height, width, 3), level, np.uint8)


@pytest.mark.parametrize(("error", "expected"), [(1, 48.1308), (5, 34.1514), (51, 13.9794), (255, 0.0)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_psnr_of_a_constant_8_bit_error(error: int, expected: float, sign: int) -> None:
    """20 log10(255 / error); differences of unsigned levels must not wrap around."""
    low, high = grey(0), grey(error)
    predicted, target = (high, low) if sign > 0 else (low, high)
    assert psnr_8bit(predicted, target) == pytest.approx(expected, abs=1e-4)


def test_8_bit_psnr_takes_one_mean_over_pixels_and_channels() -> None:
    """One channel is off by 30 and the others are equal, which is a mean square of 300."""
    target = random_picture(16, 20) // 2
    predicted = target.copy()
    predicted[..., 1] += 30
    assert psnr_8bit(predicted, target) == pytest.approx(10 * math.log10(255**2 / 300))


def test_8_bit_psnr_is_that_of_the_unit_range() -> None:
    first, second = (random_picture(16, 20, seed=seed) for seed in range(2))
    scaled = (torch.from_numpy(image).double() / 255 for image in (first, second))
    assert psnr_8bit(first, second) == pytest.approx(psnr(*scaled))


def test_identical_8_bit_images() -> None:
    image = random_picture(16, 20)
    assert psnr_8bit(image, image.copy()) == math.inf
    assert ssim_8bit(image, image.copy()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("first", "second"), [(0, 255), (100, 110), (50, 200)])
def test_ssim_of_flat_images_is_its_luminance_term(first: int, second: int) -> None:
    """Without variance (2 m n + C1) / (m^2 + n^2 + C1), C1 = (0.01 * 255)^2."""
    c1 = (0.01 * 255) ** 2
    expected = (2 * first * second + c1) / (first**2 + second**2 + c1)
    assert ssim_8bit(grey(first), grey(second)) == pytest.approx(expected, abs=1e-9)


def ssim_by_hand(first: NDArray, second: NDArray, data_range: float = 255) -> float:
    """Computes eq. 13 of Wang et al. (2004) over windows within the image (H, W, C).

    The result is the mean of the channels.
    """
    window = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window /= window.sum()

    def mean(values: NDArray) -> NDArray:
        return cv2.sepFilter2D(values, -1, window, window)[5:-5, 5:-5]

    c1, c2, scores = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2, []
    for channel in range(first.shape[2]):
        x, y = first[..., channel].astype(np.float64), second[..., channel].astype(np.float64)
        mx, my = mean(x), mean(y)
        vx, vy, covariance = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
        structure = (2 * covariance + c2) / (vx + vy + c2)
        scores.append(((2 * mx * my + c1) / (mx**2 + my**2 + c1) * structure).mean())
    return float(np.mean(scores))


def test_ssim_is_the_published_formula() -> None:
    clean = random_picture(40, 50)
    rng = np.random.default_rng(0)
    for sigma in (2, 10, 40):
        noisy = np.clip(clean + rng.normal(0, sigma, clean.shape), 0, 255).astype(np.uint8)
        assert ssim_8bit(noisy, clean) == pytest.approx(ssim_by_hand(noisy, clean), abs=1e-7)


def test_more_noise_scores_less() -> None:
    clean, rng = random_picture(40, 50), np.random.default_rng(0)
    noisy = [np.clip(clean + rng.normal(0, sigma, clean.shape), 0, 255).astype(np.uint8) for sigma in (2, 10, 40)]
    for score in (psnr_8bit, ssim_8bit, ssim_luma_8bit):
        scores = [score(image, clean) for image in noisy]
        assert scores == sorted(scores, reverse=True)
        assert score(clean, noisy[1]) == pytest.approx(scores[1])  # neither image is the better one


@pytest.mark.parametrize("score", [psnr_8bit, ssim_8bit, ssim_luma_8bit])
def test_8_bit_scores_refuse_other_types_and_shapes(score) -> None:  # type: ignore[no-untyped-def]
    image = grey(5)
    for other in (image.astype(np.float32) / 255, image.astype(np.uint16), image.astype(np.int64)):
        for pair in ((image, other), (other, image)):
            with pytest.raises(ValueError, match=f"expected 8 bit images.*{other.dtype}"):
                score(*pair)
    for shape in ((16, 21, 3), (20, 16, 3), (16, 20, 1), (1, 1, 3), (16, 20)):
        with pytest.raises(ValueError, match="different shapes"):
            score(image, np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(16, 20), (16, 20, 4), (3, 16, 20), (1, 16, 20, 3)], ids=str)
def test_ssim_is_of_colour_images(shape: tuple[int, ...]) -> None:
    """A grey image would pass as lines of `width` channels."""
    for score in (ssim_8bit, ssim_luma_8bit):
        with pytest.raises(ValueError, match=r"colour images \(H, W, 3\)"):
            score(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))


@pytest.mark.parametrize("size", [(10, 30), (30, 10), (1, 1)], ids=str)
def test_ssim_needs_its_window(size: tuple[int, int]) -> None:
    assert ssim_8bit(grey(3, 11, 11), grey(3, 11, 11)) == pytest.approx(1)
    with pytest.raises(ValueError, match="win_size"):
        ssim_8bit(grey(3, *size), grey(3, *size))


# ---------------------------------------------------------------- luma


def test_ssim_of_luma_is_that_of_the_weighted_sum() -> None:
    """The weights are those of BT.601, and values are not rounded."""
    clean, rng = random_picture(40, 50), np.random.default_rng(0)
    noisy = np.clip(clean + rng.normal(0, 15, clean.shape), 0, 255).astype(np.uint8)
    luma = [0.299 * x[..., :1] + 0.587 * x[..., 1:2] + 0.114 * x[..., 2:] for x in (noisy, clean)]
    assert ssim_luma_8bit(noisy, clean) == pytest.approx(ssim_by_hand(luma[0], luma[1]), abs=1e-7)
    assert ssim_luma_8bit(clean, clean.copy()) == pytest.approx(1, abs=1e-12)
    assert ssim_luma_8bit(noisy, clean) > ssim_8bit(noisy, clean) + 0.01  # noise of three channels averages out


def test_luma_of_grey_images_is_their_grey() -> None:
    clean, rng = random_picture(40, 50)[..., :1].repeat(3, axis=2), np.random.default_rng(0)
    noise = rng.normal(0, 15, (40, 50, 1))
    noisy = np.clip(clean + noise, 0, 255).astype(np.uint8)
    assert ssim_luma_8bit(noisy, clean) == pytest.approx(ssim_8bit(noisy, clean), abs=1e-9)


# ---------------------------------------------------------------- RAW


def mosaic(seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((40, 50)).astype(np.float32)


@pytest.mark.parametrize(("error", "expected"), [(0.1, 20.0), (0.01, 40.0), (1e-4, 80.0)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_psnr_of_a_constant_raw_error(error: float, expected: float, dtype: type) -> None:
    target: NDArray = np.full((8, 8), 0.5, dtype)
    for sign in (-1, 1):
        assert psnr_raw((target + sign * error).astype(dtype), target) == pytest.approx(expected, abs=0.02)


def test_raw_psnr_is_that_of_tensors() -> None:
    first, second = mosaic(0), mosaic(1)
    assert psnr_raw(first, second) == pytest.approx(psnr(torch.from_numpy(first), torch.from_numpy(second)))
    by_hand = -10 * math.log10(np.mean((first.astype(np.float64) - second) ** 2))
    assert psnr_raw(first, second) == pytest.approx(by_hand, rel=1e-12)
    assert psnr_raw(first, first.copy()) == math.inf


def test_raw_ssim_is_the_published_formula_on_one_plane() -> None:
    clean = np.clip(0.5 + 0.3 * np.sin(np.arange(50) / 5)[None] * np.cos(np.arange(40) / 7)[:, None], 0, 1)
    for sigma in (0.01, 0.1):
        noisy = np.clip(clean + sigma * np.random.default_rng(0).standard_normal(clean.shape), 0, 1)
        pair = noisy.astype(np.float32), clean.astype(np.float32)
        by_hand = ssim_by_hand(pair[0][..., None], pair[1][..., None], data_range=1)
        assert ssim_raw(*pair) == pytest.approx(by_hand, abs=1e-7)
        levels = [np.round(image[..., None] * 255).astype(np.uint8).repeat(3, axis=2) for image in pair]
        assert ssim_raw(*pair) == pytest.approx(ssim_8bit(*levels), abs=0.02)  # the same on the other scale
    assert ssim_raw(clean, clean.copy()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("first", "second"), [(0.0, 1.0), (0.4, 0.5)])
def test_raw_ssim_of_flat_mosaics_is_its_luminance_term(first: float, second: float) -> None:
    images = [np.full((16, 16), value) for value in (first, second)]
    expected = (2 * first * second + 1e-4) / (first**2 + second**2 + 1e-4)
    assert ssim_raw(*images) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("score", [psnr_raw, ssim_raw])
@pytest.mark.parametrize("value", [-1e-3, 1.001, math.nan, math.inf])
def test_raw_outside_the_unit_interval_is_refused(score, value: float) -> None:  # type: ignore[no-untyped-def]
    """The protocol clips. Clipping here would hide that the protocol forgot it."""
    good, bad = mosaic(), mosaic(1)
    bad[3, 4] = value
    with pytest.raises(ValueError, match=r"expected a prediction in \[0, 1\], got"):
        score(bad, good)
    with pytest.raises(ValueError, match=r"expected a target in \[0, 1\], got"):
        score(good, bad)


def test_raw_scores_refuse_other_shapes() -> None:
    for score in (psnr_raw, ssim_raw):
        with pytest.raises(ValueError, match="different shapes"):
            score(mosaic(), mosaic()[None])
    for shape in ((1, 20, 20), (20, 20, 3), (4, 20, 20)):
        with pytest.raises(ValueError, match=r"expects a mosaic \(H, W\)"):
            ssim_raw(np.zeros(shape), np.zeros(shape))
    with pytest.raises(ValueError, match="win_size"):
        ssim_raw(np.zeros((10, 20)), np.zeros((10, 20)))


# ---------------------------------------------------------------- means


def test_the_mean_of_decibels_leaves_equal_images_out_and_counts_them() -> None:
    mean = mean_psnr(value for value in (30.0, math.inf, 40.0, math.inf))
    assert (mean.mean, mean.infinite) == (35, 2)
    assert (mean_psnr([31.5]).mean, mean_psnr([31.5]).infinite) == (31.5, 0)
    for values, infinite in (([], 0), ([math.inf], 1)):
        nothing = mean_psnr(values)
        assert math.isnan(nothing.mean) and nothing.infinite == infinite


def test_a_score_that_is_no_number_is_not_passed_over() -> None:
    mean = mean_psnr([30.0, math.nan])
    assert math.isnan(mean.mean) and mean.infinite == 0
