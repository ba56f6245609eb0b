"""Mosaics of all Bayer patterns pass through a denoiser of RGGB."""

import pytest
import torch
from torch import Tensor

from cycleisp.dataloaders.denoisers import denoise_mosaics
from cycleisp.utils.raw import bayer


def colored(pattern: str) -> Tensor:
    """Returns a mosaic (1, 4, 6): red 0.1, green 0.2, blue 0.3, and a first pixel 0.5 brighter."""
    levels = {"R": 0.1, "G": 0.2, "B": 0.3}
    mosaic = torch.empty(1, 4, 6)
    for site, letter in enumerate(pattern):
        mosaic[:, site // 2 :: 2, site % 2 :: 2] = levels[letter]
    mosaic[0, 0, 0] += 0.5
    return mosaic


@pytest.mark.parametrize("levels", ["one", "each", "planes"])
def test_the_denoiser_sees_rggb_with_its_noise_and_each_mosaic_comes_back_in_its_pattern(levels: str) -> None:
    mosaics = torch.stack([colored(pattern) for pattern in bayer.PATTERNS])
    shot = {"one": torch.tensor([0.1]), "each": torch.arange(1, 5) / 10, "planes": torch.rand(4, 4)}[levels]
    seen: list[tuple[Tensor, Tensor]] = []

    def double(noisy: Tensor, variance: Tensor) -> Tensor:
        seen.append((noisy, variance))
        return 2 * noisy

    denoised = denoise_mosaics(double, mosaics, bayer.PATTERNS, shot, shot / 100)
    torch.testing.assert_close(denoised, 2 * mosaics)
    ((packed, variance),) = seen
    assert packed.shape == variance.shape == (4, 4, 2, 3)
    for plane, level in enumerate((0.1, 0.2, 0.2, 0.3)):
        torch.testing.assert_close(packed[:, plane].flatten(1).median(1).values, torch.full((4,), level))
    factors = shot.reshape(len(shot), -1, 1, 1)
    torch.testing.assert_close(variance, factors * packed + factors / 100)
