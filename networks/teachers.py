"""Teachers: trained denoisers whose mean result another, smaller denoiser learns (distillation).

A clean image holds what no denoiser can know, since noise has destroyed it. What larger networks
make of the same noisy image holds only what can be known, so that it teaches a small network more
in each step (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015). The mean of
several networks is often better than the best of them.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from cycleisp.networks.acceleration import to_device
from cycleisp.networks.denoiser import Denoiser
from cycleisp.networks.objectives import denoiser_inputs
from cycleisp.networks.pretrained import load_denoiser
from cycleisp.utils.images import Space
from cycleisp.utils.training.objective import Batch


class Teachers:
    """Denoises batches by several networks, and returns the mean of their results.

    Args:
        networks: at least one, of one space, in evaluation mode, on the device of the batches.
    """

    def __init__(self, networks: Sequence[Denoiser]) -> None:
        self.networks = tuple(networks)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tensor:
        """Returns the mean of the denoised images.

        Args:
            batch: `noisy` (B, C, H, W) in [0, 1], and for RAW its `variance` of the same shape.

        Returns:
            (B, C, H, W) in [0, 1]; no gradient passes through it.
        """
        total = torch.zeros_like(batch["noisy"])
        for network in self.networks:
            total += network(*denoiser_inputs(batch)).clamp(0, 1)
        return total / len(self.networks)


def open_teachers(weights: Sequence[str | Path], space: Space, device: torch.device) -> Teachers | None:
    """Loads teachers by shipped names or paths; returns None where there are none.

    Raises:
        WeightsError, DownloadError: as `load_denoiser`.
    """
    networks = [to_device(load_denoiser(name, space)[0], device) for name in weights]
    return Teachers(networks) if networks else None
