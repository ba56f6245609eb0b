"""What each network learns: its outputs for a batch, and the losses of CycleISP, Sec. 3 and 4.

    RGB2RAW (Sec. 3.1)           sRGB -> RAW            L1 + L1 of logarithms, on RAW
    RAW2RGB (Sec. 3.2, 3.3)      RAW -> sRGB            L1, on sRGB
    both branches (Sec. 3.4)     sRGB -> RAW -> sRGB    beta * RGB2RAW's + (1 - beta) * RAW2RGB's
    colour matching (abstract)   view -> other colours  as both branches
    denoisers (Sec. 4)           noisy -> clean         L1, or PSNR

The paper's noise injection between the branches is off while they are trained. Where a class has
more than the paper, its docstring says so.

An objective's outputs are named after the batch keys that they should equal, or `KEY_from_...`.
Batch keys: `srgb` (B, 3, H, W) and `raw` (B, 4, H/2, W/2), both in [0, 1]; for colour matching also
`source` and `target_view`, both (B, 3, H, W) sRGB; for denoisers `noisy` and `clean`, both
(B, 3, H, W) sRGB or (B, 4, H/2, W/2) RAW, and with RAW also `variance`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cycleisp.utils.training.losses import raw_log_l1_loss
from cycleisp.utils.training.objective import Batch, Outputs

# Below the deviation of any camera's noise; images without noise must not divide by 0.
_LEAST_DEVIATION = 1e-4


@dataclass(frozen=True)
class Rgb2RawObjective:
    """RGB2RAW alone (Sec. 3.1): L1 plus L1 of logarithms on RAW.

    Attributes:
        log_epsilon: the darkest RAW value that the logarithm tells apart.
    """

    log_epsilon: float

    def outputs(self, network: nn.Module, batch: Batch) -> Outputs:
        """Returns `raw`, predicted from the photo."""
        return {"raw": network(batch["srgb"])}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Returns mean |p - t| + mean |log max(p, epsilon) - log max(t, epsilon)|."""
        return raw_log_l1_loss(outputs["raw"], batch["raw"], self.log_epsilon)


@dataclass(frozen=True)
class Raw2RgbObjective:
    """RAW2RGB and its colour branch (Sec. 3.2 and 3.3): L1 on sRGB.

    The colour branch sees the clean photo.
    """

    def outputs(self, network: nn.Module, batch: Batch) -> Outputs:
        """Returns `srgb`, rendered from true RAW."""
        return {"srgb": network(batch["raw"], batch["srgb"])}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Returns mean |p - t|."""
        return F.l1_loss(outputs["srgb"], batch["srgb"])


@dataclass(frozen=True)
class JointObjective:
    """Both branches together (Sec. 3.4).

    RAW2RGB renders the RAW that RGB2RAW predicts, so that the loss on sRGB reaches RGB2RAW, too.

    Attributes:
        log_epsilon: the darkest RAW value that the logarithm tells apart.
        beta: the weight of RGB2RAW's loss.
        true_raw_share: the part of RAW2RGB's loss that is taken on true RAW, so that RAW2RGB still
            renders cameras whose white balance RGB2RAW would not guess (ours; the paper has 0).
    """

    log_epsilon: float
    beta: float
    true_raw_share: float = 0.0

    def outputs(self, network: nn.Module, batch: Batch) -> Outputs:
        """Returns `raw`, `srgb`, and with a `true_raw_share` also `srgb_from_true_raw`."""
        if self.true_raw_share == 0:
            raw, srgb = network(batch["srgb"])
            return {"raw": raw, "srgb": srgb}
        raw, srgb, rendered = network(batch["srgb"], batch["raw"])
        return {"raw": raw, "srgb": srgb, "srgb_from_true_raw": rendered}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Returns beta * (RGB2RAW's loss) + (1 - beta) * (RAW2RGB's loss)."""
        raw_loss = raw_log_l1_loss(outputs["raw"], batch["raw"], self.log_epsilon)
        srgb_loss = F.l1_loss(outputs["srgb"], batch["srgb"])
        if self.true_raw_share > 0:
            true_loss = F.l1_loss(outputs["srgb_from_true_raw"], batch["srgb"])
            srgb_loss = (1 - self.true_raw_share) * srgb_loss + self.true_raw_share * true_loss
        return self.beta * raw_loss + (1 - self.beta) * srgb_loss


@dataclass(frozen=True)
class ColorMatchingObjective:
    """Both branches on two views: a photo through RAW, in the colours of another view (abstract).

    RAW is the same for all renderings of a scene. The loss is that of both branches together.

    Attributes:
        log_epsilon: the darkest RAW value that the logarithm tells apart.
        beta: the weight of RGB2RAW's loss.
    """

    log_epsilon: float
    beta: float

    def outputs(self, network: nn.Module, batch: Batch) -> Outputs:
        """Returns `raw` of the source, and `srgb`, the source in the colours of the target view."""
        raw, srgb = network(batch["source"], reference=batch["target_view"])
        return {"raw": raw, "srgb": srgb}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Returns beta * (RGB2RAW's loss) + (1 - beta) * (RAW2RGB's loss)."""
        raw_loss = raw_log_l1_loss(outputs["raw"], batch["raw"], self.log_epsilon)
        return self.beta * raw_loss + (1 - self.beta) * F.l1_loss(outputs["srgb"], batch["srgb"])


def denoiser_inputs(batch: Batch) -> list[Tensor]:
    """Returns what a denoiser is given of a batch: the noisy images, and of RAW their variance."""
    return [batch["noisy"]] + ([batch["variance"]] if "variance" in batch else [])


@dataclass(frozen=True)
class DenoiserObjective:
    """A denoiser (Sec. 4): L1 to the clean image, or the PSNR that it should reach.

    The denoiser of RAW also gets the noise variance of every pixel.

    Attributes:
        relative: RAW and L1 only: whether to divide each image's L1 by the standard deviation of
            its noise, so that a nearly clean image counts as much as a noisy one (ours; the paper
            does not).
        kind: "l1", or "psnr" (ours), in which an image counts the same whatever its noise is.
        ceiling: of psnr, in dB: where an image is as good as this, making it better counts half.
        teachers: return, for a batch, images (B, C, H, W) to learn beside the clean ones (ours).
        teachers_share: how far the target goes from the clean images, 0, to the teachers', 1.
    """

    relative: bool = False
    kind: Literal["l1", "psnr"] = "l1"
    ceiling: float = 60.0
    teachers: Callable[[Batch], Tensor] | None = None
    teachers_share: float = 0.0

    def outputs(self, network: nn.Module, batch: Batch) -> Outputs:
        """Returns `clean`, the denoised image."""
        return {"clean": network(*denoiser_inputs(batch))}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Returns one of three, the lower the better: of p, the denoised image, and t, the target.

        sigma^2 is an image's mean variance:

        mean |p - t|; relative: mean |p - t| / sigma; psnr: mean over images of
        10 log10(mean (p - t)^2 + 10^(-ceiling / 10)), which is -PSNR far below the ceiling.
        """
        error = outputs["clean"] - self._target(batch)
        if self.kind == "psnr":
            return 10 * (error.square().mean(dim=(1, 2, 3)) + 10 ** (-self.ceiling / 10)).log10().mean()
        if not self.relative:
            return error.abs().mean()
        deviations = batch["variance"].mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp(min=_LEAST_DEVIATION)
        return (error.abs() / deviations).mean()

    def _target(self, batch: Batch) -> Tensor:
        if self.teachers is None or self.teachers_share == 0:
            return batch["clean"]
        return torch.lerp(batch["clean"], self.teachers(batch), self.teachers_share)
