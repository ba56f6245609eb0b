"""What denoisers learn: L1, and L1 in units of each image's noise."""

import math

import pytest
import torch
from torch import Tensor, nn

from cycleisp.networks.objectives import DenoiserObjective


class Halved(nn.Module):
    """Returns half of the noisy image, plus the variance if there is one."""

    def forward(self, noisy: Tensor, variance: Tensor | None = None) -> Tensor:
        return noisy / 2 + (0 if variance is None else variance)


def batch(*deviations: float, error: float = 0.1) -> dict[str, Tensor]:
    """Returns one image for each standard deviation of noise, all of them wrong by `error`."""
    clean = torch.full((len(deviations), 4, 6, 8), 0.4)
    variance = torch.tensor(deviations).square().view(-1, 1, 1, 1).expand_as(clean)
    return {"clean": clean, "noisy": clean + error, "variance": variance}


def test_outputs_are_of_the_noisy_image_and_its_variance_if_there_is_one() -> None:
    whole = batch(0.1, 0.2)
    for relative in (False, True):
        objective = DenoiserObjective(relative)
        outputs = objective.outputs(Halved(), whole)
        assert outputs.keys() == {"clean"}
        torch.testing.assert_close(outputs["clean"], whole["noisy"] / 2 + whole["variance"])
    del whole["variance"]
    torch.testing.assert_close(DenoiserObjective().outputs(Halved(), whole)["clean"], whole["noisy"] / 2)


def test_plain_is_l1_whatever_the_noise() -> None:
    for deviations in ((0.1, 0.1), (0.01, 0.5)):
        whole = batch(*deviations)
        assert DenoiserObjective().loss({"clean": whole["noisy"]}, whole).item() == pytest.approx(0.1)


def test_relative_is_l1_in_deviations_of_each_images_noise() -> None:
    """Errors of 0.1 at deviations 0.1 and 0.02 are 1 and 5 of them: 3 on average."""
    whole = batch(0.1, 0.02)
    assert DenoiserObjective(True).loss({"clean": whole["noisy"]}, whole).item() == pytest.approx(3)
    for image, expected in enumerate((1, 5)):
        one = {key: value[[image]] for key, value in whole.items()}
        assert DenoiserObjective(True).loss({"clean": one["noisy"]}, one).item() == pytest.approx(expected)


def test_an_images_deviation_is_the_root_of_its_mean_variance() -> None:
    whole = batch(1.0)
    variance = torch.rand(1, 4, 6, 8, generator=torch.Generator().manual_seed(0))
    loss = DenoiserObjective(True).loss({"clean": whole["noisy"]}, {**whole, "variance": variance})
    assert loss.item() == pytest.approx(0.1 / variance.mean().sqrt().item())


def test_a_quiet_image_counts_as_much_as_a_noisy_one() -> None:
    """Errors of half the noise's deviation make equal losses, and equal steps in that unit."""
    losses, gradients = [], []
    for deviation in (1e-3, 0.1):
        whole = batch(deviation, error=deviation / 2)
        output = whole["noisy"].requires_grad_()
        loss = DenoiserObjective(True).loss({"clean": output}, whole)
        (gradient,) = torch.autograd.grad(loss, output)
        losses.append(loss.item())
        gradients.append(gradient.abs().mean().item() * deviation)
    assert losses == pytest.approx([0.5, 0.5], rel=1e-4)
    assert gradients[0] == pytest.approx(gradients[1], rel=1e-4)


def test_images_without_noise_leave_loss_and_gradient_finite() -> None:
    whole = batch(0.0, 0.1)
    for error in (0.0, 0.1):
        output = (whole["clean"] + error).requires_grad_()
        loss = DenoiserObjective(True).loss({"clean": output}, whole)
        (gradient,) = torch.autograd.grad(loss, output)
        assert loss.isfinite() and gradient.isfinite().all()


def test_psnr_is_each_images_own():
    clean = torch.full((2, 3, 8, 8), 0.5)
    error = torch.tensor([0.1, 0.01]).view(2, 1, 1, 1)
    batch = {"noisy": clean, "clean": clean}
    loss = DenoiserObjective(kind="psnr").loss({"clean": clean + error}, batch)
    assert loss.item() == pytest.approx((-20 - 40) / 2, abs=0.03)
    assert DenoiserObjective(kind="psnr").loss({"clean": clean}, batch).item() == pytest.approx(-60)


@pytest.mark.parametrize("ceiling", [40, 60])
def test_at_the_ceiling_an_image_counts_half(ceiling: float):
    clean = torch.full((1, 3, 8, 8), 0.5)
    error = torch.tensor(10 ** (-ceiling / 20), requires_grad=True)
    DenoiserObjective(kind="psnr", ceiling=ceiling).loss({"clean": clean + error}, {"clean": clean}).backward()
    whole = 20 / math.log(10) / error.detach()  # the slope of 20 log10(error)
    assert error.grad is not None and error.grad.item() == pytest.approx(whole.item() / 2, rel=1e-3)


def test_psnr_of_equal_images_has_a_finite_gradient():
    clean = torch.full((1, 3, 8, 8), 0.5)
    output = clean.clone().requires_grad_()
    DenoiserObjective(kind="psnr").loss({"clean": output}, {"clean": clean}).backward()
    assert output.grad is not None and output.grad.eq(0).all()
