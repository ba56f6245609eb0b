"""What the training loop asks of an objective.

The objectives of the paper are in networks/objectives.py.
"""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor, nn

Batch = Mapping[str, Tensor]  # dataloaders/README.md lists the keys
Outputs = dict[str, Tensor]


class Objective(Protocol):
    """What a network learns: its outputs for a batch, and their loss.

    An output is named after the batch key that it should equal: `KEY` or `KEY_from_SOMETHING`. So
    the same call serves training, validation and pictures.
    """

    def outputs(self, network: nn.Module, batch: Batch) -> Outputs:
        """Returns what the network makes of a batch, by name."""
        ...

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Returns the loss of these outputs, a tensor of one value."""
        ...
