"""Denoising of batches of small crops, as benchmarks cut them; tiled.py denoises whole photos."""

import torch
from torch import Tensor

from cycleisp.networks.denoiser import Denoiser
from cycleisp.utils.devices import computing
from cycleisp.utils.errors import UserError
from cycleisp.utils.padding import pad_to_multiple


class BatchDenoiser:
    """A denoiser for batches of crops; those of a batch have one size, which may be any.

    Args:
        network: on the device to compute on, in evaluation mode.
        precision: float32, tf32, bf16 or fp16.
    """

    def __init__(self, network: Denoiser, precision: str = "float32") -> None:
        self._network, self._precision = network, precision
        self._device = next(network.parameters()).device

    @torch.no_grad()
    def __call__(self, noisy: Tensor, variance: Tensor | None = None) -> Tensor:
        """Denoises a batch.

        Args:
            noisy: (B, C, H, W) in [0, 1].
            variance: of the same shape, for RAW.

        Returns:
            (B, C, H, W) float32 on the CPU, not clipped.

        Raises:
            UserError: the network gave NaN or infinity, which would be a black or a white pixel
                once clipped.
        """
        height, width = noisy.shape[2:]
        images = [noisy] if variance is None else [noisy, variance]
        padded = [pad_to_multiple(image.to(self._device), self._network.multiple) for image in images]
        with computing(self._precision, self._device):
            denoised = self._network(*padded)
        denoised = denoised[..., :height, :width].float().cpu()
        if not denoised.isfinite().all():
            raise UserError(
                "the network's result holds NaN or infinity; its weights are damaged, or made for other data"
            )
        return denoised
