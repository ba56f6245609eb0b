"""What each network learns: its outputs for a batch, and the loss of paper Sec. 3 and 4.

An objective's `outputs` bear the names of the batch keys that they should equal (or `KEY_from_...`), so the same call
serves training, validation and pictures. Batch keys: `srgb` (B, 3, H, W), `raw` (B, 4, H/2, W/2), both in [0, 1]; of
denoisers `noisy` and `clean`, both (B, 3, H, W) sRGB or (B, 4, H/2, W/2) RAW, and for RAW `variance`; of colour
matching `source` and `target_view`, both (B, 3, H, W) sRGB.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from cycleisp.utils.training.losses import raw_log_l1_loss

Batch = Mapping[str, Tensor]
Outputs = dict[str, Tensor]
_LEAST_DEVIATION = 1e-4  # below that of any camera's noise; images without noise must not divide by 0


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

    Attributes:
        log_epsilon: darkest RAW value that the log loss tells apart.
        beta: weight of the RGB2RAW loss.
        true_raw_share: part of the RAW2RGB loss that is taken on true RAW, so that RAW2RGB goes on rendering cameras
            whose white balance RGB2RAW would not guess (ours; the paper has 0).
    """

    log_epsilon: float
    beta: float
    true_raw_share: float = 0.0

    def outputs(self, network: nn.Module, batch: Batch) -> Outputs:
        if self.true_raw_share == 0:
            raw, srgb = network(batch["srgb"])
            return {"raw": raw, "srgb": srgb}
        raw, srgb, rendered = network(batch["srgb"], batch["raw"])
        return {"raw": raw, "srgb": srgb, "srgb_from_true_raw": rendered}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        raw_loss = raw_log_l1_loss(outputs["raw"], batch["raw"], self.log_epsilon)
        srgb_loss = F.l1_loss(outputs["srgb"], batch["srgb"])
        if self.true_raw_share > 0:
            true_loss = F.l1_loss(outputs["srgb_from_true_raw"], batch["srgb"])
            srgb_loss = (1 - self.true_raw_share) * srgb_loss + self.true_raw_share * true_loss
        return self.beta * raw_loss + (1 - self.beta) * srgb_loss


@dataclass(frozen=True)
class ColorMatchingObjective:
    """Both branches on two views: the source through RAW, in the colours of the target view (paper, abstract).

    beta * (loss of RGB2RAW) + (1 - beta) * (loss of RAW2RGB), as in joint training; RAW is one for all renderings.

    Attributes:
        log_epsilon: darkest RAW value that the log loss tells apart.
        beta: weight of the RGB2RAW loss.
    """

    log_epsilon: float
    beta: float

    def outputs(self, network: nn.Module, batch: Batch) -> Outputs:
        raw, srgb = network(batch["source"], reference=batch["target_view"])
        return {"raw": raw, "srgb": srgb}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        raw_loss = raw_log_l1_loss(outputs["raw"], batch["raw"], self.log_epsilon)
        return self.beta * raw_loss + (1 - self.beta) * F.l1_loss(outputs["srgb"], batch["srgb"])


@dataclass(frozen=True)
class DenoiserObjective:
    """A denoiser: L1 to the clean image. With RAW comes the noise variance at every pixel.

    Attributes:
        relative: RAW only; divide the L1 of each image by the deviation of its noise, so that a clean picture counts as
            much as a noisy one (ours; the paper does not).
    """

    relative: bool = False

    def outputs(self, network: nn.Module, batch: Batch) -> Outputs:
        inputs = [batch["noisy"]] + ([batch["variance"]] if "variance" in batch else [])
        return {"clean": network(*inputs)}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        if not self.relative:
            return F.l1_loss(outputs["clean"], batch["clean"])
        deviations = batch["variance"].mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp(min=_LEAST_DEVIATION)
        return ((outputs["clean"] - batch["clean"]).abs() / deviations).mean()
