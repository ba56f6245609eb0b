"""The cycle sRGB -> RAW -> sRGB: RGB2RAW and colour-guided RAW2RGB (CycleISP, Sec. 3 and 3.4)."""

from torch import Tensor, nn

from cycleisp.networks.raw2rgb import ColorCorrection, Raw2Rgb
from cycleisp.networks.rgb2raw import Rgb2Raw


class GuidedRaw2Rgb(nn.Module):
    """RAW2RGB with the colour branch that tells it which colours to produce."""

    def __init__(self, raw2rgb: Raw2Rgb, color_correction: ColorCorrection) -> None:
        super().__init__()
        self.raw2rgb = raw2rgb
        self.color_correction = color_correction

    def forward(self, packed_raw: Tensor, reference: Tensor) -> Tensor:
        """Renders packed RAW in the colours of a reference photo.

        Args:
            packed_raw: (B, 4, H/2, W/2), linear.
            reference: (B, 3, H, W) sRGB in [0, 1].

        Returns:
            sRGB (B, 3, H, W), not clipped.
        """
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
        """Turns a photo into RAW and back, without noise and without clipping.

        Args:
            srgb: (B, 3, H, W) in [0, 1].
            true_raw: (B, 4, H/2, W/2), the photo's own packed RAW, to be rendered, too.
            reference: (B, 3, H, W) in [0, 1], the photo whose colours to produce; None takes
                `srgb`.

        Returns:
            Packed RAW (B, 4, H/2, W/2) and the photo made from it (B, 3, H, W); with `true_raw`
            also its rendering (B, 3, H, W).
        """
        packed_raw = self.rgb2raw(srgb)
        color_map = self.guided_raw2rgb.color_correction(srgb if reference is None else reference)
        render = self.guided_raw2rgb.raw2rgb
        cycled = render(packed_raw, color_map)
        return (packed_raw, cycled) if true_raw is None else (packed_raw, cycled, render(true_raw, color_map))
