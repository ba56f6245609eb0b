"""The one table of networks: what each kind consists of, and which sizes describe it.

The builder (networks/pretrained.py), the registry, the released layout and the training scripts
all read this table. A new network needs three things: a class that `cycleisp.networks` exports, a
Section of its sizes (utils/config/sizes.py), and an entry in KINDS.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import create_model

from cycleisp.utils.config.sizes import ColorCorrectionSizes, DenoiserSizes, GatedSizes, Raw2RgbSizes, Rgb2RawSizes
from cycleisp.utils.config.values import Section
from cycleisp.utils.images import Space


@dataclass(frozen=True)
class Released:
    """What tells the released files of one kind from those of the others.

    Attributes:
        mark: an entry that only files of this kind have; "" for none.
        channels: where there is no mark, the numbers of channels into `head.0` and out of `tail.0`.
    """

    mark: str = ""
    channels: tuple[int, int] | None = None


@dataclass(frozen=True)
class Kind:
    """One kind of network: either a class with sizes of its own, or one made of other kinds.

    Attributes:
        name: the class in networks/; weight files and the registry use the same name.
        part: the key of its sizes in recipes, in the headers of weight files and in the registry;
            "" for a network made of others.
        sizes: the arguments of its class, with their ranges and defaults.
        options: further arguments of its class, whose keys stand beside `part`.
        branches: the kinds that it is made of, in the order of its class's arguments.
        denoises: the space of the images that it denoises; None for a network that is no denoiser.
        released: how the released layout shows it; None where that layout has no such network.
    """

    name: str
    part: str = ""
    sizes: type[Section] = Section
    options: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    denoises: Space | None = None
    released: Released | None = None

    @property
    def parts(self) -> dict[str, type[Section]]:
        """Returns the parts of its sizes, its branches' included: key -> the arguments."""
        parts = {self.part: self.sizes} if self.part else {}
        for branch in self.branches:
            parts |= KINDS[branch].parts
        return parts


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("Rgb2Raw", part="rgb2raw", sizes=Rgb2RawSizes, released=Released(channels=(3, 3))),
        Kind("Raw2Rgb", part="raw2rgb", sizes=Raw2RgbSizes, released=Released(mark="tail_rgb.0.weight")),
        Kind(
            "ColorCorrection",
            part="color_correction",
            sizes=ColorCorrectionSizes,
            released=Released(mark="blur.weight"),
        ),
        Kind("GuidedRaw2Rgb", branches=("Raw2Rgb", "ColorCorrection")),
        Kind("CycleISP", branches=("Rgb2Raw", "GuidedRaw2Rgb")),
        Kind(
            "RawDenoiser",
            part="denoiser",
            sizes=DenoiserSizes,
            options=("stabilized",),
            denoises="raw",
            released=Released(channels=(8, 4)),  # RAW and its variance
        ),
        Kind("SrgbDenoiser", part="denoiser", sizes=DenoiserSizes, denoises="srgb", released=Released(channels=(3, 3))),
        Kind("RawGatedDenoiser", part="gated", sizes=GatedSizes, denoises="raw"),
        Kind("SrgbGatedDenoiser", part="gated", sizes=GatedSizes, denoises="srgb"),
    )
}
PARTS: dict[str, type[Section]] = {part: sizes for kind in KINDS.values() for part, sizes in kind.parts.items()}


def _sizes_model() -> type[Section]:
    """Makes the model of a network's sizes, in which every part of PARTS may stand."""
    fields: dict[str, Any] = {part: (sizes | None, None) for part, sizes in PARTS.items()}
    return create_model("Sizes", __base__=Section, stabilized=(bool, False), **fields)


# Sizes as headers and the registry state them. Recipes of all denoisers, and so their files, have
# the key `stabilized`, though only the RAW denoiser takes it.
SIZES: type[Section] = _sizes_model()


def parts_of(sizes: Mapping[str, Any]) -> set[str]:
    """Returns the parts that `sizes` describe; a part that is None is not there."""
    return {part for part in PARTS if sizes.get(part) is not None}


def sizes_for(kind: str, network: Section) -> dict[str, Any]:
    """Returns the sizes of one kind of network from a recipe's `network` section.

    They are what `networks.pretrained.build` takes and what the header of the weight file states.
    """
    others = PARTS.keys() - KINDS[kind].parts.keys()
    return network.model_dump(mode="json", exclude=others)


def default_sizes(kind: str) -> dict[str, Any]:
    """Returns sizes of one kind of network that leave every value at its default, the paper's."""
    return {part: {} for part in KINDS[kind].parts}


def denoisers_of(space: Space) -> list[str]:
    """Returns the kinds of networks that denoise images of this space."""
    return [kind.name for kind in KINDS.values() if kind.denoises == space]


def denoiser_for(space: Space, network: Section) -> str:
    """Returns the kind of denoiser that the `network` section of a recipe describes.

    Args:
        space: of the images.
        network: has the sizes of one family; the parts of the others are None.
    """
    (kind,) = (name for name in denoisers_of(space) if getattr(network, KINDS[name].part) is not None)
    return kind
