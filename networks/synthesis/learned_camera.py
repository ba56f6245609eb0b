"""The camera that CycleISP has learned: from photos to clean RAW, and from RAW to an sRGB pair."""

import logging
import math

import torch
from torch import Tensor

from cycleisp.networks.cycleisp import CycleISP
from cycleisp.utils.config.values import CleanTarget
from cycleisp.utils.devices import computing
from cycleisp.utils.padding import pad_to_multiple

log = logging.getLogger(__name__)
_LOOKED_AT = 4  # the first calls, in which the errors of the cycle are compared with the noise


class LearnedCamera:
    """A trained CycleISP as a camera.

    Gradients reach the networks and the photos unless the caller switches autograd off.

    Args:
        isp: trained networks, on the device to compute on.
        clean_target: the sRGB target, one of
            - `residual`: the photo as target, and as noisy image the photo plus RAW2RGB(noisy) -
              RAW2RGB(clean). The pair differs by noise alone, and the target is a true photo.
            - `cycle`: RAW2RGB of the clean RAW. The pair differs by noise alone, and the target has
            the networks' look.
            - `input`: the photo that went in (the paper). Noisy and clean image then also differ by
            the errors of the cycle. A warning tells, once, if these are larger than the noise.
        precision: of the networks: float32, tf32, bf16 or fp16.
    """

    def __init__(self, isp: CycleISP, clean_target: CleanTarget = "residual", precision: str = "float32") -> None:
        self.isp, self.clean_target, self.precision = isp, clean_target, precision
        self.device = next(isp.parameters()).device
        self._to_look_at = _LOOKED_AT if clean_target == "input" else 0

    def expose(self, photos: Tensor) -> Tensor:
        """Converts photos to clean RAW.

        Args:
            photos: (B, 3, H, W) in [0, 1], any size.

        Returns:
            (B, 4, ceil(H/2), ceil(W/2)) packed RGGB in [0, 1].
        """
        with computing(self.precision, self.device):
            raw = self.isp.rgb2raw(pad_to_multiple(photos, 2))
        return raw.float().clamp(0, 1)

    def develop(self, photos: Tensor, clean_raw: Tensor, noisy_raw: Tensor) -> tuple[Tensor, Tensor]:
        """Renders clean and noisy RAW as an sRGB pair.

        Args:
            photos: (B, 3, H, W) that `expose` was given.
            clean_raw: (B, 4, ceil(H/2), ceil(W/2)) the photos' RAW.
            noisy_raw: the same with noise.

        Returns:
            Clean and noisy sRGB, each (B, 3, H, W) in [0, 1].
        """
        height, width = photos.shape[2:]
        render = self.isp.guided_raw2rgb.raw2rgb
        with computing(self.precision, self.device):
            color_map = self.isp.guided_raw2rgb.color_correction(pad_to_multiple(photos, 2))
            noisy = render(noisy_raw, color_map).float()[..., :height, :width]
            if self.clean_target == "input":
                if self._to_look_at:
                    with torch.no_grad():
                        self._compare(photos, render(clean_raw, color_map).float()[..., :height, :width], noisy)
                return photos, noisy.clamp(0, 1)
            cycle = render(clean_raw, color_map).float()[..., :height, :width]
            del color_map  # of a large photo it takes more memory than the pair
        if self.clean_target == "cycle":
            return cycle.clamp(0, 1), noisy.clamp(0, 1)
        return photos, (photos + noisy).sub_(cycle).clamp_(0, 1)

    def _compare(self, photos: Tensor, cycle: Tensor, noisy: Tensor) -> None:
        """Warns, once, if the cycle changes a photo more than the noise does."""
        self._to_look_at -= 1
        errors, noise, both = (
            float((one.clamp(0, 1) - other.clamp(0, 1)).square().mean())
            for one, other in ((photos, cycle), (cycle, noisy), (photos, noisy))
        )
        if errors > noise > 0:
            self._to_look_at = 0
            log.warning(
                "clean_target input: the networks' own errors exceed the noise. Noisy and clean image have a PSNR of "
                "%.1f dB, noise alone would be %.1f dB; clean_target residual or cycle gives pairs of noise alone",
                -10 * math.log10(both),
                -10 * math.log10(noise),
            )
