"""The loss of the RAW networks: L1 plus L1 of logarithms."""

import math

import pytest
import torch

from cycleisp.utils.training.losses import raw_log_l1_loss

EPSILON = 1e-3


def loss_of(predicted: float, target: float) -> float:
    pair = (torch.tensor([value], dtype=torch.float64) for value in (predicted, target))
    return raw_log_l1_loss(*pair, EPSILON).item()


@pytest.mark.parametrize(
    ("predicted", "target", "expected"),
    [
        (0.5, 0.25, 0.25 + math.log(2)),
        (0.25, 0.5, 0.25 + math.log(2)),
        (0.01, 0.1, 0.09 + math.log(10)),
        (1.5, 1.0, 0.5 + math.log(1.5)),
        (0.0, EPSILON, EPSILON),  # the logarithm tells apart nothing darker than epsilon
        (0.0, EPSILON / 2, EPSILON / 2),
        (0.0, 1.0, 1 + math.log(1000)),
        (-0.2, 0.0, 0.2),
        (0.3, 0.3, 0.0),
    ],
)
def test_hand_values(predicted: float, target: float, expected: float) -> None:
    assert loss_of(predicted, target) == pytest.approx(expected, abs=1e-12)


def test_is_the_mean_over_all_values() -> None:
    predicted, target = torch.full((2, 4, 3, 3), 0.5), torch.full((2, 4, 3, 3), 0.5)
    predicted[1, 2, 0, 0] = 0.25
    assert raw_log_l1_loss(predicted, target, EPSILON).item() == pytest.approx((0.25 + math.log(2)) / 72, rel=1e-5)


def test_twice_too_bright_costs_as_much_in_the_dark_as_in_the_light() -> None:
    """Plain L1, which is next to nothing in the dark, is subtracted."""
    dark, light = loss_of(0.004, 0.002) - 0.002, loss_of(0.8, 0.4) - 0.4
    assert dark == pytest.approx(light, abs=1e-9)


@pytest.mark.parametrize(
    ("predicted", "target", "gradient"),
    [
        (0.002, 0.001, 1 + 1 / 0.002),
        (0.002, 0.004, -(1 + 1 / 0.002)),
        (0.5, 0.25, 1 + 1 / 0.5),
        (0.0005, 0.5, -1),  # below epsilon plain L1 still pulls, and 1 / p cannot explode
        (-0.1, 0.5, -1),
    ],
)
def test_gradient_grows_towards_the_dark_and_never_vanishes(predicted: float, target: float, gradient: float) -> None:
    pixel = torch.tensor([predicted], dtype=torch.float64, requires_grad=True)
    raw_log_l1_loss(pixel, torch.tensor([target], dtype=torch.float64), EPSILON).backward()
    assert pixel.grad is not None
    assert pixel.grad.item() == pytest.approx(gradient, rel=1e-9)


def test_black_and_negative_predictions_stay_finite() -> None:
    predicted = torch.linspace(-1, 1, 101).requires_grad_()
    loss = raw_log_l1_loss(predicted, torch.zeros(101), EPSILON)
    loss.backward()
    assert predicted.grad is not None
    assert loss.isfinite() and predicted.grad.isfinite().all()
