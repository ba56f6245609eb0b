"""The denoisers of photos in spandrel, the library with which chaiNNer and ComfyUI load networks.

    from cycleisp.spandrel import install
    from spandrel import ModelLoader

    install()
    denoiser = ModelLoader().load_from_file("base_srgb.safetensors")
    denoised = denoiser(photo)                      (1, 3, H, W) in [0, 1], sides of any length

spandrel knows a network by the names and shapes of its weights alone; it does not read our headers.
So the sizes are found from the shapes. RGB2RAW alone has names and shapes of a denoiser, and would
be taken for one. The denoisers of RAW are not offered: they need the variance
of the noise beside the image, for which spandrel has no place.
"""

from abc import abstractmethod
from collections.abc import Mapping
from itertools import count
from math import isqrt
from typing import Any

from torch import Tensor

from cycleisp.networks.denoiser import Denoiser, SrgbDenoiser
from cycleisp.networks.gated_denoiser import SrgbGatedDenoiser
from cycleisp.utils.errors import UserError

try:
    import spandrel
except ModuleNotFoundError as error:
    raise UserError("spandrel is a package that is not installed: pip install spandrel") from error

State = Mapping[str, Tensor]
_ACTIVATION = "activation.weight"  # of the one PReLU that all blocks share; files store it once


def install() -> None:
    """Adds the denoisers of photos to the networks that spandrel knows, for the present process."""
    supported = [spandrel.ArchSupport.from_architecture(one()) for one in (PaperArchitecture, GatedArchitecture)]
    spandrel.MAIN_REGISTRY.add(*supported, ignore_duplicates=True)


class _Architecture(spandrel.Architecture[Denoiser]):
    """How spandrel recognises and loads one family of denoisers."""

    tiling: spandrel.ModelTiling

    def __init__(self, name: str) -> None:
        super().__init__(id=f"CycleISP {name}", name=f"CycleISP {name}", detect=self.fits)

    @abstractmethod
    def fits(self, state: State) -> bool:
        """Returns whether these are weights of the family."""

    @abstractmethod
    def build(self, state: State) -> Denoiser:
        """Returns a network of the sizes that the weights have."""

    def load(self, state_dict: dict[str, Any]) -> spandrel.ImageModelDescriptor[Denoiser]:
        """Returns a network with its weights, in spandrel's form."""
        network = self.build(state_dict)
        shared = {name: state_dict[_ACTIVATION] for name in network.state_dict() if name.endswith(_ACTIVATION)}
        return spandrel.ImageModelDescriptor(
            network,
            {**shared, **state_dict},
            architecture=self,
            purpose="Restoration",
            tags=[f"{state_dict['head.weight'].shape[0]}nf"],
            supports_half=False,
            supports_bfloat16=False,
            scale=1,
            input_channels=3,
            output_channels=3,
            size_requirements=spandrel.SizeRequirements(multiple_of=network.multiple),
            tiling=self.tiling,
        )


class PaperArchitecture(_Architecture):
    """The paper's denoiser of photos, `networks.SrgbDenoiser`, such as `compact_srgb`."""

    tiling = spandrel.ModelTiling.DISCOURAGED  # its channel attention pools over the whole image

    def __init__(self) -> None:
        super().__init__("SrgbDenoiser")

    def fits(self, state: State) -> bool:
        block = "deep.groups.0.blocks.0"
        return _takes_photos(state) and f"{block}.spatial_attention.conv.weight" in state and _ACTIVATION in state

    def build(self, state: State) -> SrgbDenoiser:
        width = state["head.weight"].shape[0]
        return SrgbDenoiser(
            width,
            num_groups=_count(state, "deep.groups.{}.conv.weight"),
            num_blocks=_count(state, "deep.groups.0.blocks.{}.fuse.weight"),
            reduction=width // state["deep.groups.0.blocks.0.channel_attention.squeeze.weight"].shape[0],
            unshuffle=_unshuffle(state),
        )


class GatedArchitecture(_Architecture):
    """The U of gated blocks, `networks.SrgbGatedDenoiser`, such as `base_srgb` and `fast_srgb`."""

    tiling = spandrel.ModelTiling.SUPPORTED

    def __init__(self) -> None:
        super().__init__("SrgbGatedDenoiser")

    def fits(self, state: State) -> bool:
        return _takes_photos(state) and "deep.down.0.0.second_scale" in state

    def build(self, state: State) -> SrgbGatedDenoiser:
        width, unshuffle = state["head.weight"].shape[0], _unshuffle(state)
        return SrgbGatedDenoiser(width, _levels(state, "deep.down"), _levels(state, "deep.up"), unshuffle)


def _takes_photos(state: State) -> bool:
    """Returns whether the first layer takes three channels, and the last one gives three."""
    if "head.weight" not in state or "tail.weight" not in state:
        return False
    taken, given = state["head.weight"].shape[1], state["tail.weight"].shape[0]
    return taken == given == 3 * _unshuffle(state) ** 2


def _unshuffle(state: State) -> int:
    return isqrt(state["head.weight"].shape[1] // 3)


def _count(state: State, name: str) -> int:
    """Returns for how many numbers 0, 1, 2... there is an entry of this name."""
    return next(number for number in count() if name.format(number) not in state)


def _levels(state: State, name: str) -> list[int]:
    """Returns the number of blocks of each level."""
    levels = _count(state, f"{name}.{{}}.0.scale")
    return [_count(state, f"{name}.{level}.{{}}.scale") for level in range(levels)]
