"""Validation: the PSNR of every output on held-out crops, and pictures of the first few."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from cycleisp.utils.metrics import psnr
from cycleisp.utils.output.preview import target_key, training_strip
from cycleisp.utils.training.objective import Batch, Objective

PICTURES = 4  # crops to draw


@dataclass(frozen=True)
class Validation:
    """The result of a validation.

    Attributes:
        quality: the mean PSNR of every output in dB, by the output's name.
        pictures: targets and predictions of the first crops, each (3, H, W) uint8.
    """

    quality: dict[str, float] = field(default_factory=dict)
    pictures: list[Tensor] = field(default_factory=list)


@torch.no_grad()
def validate(
    network: nn.Module,
    objective: Objective,
    crops: Dataset[Any],
    make_batch: Callable[[Batch], Batch],
    device: torch.device,
) -> Validation:
    """Measures a network, in evaluation mode from then on, on crops that may differ in size.

    Args:
        network: on `device`.
        objective: what the network learns.
        crops: dicts of tensors; used one at a time.
        make_batch: is applied to every crop on the device, as in training.
        device: where to compute.
    """
    network.eval()
    result, count = Validation(), len(crops)  # type: ignore[arg-type]
    for index in range(count):
        batch = make_batch({name: value[None].to(device) for name, value in crops[index].items()})
        outputs = objective.outputs(network, batch)
        for name, out in outputs.items():
            part = psnr(out.float(), batch[target_key(name)]) / count
            result.quality[name] = result.quality.get(name, 0.0) + part
        if index < PICTURES:
            result.pictures.append(training_strip(batch, outputs))
    return result
