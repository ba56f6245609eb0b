"""The camera that CycleISP has learned: from photos to clean RAW, and from RAW to an sRGB pair."""

from torch import Tensor

from cycleisp.networks.cycleisp import CycleISP
from cycleisp.utils.config.values import CleanTarget
from cycleisp.utils.devices import computing
from cycleisp.utils.padding import pad_to_multiple


class LearnedCamera:
    """A trained CycleISP as a camera.

    Gradients reach the networks and the photos unless the caller switches autograd off.

    Args:
        isp: trained networks, on the device to compute on.
        clean_target: the sRGB target, one of
            - `input`: the photo that went in (the paper). Noisy and clean image then also differ by
            the errors of the cycle.
            - `cycle`: RAW2RGB of the clean RAW. The pair differs by noise alone, and the target has
            the networks' look.
            - `residual`: the photo as target, and as noisy image the photo plus RAW2RGB(noisy) -
              RAW2RGB(clean). The pair differs by noise alone, and the target is a true photo.
        precision: of the networks: float32, tf32, bf16 or fp16.
    """

    def __init__(self, isp: CycleISP, clean_target: CleanTarget = "input", precision: str = "float32") -> None:
        self.isp, self.clean_target, self.precision = isp, clean_target, precision
        self.device = next(isp.parameters()).device

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
                return photos, noisy.clamp(0, 1)
            cycle = render(clean_raw, color_map).float()[..., :height, :width]
        if self.clean_target == "cycle":
            return cycle.clamp(0, 1), noisy.clamp(0, 1)
        return photos, (photos + noisy - cycle).clamp(0, 1)
