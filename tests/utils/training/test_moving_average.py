"""The moving average follows a network as its formula says, and as PyTorch's does, bit for bit."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cycleisp.utils.training.moving_average import MovingAverage

DECAY = 0.9


def weights(network: nn.Module) -> list[float]:
    return [float(parameter.detach()) for parameter in network.parameters()]


def one_weight(value: float) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def test_hand_values() -> None:
    network = one_weight(5.0)
    average = MovingAverage(network, DECAY, torch.device("cpu"))
    for value, expected in ((1.0, 1.0), (2.0, 1.1), (0.0, 0.99)):
        nn.init.constant_(network.weight, value)
        average.update_parameters(network)
        assert weights(average) == pytest.approx([expected])
        assert weights(network) == [value]
    assert average.n_averaged == 3


def test_is_pytorchs_average_bit_for_bit() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.PReLU(8), nn.Conv2d(8, 3, 3))
    ours = MovingAverage(network, DECAY, torch.device("cpu"))
    theirs = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(DECAY))
    for _ in range(4):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        ours.update_parameters(network)
        theirs.update_parameters(network)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())
