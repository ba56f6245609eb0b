"""RAW2RGB and the colour branch that guides it (CycleISP, Sec. 3.2 and 3.3)."""

from typing import Literal

from torch import Tensor, nn

from cycleisp.networks.acceleration import run_trunk
from cycleisp.networks.blocks import DeepFeatures, check_image, conv3x3
from cycleisp.networks.blur import GaussianBlur
from cycleisp.networks.companding import LinearDemosaic, compand

BLUR_SIGMA = 12.0  # pixels
BLUR_RADIUS = {
    "released": 10,  # 21 taps cut the Gaussian short: an effective sigma of 5.75
    "full": 36,  # 73 taps, three sigma: the Gaussian that the paper names
}


class ColorCorrection(nn.Module):
    """The colour branch: a blurred reference photo tells RAW2RGB which colours to produce.

    sRGB (B, 3, H, W) in [0, 1], with even sides -> colour map (B, width, H/2, W/2) in (0, 1). The
    defaults are the released network: 1,083,096 parameters.

    Args:
        width: channels of the features, as in the Raw2Rgb that it guides.
        num_groups: number of recursive residual groups.
        num_blocks: number of dual attention blocks in a group. The released weights have 2; the
            paper may have 3 (unverified).
        reduction: bottleneck of the channel attention.
        blur: `released` takes 21x21 taps, `full` an uncut Gaussian of sigma 12.
        unshuffle: 1 as in the paper. 2 replaces the convolution and max-pool at full resolution by
            a pixel-unshuffle (ours).

    Raises:
        ValueError: on call, if the photo has not three channels, or if a side is odd. At
            construction, if `blur` or `unshuffle` is unknown.
    """

    def __init__(
        self,
        width: int = 96,
        num_groups: int = 2,
        num_blocks: int = 2,
        reduction: int = 8,
        blur: Literal["released", "full"] = "released",
        unshuffle: Literal[1, 2] = 1,
    ) -> None:
        super().__init__()
        if blur not in BLUR_RADIUS:
            raise ValueError(f"blur must be one of {sorted(BLUR_RADIUS)}, got {blur!r}")
        if unshuffle not in (1, 2):
            raise ValueError(f"unshuffle must be 1 or 2 for a map of half size, got {unshuffle}")
        self.activation = nn.PReLU(width)
        self.blur = GaussianBlur(BLUR_SIGMA, BLUR_RADIUS[blur])
        self.stem = nn.PixelUnshuffle(unshuffle)
        self.head = conv3x3(3 * unshuffle**2, width)
        self.scale = 2 // unshuffle
        self.pool = nn.MaxPool2d(self.scale)
        self.deep = DeepFeatures(width, num_groups, num_blocks, reduction, self.activation)
        self.tail = conv3x3(width, width)

    def forward(self, srgb: Tensor) -> Tensor:
        check_image("reference photo", srgb, channels=3, multiple=2)
        planes = self.stem(self.blur(srgb))  # (B, 3 u^2, H/u, W/u)
        return run_trunk(self._begin, self.deep, self._finish, planes, scale=self.scale)

    def _begin(self, planes: Tensor) -> Tensor:
        return self.pool(self.head(planes))  # (B, width, H/2, W/2)

    def _finish(self, deep: Tensor) -> Tensor:
        return self.tail(self.activation(deep)).sigmoid()  # (B, width, H/2, W/2)


class Raw2Rgb(nn.Module):
    """The RAW2RGB branch: packed RGGB RAW (B, 4, H/2, W/2) and a colour map -> sRGB (B, 3, H, W).

    RAW is linear; sRGB is not clipped. The defaults are the released network with 3,225,582
    parameters, without a 1x1 convolution of 18,528 parameters that it stores and never uses.

    Args:
        width: channels of the deep features.
        num_groups: number of recursive residual groups.
        num_blocks: number of dual attention blocks in a group.
        reduction: bottleneck of the channel attention.
        companded: whether to see RAW through a display-like curve, and to correct a learned linear
            demosaicking of it (ours).

    Raises:
        ValueError: on call, if RAW has not four planes, or if the colour map does not fit it.
    """

    def __init__(
        self, width: int = 96, num_groups: int = 3, num_blocks: int = 5, reduction: int = 8, companded: bool = False
    ) -> None:
        super().__init__()
        self.activation = nn.PReLU(width)
        self.head = conv3x3(4, width)
        self.deep = DeepFeatures(width, num_groups, num_blocks, reduction, self.activation)
        self.tail = conv3x3(width, width)
        self.to_rgb = nn.Conv2d(width, 12, kernel_size=1)
        self.shuffle = nn.PixelShuffle(2)
        self.demosaic = LinearDemosaic() if companded else None

    def forward(self, packed_raw: Tensor, color_map: Tensor) -> Tensor:
        check_image("packed RAW", packed_raw, channels=4)
        expected = (packed_raw.shape[0], self.head.out_channels, *packed_raw.shape[2:])
        if tuple(color_map.shape) != expected:
            raise ValueError(f"colour map: expected {expected} to fit the RAW, got {tuple(color_map.shape)}")
        planes = packed_raw if self.demosaic is None else compand(packed_raw)
        colors = run_trunk(self.head, self.deep, self._finish, planes, aligned=[color_map])  # (B, 12, H/2, W/2)
        if self.demosaic is not None:
            colors = colors + self.demosaic(planes)
        return self.shuffle(colors)  # (B, 3, H, W)

    def _finish(self, deep: Tensor, color_map: Tensor) -> Tensor:
        corrected = self.activation(deep * color_map + deep)  # colour attention
        return self.to_rgb(self.activation(self.tail(corrected)))
