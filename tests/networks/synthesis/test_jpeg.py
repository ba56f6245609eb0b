"""JPEG as tensor code beside OpenCV's, and where the result is known by hand."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from cycleisp.networks.synthesis.finishing import _by_opencv, _on_device
from cycleisp.networks.synthesis.jpeg import compressed, quantization_tables


def photo(height: int, width: int, seed: int) -> Tensor:
    """Returns a picture as cameras make them, (1, 3, H, W) uint8: smooth, with edges and noise."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.random((6, 7, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    coarse[height // 3 : height // 2, width // 4 : width // 2] *= 0.3
    noisy = 255 * coarse + 8 * rng.standard_normal(coarse.shape)
    return torch.from_numpy(noisy.clip(0, 255).round().astype(np.uint8)).permute(2, 0, 1)[None].contiguous()


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("quality", [1, 30, 49, 50, 75, 90, 98, 100])
@pytest.mark.parametrize("size", [(96, 112), (61, 75), (49, 65), (1, 1)])
def test_the_result_is_the_librarys_but_for_few_values(size: tuple[int, int], quality: int, half: bool) -> None:
    """A coefficient close to the middle between two steps can go to the other one.

    Then a block changes by at most that step. Of 8 bit levels, 0.1 is the bound of the mean; 0.005
    to 0.04 were measured on photos, with 97 % of the values or more the same.
    """
    pixels = torch.cat([photo(*size, seed) for seed in range(8)])
    ours, library = compressed(pixels, [quality] * 8, half), _by_opencv(pixels, [(quality, half)] * 8)
    apart = (ours.int() - library.int()).abs().float()
    assert apart.mean() < 0.1
    assert (apart > 0).float().mean() < 0.1
    step = float(quantization_tables([quality]).max())
    # A step is a wave of at most a quarter of it. Blue takes 1.772 of Cb beside luma; rounding
    # adds 3.
    assert apart.max() <= 3 + (1 + 1.772) * step / 4


@pytest.mark.parametrize("half", [False, True])
def test_flat_blocks_are_the_librarys(half: bool) -> None:
    """Without details there are no ties but halves, which both round alike."""
    colors = torch.randint(0, 256, (2, 3, 4, 5), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    pixels = colors.repeat_interleave(16, -1).repeat_interleave(16, -2)
    options = [(30, half), (95, half)]
    assert torch.equal(_on_device(pixels, options)[..., 4:12, 4:12], _by_opencv(pixels, options)[..., 4:12, 4:12])


def test_a_batch_is_its_images_one_by_one() -> None:
    pixels = torch.cat([photo(40, 56, seed) for seed in range(4)])
    options = [(40, True), (80, False), (97, True), (60, False)]
    together = _on_device(pixels, options)
    for index, option in enumerate(options):
        assert torch.equal(_on_device(pixels[[index]], [option])[0], together[index])


def test_tables_are_scaled_as_quality_says() -> None:
    """Quality 50 is the standard's table, 25 twice that, 100 all ones; steps have 8 bits."""
    fifty, twenty_five, hundred, one = quantization_tables([50, 25, 100, 1])
    assert fifty[0, 0].tolist() == [16, 11, 10, 16, 24, 40, 51, 61]
    assert fifty[1, 0, 4:].tolist() == [99] * 4
    assert torch.equal(twenty_five, (2 * fifty).clamp(max=255))
    assert torch.equal(hundred, torch.ones_like(hundred))
    assert one.max() == 255


def test_a_flat_grey_keeps_what_its_step_leaves() -> None:
    """Level 100 is -28 from the middle, and its DC of 8 x -28 is -14 steps of 16."""
    grey = torch.full((1, 3, 8, 8), 100, dtype=torch.uint8)
    assert torch.equal(compressed(grey, [50], False), grey)  # -14 x 16 / 8 = -28, no loss
    assert (compressed(grey + 1, [50], True) == 100).all()  # -27 x 8 / 16 = -13.5, a half, goes to -14
