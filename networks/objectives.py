"""What each ISP network learns: its outputs for a batch, and the loss of paper Sec. 3.

An objective's `outputs` bear the names of the batch keys that they should equal, so the same call serves training,
validation and pictures. Batch keys: `srgb` (B, 3, H, W), `raw` (B, 4, H/2, W/2), both in [0, 1].
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from utils.losses import raw_log_l1_loss

Batch = Mapping[str, Tensor]
Outputs = dict[str, Tensor]


@dataclass(frozen=True)
class Rgb2RawObjective:
    """RGB2RAW alone: L1 and L1 of logarithms on RAW."""

    log_epsilon: float

    def outputs(self, network: nn.Module, batch: Batch) -> Outputs:
        return {"raw": network(batch["srgb"])}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        return raw_log_l1_loss(outputs["raw"], batch["raw"], self.log_epsilon)


@dataclass(frozen=True)
class Raw2RgbObjective:
    """RAW2RGB and its colour branch: L1 on sRGB; the colour branch sees the clean photo."""

    def outputs(self, network: nn.Module, batch: Batch) -> Outputs:
        return {"srgb": network(batch["raw"], batch["srgb"])}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        return F.l1_loss(outputs["srgb"], batch["srgb"])


@dataclass(frozen=True)
class JointObjective:
    """Both branches: RAW2RGB renders what RGB2RAW made, so that the sRGB loss reaches RGB2RAW too.

    beta * (loss of RGB2RAW) + (1 - beta) * (loss of RAW2RGB). Noise injection is off.
    """

    log_epsilon: float
    beta: float

    def outputs(self, network: nn.Module, batch: Batch) -> Outputs:
        raw, srgb = network(batch["srgb"])
        return {"raw": raw, "srgb": srgb}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        raw_loss = raw_log_l1_loss(outputs["raw"], batch["raw"], self.log_epsilon)
        return self.beta * raw_loss + (1 - self.beta) * F.l1_loss(outputs["srgb"], batch["srgb"])
