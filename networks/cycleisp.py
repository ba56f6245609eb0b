"""The cycle sRGB -> RAW -> sRGB: RGB2RAW and colour-guided RAW2RGB together (CycleISP, Sec. 3 and 3.4)."""

from torch import Tensor, nn

from cycleisp.networks.raw2rgb import ColorCorrection, Raw2Rgb
from cycleisp.networks.rgb2raw import Rgb2Raw


class GuidedRaw2Rgb(nn.Module):
    """RAW2RGB with the colour branch that tells it the colours to produce."""

    def __init__(self, raw2rgb: Raw2Rgb, color_correction: ColorCorrection) -> None:
        super().__init__()
        self.raw2rgb = raw2rgb
        self.color_correction = color_correction

    def forward(self, packed_raw: Tensor, reference: Tensor) -> Tensor:
        """Render packed RAW (B, 4, H/2, W/2) in the colours of `reference`, sRGB (B, 3, H, W), [0, 1]; not clipped."""
        return self.raw2rgb(packed_raw, self.color_correction(reference))


class CycleISP(nn.Module):
    """The camera pipeline in both directions: `rgb2raw` and `guided_raw2rgb`."""

    def __init__(self, rgb2raw: Rgb2Raw, guided_raw2rgb: GuidedRaw2Rgb) -> None:
        super().__init__()
        self.rgb2raw = rgb2raw
        self.guided_raw2rgb = guided_raw2rgb

    def forward(
        self, srgb: Tensor, true_raw: Tensor | None = None, reference: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """There and back without noise, nothing clipped.

        Args:
            srgb: (B, 3, H, W) in [0, 1].
            true_raw: (B, 4, H/2, W/2) the photo's own packed RAW, to be rendered too.
            reference: (B, 3, H, W) in [0, 1], whose colours to produce; None for those of `srgb`.

        Returns:
            Packed RAW (B, 4, H/2, W/2), the photo again (B, 3, H, W), and with `true_raw` its rendering (B, 3, H, W).
        """
        packed_raw = self.rgb2raw(srgb)
        color_map = self.guided_raw2rgb.color_correction(srgb if reference is None else reference)
        render = self.guided_raw2rgb.raw2rgb
        cycled = render(packed_raw, color_map)
        return (packed_raw, cycled) if true_raw is None else (packed_raw, cycled, render(true_raw, color_map))
