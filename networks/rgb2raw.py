"""RGB2RAW: from a display-ready photo back to the sensor (CycleISP, Sec. 3.1)."""

from torch import Tensor, nn

from cycleisp.networks.acceleration import run_trunk
from cycleisp.networks.blocks import DeepFeatures, check_image, conv3x3
from cycleisp.networks.companding import expand
from cycleisp.utils.raw import bayer


class Rgb2Raw(nn.Module):
    """The RGB2RAW branch: sRGB (B, 3, H, W) in [0, 1] -> packed RGGB RAW (B, 4, H/2, W/2).

    RAW is linear and not clipped. Sides of the photo are even. The defaults are the released
    network: 3,143,109 parameters.

    Args:
        width: channels of the deep features.
        num_groups: number of recursive residual groups.
        num_blocks: number of dual attention blocks in a group.
        reduction: bottleneck of the channel attention.
        unshuffle: 1 works at full resolution, as in the paper. 2 works at half resolution behind a
            2x2 pixel-unshuffle stem, for about a quarter of the cost at the same width (ours).
        companded: whether to predict a correction of the photo, on a display-like curve that is
            undone at the end (ours).

    Raises:
        ValueError: on call, if the photo has not three channels, or if a side is odd.
    """

    def __init__(
        self,
        width: int = 96,
        num_groups: int = 3,
        num_blocks: int = 5,
        reduction: int = 8,
        unshuffle: int = 1,
        companded: bool = False,
    ) -> None:
        super().__init__()
        self.activation = nn.PReLU(width)  # one for all blocks, as in the released weights
        self.stem = nn.PixelUnshuffle(unshuffle)
        self.head = conv3x3(3 * unshuffle**2, width)
        self.deep = DeepFeatures(width, num_groups, num_blocks, reduction, self.activation)
        self.tail = conv3x3(width, 3 * unshuffle**2)
        self.shuffle = nn.PixelShuffle(unshuffle)
        self.multiple = max(2, unshuffle)
        self.companded = companded

    def forward(self, srgb: Tensor) -> Tensor:
        return bayer.pack(bayer.mosaic(self.camera_rgb(srgb), "RGGB"))  # (B, 4, H/2, W/2)

    def camera_rgb(self, srgb: Tensor) -> Tensor:
        """Returns camera colours at every pixel, (B, 3, H, W), before Bayer sampling."""
        check_image("sRGB photo", srgb, channels=3, multiple=self.multiple)
        planes = self.stem(srgb)  # (B, 3 u^2, H/u, W/u)
        colors = self.shuffle(run_trunk(self.head, self.deep, self._finish, planes))  # (B, 3, H, W)
        return expand(srgb + colors) if self.companded else colors

    def _finish(self, deep: Tensor) -> Tensor:
        return self.tail(self.activation(deep))
