"""PSNR of known errors."""

import math

import pytest
import torch

from utils.metrics import psnr


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


def test_images_of_different_shapes_are_refused() -> None:
    for shape in ((1, 3, 8, 9), (3, 8, 8), (1, 1, 8, 8)):  # the last two would broadcast
        with pytest.raises(ValueError, match="different shapes"):
            psnr(torch.zeros(shape), torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("target", [torch.tensor([0.0, 1.1]), torch.tensor([-0.1, 0.5]), torch.tensor([0, 128, 255])])
def test_a_target_that_leaves_the_data_range_is_refused(target: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"target in \[0, 1\]"):
        psnr(torch.zeros(target.shape), target)
