"""Batches of crops: each image as it would be alone, at any size."""

import pytest
import torch
from torch import Tensor, nn

from cycleisp.networks.denoiser import RawDenoiser, SrgbDenoiser
from cycleisp.networks.inference.batched import BatchDenoiser
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import photo_to_tensor
from cycleisp.utils.padding import pad_to_multiple
from tests.support.pictures import random_picture

SIZES = {"width": 8, "num_groups": 1, "num_blocks": 1, "reduction": 4, "unshuffle": 4}


def photos(count: int, height: int, width: int) -> Tensor:
    return torch.stack([photo_to_tensor(random_picture(height, width, seed=seed)) for seed in range(count)])


def srgb_denoiser() -> SrgbDenoiser:
    torch.manual_seed(0)
    return SrgbDenoiser(**SIZES).eval().requires_grad_(False)


@pytest.mark.parametrize("size", [(16, 16), (17, 22), (3, 5)], ids=str)
def test_any_size_and_any_batch_give_the_same(size: tuple[int, int]) -> None:
    network, noisy = srgb_denoiser(), photos(5, *size)
    denoise = BatchDenoiser(network)
    together = denoise(noisy)
    assert together.shape == noisy.shape and together.dtype == torch.float32 and together.device.type == "cpu"
    expected = network(pad_to_multiple(noisy, 4))[..., : size[0], : size[1]]
    torch.testing.assert_close(together, expected, atol=1e-5, rtol=0)
    assert (together - noisy).abs().max() > 1e-3
    for order in ([0], [3, 1], [4, 3, 2, 1, 0]):
        torch.testing.assert_close(denoise(noisy[order]), together[order], atol=1e-5, rtol=0)


def test_results_are_not_clipped_and_inputs_left_alone() -> None:
    network, noisy = srgb_denoiser(), photos(2, 16, 16)
    nn.init.constant_(network.tail.bias, 1.5)  # type: ignore[arg-type]
    before = noisy.clone()
    assert BatchDenoiser(network)(noisy).max() > 1
    assert torch.equal(noisy, before)


@pytest.mark.parametrize("stabilized", [False, True])
def test_raw_comes_with_its_variance(stabilized: bool) -> None:
    torch.manual_seed(0)
    network = RawDenoiser(**SIZES, stabilized=stabilized).eval().requires_grad_(False)
    noisy = photos(3, 10, 14)[:, [0, 1, 1, 2]]
    denoise = BatchDenoiser(network)
    denoised, other = (denoise(noisy, factor * (noisy + 0.01)) for factor in (0.01, 0.1))
    assert denoised.shape == noisy.shape
    assert (denoised - other).abs().max() > 1e-4
    alone = denoise(noisy[1:2], 0.01 * (noisy[1:2] + 0.01))
    torch.testing.assert_close(alone, denoised[1:2], atol=1e-5, rtol=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_result_that_is_no_number_is_refused(value: float) -> None:
    """Clipped to 8 bits it would be a black or a white picture that gets a score."""
    network = srgb_denoiser()
    nn.init.constant_(network.tail.bias, value)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="the network's result holds NaN or infinity"):
        BatchDenoiser(network)(photos(2, 16, 16))


def test_results_can_take_part_in_training() -> None:
    """Tensors made under inference mode would raise as soon as autograd saves them."""
    network = srgb_denoiser()
    denoised = BatchDenoiser(network)(photos(2, 16, 16))
    assert not denoised.requires_grad
    student = nn.Conv2d(3, 3, 1)
    (student(denoised) - denoised).square().mean().backward()
    assert student.weight.grad is not None
    network.requires_grad_(True)
    assert not BatchDenoiser(network)(photos(2, 16, 16)).requires_grad
