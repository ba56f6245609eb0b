"""What is exported: networks behind the inputs and outputs of their contracts.

A denoiser pads an image of any size to the multiple that it needs, and crops its result, so that
whoever runs the file need not.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle

from cycleisp.networks.cycleisp import GuidedRaw2Rgb
from cycleisp.networks.denoiser import Denoiser
from cycleisp.networks.rgb2raw import Rgb2Raw
from cycleisp.utils.raw.noise import noise_level_function

_RGGB = [0, 5, 6, 11]  # of the planes (3 colours) x (4 sites of a tile): R at 0, G at 1 and 2, B at 3


class PhotoDenoising(nn.Module):
    """A denoiser of photos of any size: noisy (B, 3, H, W) -> denoised (B, 3, H, W)."""

    def __init__(self, network: Denoiser) -> None:
        super().__init__()
        self.network = network

    def forward(self, noisy: Tensor) -> Tensor:
        return cropped(self.network(padded(noisy, self.network.multiple)), noisy)


class RawDenoising(nn.Module):
    """A denoiser of packed RAW of any size, with its variance map: (B, 4, H, W) twice -> once.

    Attributes:
        least_variance: what smaller variances are raised to.
    """

    least_variance = 0.0

    def __init__(self, network: Denoiser) -> None:
        super().__init__()
        self.network = network

    def forward(self, noisy: Tensor, variance: Tensor) -> Tensor:
        multiple = self.network.multiple
        variance = padded(variance, multiple).clamp(min=self.least_variance)
        return cropped(self.network(padded(noisy, multiple), variance), noisy)


class RawDenoisingAtLevel(nn.Module):
    """A denoiser of packed RAW for one level of noise: (B, 4, H, W) -> (B, 4, H, W).

    Args:
        network: a denoiser of RAW.
        shot_noise, read_noise: variances, (1, 1), or (1, 4) of R, G_r, G_b, B.

    Attributes:
        least_variance: as of `RawDenoising`.
    """

    least_variance = 0.0
    shot_noise: Tensor
    read_noise: Tensor

    def __init__(self, network: Denoiser, shot_noise: Tensor, read_noise: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("shot_noise", shot_noise)
        self.register_buffer("read_noise", read_noise)

    def forward(self, noisy: Tensor) -> Tensor:
        image = padded(noisy, self.network.multiple)
        variance = noise_level_function(image, self.shot_noise, self.read_noise).clamp(min=self.least_variance)
        return cropped(self.network(image, variance), noisy)


class RawOfPhoto(nn.Module):
    """RGB2RAW: photo (B, 3, 2H, 2W) -> packed RAW (B, 4, H, W).

    It takes the four planes from camera colours in one step, where `Rgb2Raw.forward` first writes a
    mosaic.
    """

    def __init__(self, network: Rgb2Raw) -> None:
        super().__init__()
        self.network = network

    def forward(self, srgb: Tensor) -> Tensor:
        return pixel_unshuffle(self.network.camera_rgb(srgb), 2)[:, _RGGB]


class PhotoOfRaw(nn.Module):
    """RAW2RGB with its colour branch: packed RAW (B, 4, H, W), photo (B, 3, 2H, 2W) -> photo."""

    def __init__(self, network: GuidedRaw2Rgb) -> None:
        super().__init__()
        self.network = network

    def forward(self, packed_raw: Tensor, reference: Tensor) -> Tensor:
        return self.network(packed_raw, reference)


# ---------------------------------------------------------------- images of any size


def padded(image: Tensor, multiple: int) -> Tensor:
    """Pads as `utils.padding.pad_to_multiple`, in steps that a graph for all sizes can hold.

    Args:
        image: (B, C, H, W). While PyTorch exports, H and W may be symbols.
        multiple: what the sides of the result are multiples of.
    """
    for dim in (2, 3):
        size = image.shape[dim]
        if isinstance(size, int) and size % multiple == 0:
            continue
        # written so that PyTorch sees that it is a multiple, whatever the size
        whole = multiple * ((size + multiple - 1) // multiple)
        last = torch.full((1,), size - 1, dtype=torch.long)
        period = (2 * last).clamp(min=1)  # a line of one pixel is repeated
        place = torch.arange(whole) % period
        image = image.index_select(dim, torch.where(place > last, period - place, place))
    return image


def cropped(result: Tensor, like: Tensor) -> Tensor:
    """Cuts (B, C, H', W') to the sides of an image from its top left corner."""
    return result[:, :, : like.shape[2], : like.shape[3]]
