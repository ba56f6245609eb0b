"""Brightness of denoised photos: that of the noisy one over large areas, where it can tell it."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from cycleisp import denoise
from cycleisp.dataloaders.photos import read_photo
from cycleisp.tasks.denoising import denoise_files
from cycleisp.utils.color import brightness
from cycleisp.utils.color.brightness import BLOCK, REACH, keep_brightness
from cycleisp.utils.color.colorimetry import srgb_decode, srgb_encode
from cycleisp.utils.errors import UserError
from tests.support.pictures import random_picture, write_png

SIZE = 160


def noisy_light(value: float, deviation: float, height: int = SIZE, width: int = SIZE) -> Tensor:
    """Returns a plain grey of this linear light with noise, in display values, clipped."""
    noise = deviation * torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    return srgb_encode((value + noise).clamp(0, 1))


def test_a_shift_of_a_plain_area_is_taken_back() -> None:
    """The mean of the light around a pixel has the noise of one of 4 pi sigma^2 pixels."""
    light, deviation = 0.2, 0.02
    clean = srgb_encode(torch.full((1, 3, SIZE, SIZE), light))
    shift = torch.tensor([0.02, -0.01, 0.005]).view(1, 3, 1, 1)
    result = keep_brightness(noisy_light(light, deviation), clean + shift)
    sigma = 2 * BLOCK
    bound = 5 * 2 * deviation / math.sqrt(4 * math.pi * sigma**2)  # twice as much in a corner, where a quarter counts
    assert (srgb_decode(result) - light).abs().max() < bound < srgb_decode(clean + shift).sub(light).abs().min()


def test_a_perfect_result_stays_as_it_is() -> None:
    photo = torch.rand(1, 3, 37, 50, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(keep_brightness(photo, photo.clone()), photo, rtol=0, atol=1e-6)


@pytest.mark.parametrize("light", [0.0, 0.01, 1.0])
def test_where_noise_clips_the_denoiser_is_believed(light: float) -> None:
    clean = srgb_encode(torch.full((1, 3, SIZE, SIZE), light))
    torch.testing.assert_close(keep_brightness(noisy_light(light, 0.05), clean.clone()), clean, rtol=0, atol=0.1 / 255)


def test_white_beside_a_shifted_area_stays_white() -> None:
    photo = noisy_light(0.3, 0.02)
    denoised = srgb_encode(torch.full_like(photo, 0.25))
    photo[..., SIZE // 2 :] = denoised[..., SIZE // 2 :] = 1
    result = keep_brightness(photo, denoised)
    assert (result[..., SIZE // 2 :] > 1 - 1e-6).all()
    assert srgb_decode(result[..., : SIZE // 4]).mean() > 0.29


def test_a_part_with_its_reach_comes_out_as_in_the_whole() -> None:
    noisy = 0.3 + 0.4 * torch.rand(1, 3, 41, 500, generator=torch.Generator().manual_seed(0))
    denoised = noisy * 0.9
    whole = keep_brightness(noisy, denoised.clone())
    first = 2 * BLOCK
    seen = slice(first, first + 2 * REACH + 20)
    part = keep_brightness(noisy[..., seen], denoised[..., seen].clone())
    torch.testing.assert_close(part[..., REACH : REACH + 20], whole[..., first + REACH :][..., :20], rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (16, 31), (100, 40)])
def test_any_size_passes_in_strips(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    denoised = 0.2 + 0.6 * noisy
    whole = keep_brightness(noisy, denoised.clone())
    monkeypatch.setattr(brightness, "_ROWS", 2 * BLOCK)
    torch.testing.assert_close(keep_brightness(noisy, denoised.clone()), whole, rtol=0, atol=1e-6)
    assert whole.shape == noisy.shape and whole.isfinite().all()


def test_files_and_arrays_are_given_the_same_and_results_say_so(tmp_path: Path) -> None:
    photo = random_picture(70, 90) // 4 + 90
    path = write_png(tmp_path / "a.png", photo)
    made = {}
    for keeps in (False, True):
        denoise_files([path], tmp_path / str(keeps), "fast_srgb", device="cpu", keep_brightness=keeps)
        made[keeps] = read_photo(tmp_path / str(keeps) / "a.png")
        np.testing.assert_array_equal(made[keeps], denoise(photo, weights="fast_srgb", keep_brightness=keeps))

    def light(picture: np.ndarray) -> np.ndarray:
        return srgb_decode(picture / 255.0).mean((0, 1))

    off, kept = (np.abs(light(made[keeps]) - light(photo)).max() for keeps in (False, True))
    assert kept < off / 2
    with pytest.raises(UserError, match="keep_brightness"):
        denoise_files([path], tmp_path / "True", "fast_srgb", device="cpu")
