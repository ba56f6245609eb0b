"""The moving average of a network's weights, which is often better than the weights themselves."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class MovingAverage(AveragedModel):
    """A network with the exponential moving average of another one's weights, in `module`.

    The first update copies the weights w. Each later one computes
    average <- decay * average + (1 - decay) * w.

    Args:
        network: the network to follow. It is copied.
        decay: between 0 and 1.
        device: where the average is kept and updated.
    """

    def __init__(self, network: nn.Module, decay: float, device: torch.device) -> None:
        update = get_ema_multi_avg_fn(decay)
        super().__init__(network, multi_avg_fn=update)
        self._update = update
        self.to(device)
        self.n_averaged = self.n_averaged.cpu()  # read at every step, which must not wait for a GPU

    def update_parameters(self, model: nn.Module) -> None:
        """Follows the network by one step. The base class would wait for the GPU each time."""
        if self.n_averaged == 0:
            super().update_parameters(model)
            return
        self._update(list(self.module.parameters()), list(model.parameters()), self.n_averaged)
        self.n_averaged += 1
