"""The sizes of the networks: the arguments of their classes in networks/, with the same defaults.

`utils.weights.kinds` says which network has which of them.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from cycleisp.utils.config.values import MOST_LEVELS, Blocks, Channels, Positive, Section


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


class GatedSizes(Section):
    """Arguments of networks.SrgbGatedDenoiser and networks.RawGatedDenoiser."""

    width: Channels = 32
    encoder: Annotated[tuple[Blocks, ...], Field(min_length=1, max_length=MOST_LEVELS)] = (2, 4, 8)
    decoder: tuple[Blocks, ...] = (2, 2)
    unshuffle: Literal[1, 2, 4] = 2

    @model_validator(mode="after")
    def _check_levels(self) -> "GatedSizes":
        if len(self.decoder) != len(self.encoder) - 1:
            raise ValueError(
                f"a decoder has one level less than its encoder, got {len(self.encoder)} and {len(self.decoder)}"
            )
        return self


def count_blocks(sizes: Rgb2RawSizes | Raw2RgbSizes | ColorCorrectionSizes | DenoiserSizes | GatedSizes) -> int:
    """Returns how many blocks a network of these sizes has."""
    if isinstance(sizes, GatedSizes):
        return sum(sizes.encoder) + sum(sizes.decoder)
    return sizes.num_groups * sizes.num_blocks


class IspSizes(Section):
    """The networks of an ISP recipe."""

    rgb2raw: Rgb2RawSizes = Rgb2RawSizes()
    raw2rgb: Raw2RgbSizes = Raw2RgbSizes()
    color_correction: ColorCorrectionSizes = ColorCorrectionSizes()


class DenoiserNetwork(Section):
    """The network of a denoiser's recipe: one of two families, the paper's where none is named."""

    denoiser: DenoiserSizes | None = None  # the paper's
    gated: GatedSizes | None = None  # U-shaped, of gated blocks
    stabilized: bool = False  # RAW, the paper's: work behind a variance-stabilising transform; the other always does

    @model_validator(mode="before")
    @classmethod
    def _choose_one(cls, stated: Any) -> Any:
        if not isinstance(stated, dict):
            return stated
        families = [key for key in ("denoiser", "gated") if stated.get(key) is not None]
        if len(families) > 1:
            raise ValueError("denoiser and gated are two families of networks; name one of them")
        return stated if families else {**stated, "denoiser": DenoiserSizes()}
