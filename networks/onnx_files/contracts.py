"""Contracts: what a network as an ONNX file takes and gives, and how to cut an image into tiles."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cycleisp.networks.blocks import GlobalMean
from cycleisp.networks.cycleisp import GuidedRaw2Rgb
from cycleisp.networks.denoiser import Denoiser
from cycleisp.networks.onnx_files import graphs
from cycleisp.networks.rgb2raw import Rgb2Raw
from cycleisp.utils.errors import UserError

_PHOTO = "channels R, G, B; display-encoded sRGB, in [0, 1] (8 bits: value / 255)"
_RAW = (
    "planes R, G_r, G_b, B of an RGGB mosaic, each of half its sides; linear, in [0, 1]: "
    "(value - black level) / (white level - black level); without white balance"
)
_NOT_CLIPPED = "not clipped: clip it to [0, 1]"
_VARIANCE = (
    "variance of the noise in each value of `noisy`: shot_noise * noisy + read_noise, on the same scale "
    "(the two numbers of a plane in DNG's NoiseProfile)"
)

Shapes = tuple[dict[int, Any], ...]  # of each input: dimension -> torch.export.Dim


@dataclass(frozen=True)
class Port:
    """An input or output, (B, channels, scale * H, scale * W) in float32.

    Attributes:
        name: of the tensor in the file.
        channels: of the image.
        scale: of its sides, in units of the smallest image that the network takes or gives.
        meaning: what it holds: order of channels, range, unit.
    """

    name: str
    channels: int
    scale: int
    meaning: str


@dataclass(frozen=True)
class Contract:
    """What a graph takes and gives.

    Attributes:
        task: what it does, in a sentence.
        inputs, outputs: in their order.
        multiple: what the sides of a tile, and the places where tiles begin, are multiples of, in
            pixels of the first input.
        halo: how far around a pixel its result looks, in pixels of the first input; None where that
            is the whole image in all its layers.
        pools: whether the network takes means over the whole image.
        least: the smallest H and W.
        level: the noise that a denoiser of RAW is made for; "" where it is an input.
    """

    task: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    multiple: int
    halo: int | None = None
    pools: bool = True
    least: int = 1
    level: str = ""

    def check_tile(self, tile: int) -> None:
        """Raises a UserError unless a file can be made for images of this side."""
        least = self.least * self.inputs[0].scale
        if self.halo is not None:
            least = 2 * self.halo + self.multiple  # so that something is left between the halos
        if tile % self.multiple or tile < least:
            near = max(-(-least // self.multiple), round(tile / self.multiple)) * self.multiple
            expected = f"a multiple of {self.multiple} pixels, at least {least}, such as {near}"
            raise UserError(f"--tile {tile}: expected {expected}, or dynamic")

    def example(self, batch: int, height: int, width: int) -> tuple[Tensor, ...]:
        """Makes inputs that are pictures with noise, the same at each call.

        Args:
            batch: number of images.
            height, width: of the smallest image, as in `Port`.
        """
        generator = torch.Generator().manual_seed(0)
        made: dict[str, Tensor] = {}
        for port in self.inputs:
            if port.name == "variance":
                made[port.name] = 0.01 * made["noisy"] + 0.0005
                continue
            rows, columns = port.scale * height, port.scale * width
            shape = (batch, port.channels, rows, columns)
            waves = torch.linspace(0, 9, rows)[:, None].sin() * torch.linspace(0, 7, columns).cos()
            noise = 0.05 * torch.randn(shape, generator=generator)
            made[port.name] = (0.45 + 0.4 * waves + noise).clamp(0, 1)
        return tuple(made.values())

    def any_size(self) -> Shapes:
        """Returns the inputs' dimensions for torch.export, as symbols."""
        batch = torch.export.Dim("batch")
        sides = {2: torch.export.Dim("height", min=self.least), 3: torch.export.Dim("width", min=self.least)}
        return tuple(
            {0: batch, **{dim: side if port.scale == 1 else port.scale * side for dim, side in sides.items()}}
            for port in self.inputs
        )


def contract_for(network: nn.Module, level: str = "") -> Contract:
    """Returns the contract of a network.

    Args:
        network: a denoiser, an Rgb2Raw or a GuidedRaw2Rgb.
        level: the noise that a denoiser of RAW is made for; "" for a variance map as an input.

    Raises:
        TypeError: another network.
    """
    if isinstance(network, Denoiser):
        return _of_denoiser(network, level)
    if isinstance(network, Rgb2Raw):
        return Contract(
            "RGB2RAW: gives the RAW of an average camera that a photo could have come from",
            (Port("srgb", 3, 2, f"photo; {_PHOTO}"),),
            (Port("packed_raw", 4, 1, f"RAW; {_RAW}; {_NOT_CLIPPED}"),),
            multiple=network.multiple,
        )
    if isinstance(network, GuidedRaw2Rgb):
        radius = network.color_correction.blur.taps.numel() // 2  # the blur reflects that far
        reference = f"photo whose colours to produce, of the same view and twice the sides; {_PHOTO}"
        return Contract(
            "RAW2RGB with its colour branch: renders RAW in the colours of a reference photo",
            (Port("packed_raw", 4, 1, f"RAW; {_RAW}"), Port("reference", 3, 2, reference)),
            (Port("srgb", 3, 2, f"photo; {_PHOTO}; {_NOT_CLIPPED}"),),
            multiple=1,
            least=radius // 2 + 1,
        )
    raise TypeError(f"no contract for a {type(network).__name__}")


def _of_denoiser(network: Denoiser, level: str) -> Contract:
    pools = any(isinstance(part, GlobalMean) for part in network.modules())
    if network.space == "srgb":
        inputs: Sequence[Port] = [Port("noisy", 3, 1, f"noisy photo; {_PHOTO}")]
        output = Port("denoised", 3, 1, f"photo without its noise; {_PHOTO}; {_NOT_CLIPPED}")
        task = "Removes the noise of a photo"
    else:
        inputs = [Port("noisy", 4, 1, f"noisy RAW; {_RAW}")]
        if not level:
            inputs = [*inputs, Port("variance", 4, 1, _VARIANCE)]
        output = Port("denoised", 4, 1, f"RAW without its noise, on the scale of `noisy` (gain 1); {_NOT_CLIPPED}")
        task = "Removes the noise of RAW, before demosaicking" + (f"; noise level {level}" if level else "")
    return Contract(task, tuple(inputs), (output,), network.multiple, network.halo, pools, level=level)


def graph_for(network: nn.Module, level: tuple[Tensor, Tensor] | None = None) -> nn.Module:
    """Returns the module to export for a network.

    Args:
        network: as `contract_for` takes it.
        level: shot and read noise that a denoiser of RAW is made for, (1, 1) or (1, 4) each.
    """
    if isinstance(network, Rgb2Raw):
        return graphs.RawOfPhoto(network).eval()
    if isinstance(network, GuidedRaw2Rgb):
        return graphs.PhotoOfRaw(network).eval()
    assert isinstance(network, Denoiser)
    if network.space == "srgb":
        return graphs.PhotoDenoising(network).eval()
    return (graphs.RawDenoising(network) if level is None else graphs.RawDenoisingAtLevel(network, *level)).eval()
