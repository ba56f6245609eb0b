"""The sizes of the networks: the arguments of their classes in networks/, with the same defaults.

`utils.weights.kinds` says which network has which of them.
"""

from typing import Literal

from cycleisp.utils.config.values import Blocks, Channels, Positive, Section


class Rgb2RawSizes(Section):
    """Arguments of networks.Rgb2Raw; the defaults are the paper's."""

    width: Channels = 96
    num_groups: Blocks = 3
    num_blocks: Blocks = 5
    reduction: Positive = 8
    unshuffle: Literal[1, 2] = 1
    companded: bool = False


class Raw2RgbSizes(Section):
    """Arguments of networks.Raw2Rgb; the defaults are the paper's."""

    width: Channels = 96
    num_groups: Blocks = 3
    num_blocks: Blocks = 5
    reduction: Positive = 8
    companded: bool = False


class ColorCorrectionSizes(Section):
    """Arguments of networks.ColorCorrection; the defaults are the released network's."""

    width: Channels = 96
    num_groups: Blocks = 2
    num_blocks: Blocks = 2
    reduction: Positive = 8
    blur: Literal["released", "full"] = "released"
    unshuffle: Literal[1, 2] = 1


class DenoiserSizes(Section):
    """Arguments of networks.RawDenoiser and networks.SrgbDenoiser; the defaults are the paper's."""

    width: Channels = 64
    num_groups: Blocks = 4
    num_blocks: Blocks = 8
    reduction: Positive = 16
    unshuffle: Literal[1, 2, 4] = 1


class IspSizes(Section):
    """The networks of an ISP recipe."""

    rgb2raw: Rgb2RawSizes = Rgb2RawSizes()
    raw2rgb: Raw2RgbSizes = Raw2RgbSizes()
    color_correction: ColorCorrectionSizes = ColorCorrectionSizes()


class DenoiserNetwork(Section):
    """The network of a denoiser's recipe."""

    denoiser: DenoiserSizes = DenoiserSizes()
    stabilized: bool = False  # RAW: work behind a variance-stabilising transform
