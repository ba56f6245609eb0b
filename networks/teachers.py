"""Teachers: trained denoisers whose mean result another, smaller denoiser learns (distillation).

A clean image holds what no denoiser can know, since noise has destroyed it. What larger networks
make of the same noisy image holds only what can be known, so that it teaches a small network more
in each step (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015). The mean of
several networks is often better than the best of them, and so is the mean of what one network makes
of an image that is mirrored and turned.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from cycleisp.networks.acceleration import to_device
from cycleisp.networks.denoiser import Denoiser
from cycleisp.networks.objectives import denoiser_inputs
from cycleisp.networks.pretrained import load_denoiser
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from cycleisp.utils.training.objective import Batch

WAYS = 8  # to mirror and turn a square


class Teachers:
    """Denoises batches by several networks, and returns the mean of their results.

    Args:
        networks: at least one, of one space, in evaluation mode, on the device of the batches.
        turned: whether the networks see images mirrored and turned: each image in one of the eight
            ways, as by lot, and the next network in the next way. Over many images the mean over
            all ways is learned, at no cost. For sRGB only: packed RAW that is mirrored has another
            Bayer pattern.
    """

    def __init__(self, networks: Sequence[Denoiser], turned: bool = False) -> None:
        self.networks, self.turned = tuple(networks), turned

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tensor:
        """Returns the mean of the denoised images.

        Args:
            batch: `noisy` (B, C, H, W) in [0, 1], and for RAW its `variance` of the same shape.

        Returns:
            (B, C, H, W) in [0, 1]; no gradient passes through it.

        Raises:
            ValueError: images to turn that are not square sRGB.
        """
        noisy = batch["noisy"]
        if self.turned and (noisy.shape[1] != 3 or noisy.shape[2] != noisy.shape[3]):
            raise ValueError(f"expected square sRGB images (B, 3, H, H) to turn, got {tuple(noisy.shape)}")
        total, ways = torch.zeros_like(noisy), ways_of(noisy) if self.turned else []
        for number, network in enumerate(self.networks):
            if self.turned:
                total += _turned(network, noisy, [way + number for way in ways])
            else:
                total += network(*denoiser_inputs(batch)).clamp(0, 1)
        return total / len(self.networks)


def ways_of(images: Tensor) -> list[int]:
    """Returns a way, 0 to 7, for each image, as good as drawn by lot.

    It follows from the image's mean, so that no random state must be kept for a run that goes on.
    """
    means = images.double().mean(dim=(1, 2, 3))
    return [int(mean * 2**30) % WAYS for mean in means.tolist()]


def _turned(network: Denoiser, noisy: Tensor, ways: Sequence[int]) -> Tensor:
    """Returns what a network makes of images that are turned, each in its way, turned back."""
    images = torch.stack([turn(image, way) for image, way in zip(noisy, ways, strict=True)])
    denoised = network(images).clamp(0, 1)
    return torch.stack([turn_back(image, way) for image, way in zip(denoised, ways, strict=True)])


def turn(image: Tensor, way: int) -> Tensor:
    """Returns an image (..., H, W) in the way `way % 8`: the second four are mirrored first."""
    return torch.rot90(image.flip(-1) if way % WAYS >= 4 else image, way % 4, dims=(-2, -1))


def turn_back(image: Tensor, way: int) -> Tensor:
    """Returns the image that `turn` has turned."""
    upright = torch.rot90(image, -(way % 4), dims=(-2, -1))
    return upright.flip(-1) if way % WAYS >= 4 else upright


def open_teachers(
    weights: Sequence[str | Path], space: Space, device: torch.device, turned: bool = False
) -> Teachers | None:
    """Loads teachers by shipped names or paths; returns None where there are none.

    Raises:
        UserError: teachers of RAW that shall see turned images.
        WeightsError, DownloadError: as `load_denoiser`.
    """
    if turned and space != "srgb":
        raise UserError("loss.teachers_turned is for sRGB: packed RAW that is mirrored has another Bayer pattern")
    networks = [to_device(load_denoiser(name, space)[0], device) for name in weights]
    return Teachers(networks, turned) if networks else None
