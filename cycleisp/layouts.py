"""Images in the forms in which other people's programs have them, and the way to tensors and back.

    image         numpy                          torch
    photo         (H, W, 3)                      (3, H, W)
    packed RAW    (4, H/2, W/2)                  (4, H/2, W/2)
    batch         one more dimension in front    one more dimension in front

A photo is display-encoded sRGB. Packed RAW holds the planes R, G_r, G_b, B of an RGGB mosaic, and
is linear: black level subtracted, and divided by (white level - black level). Floats lie in [0, 1].
Unsigned integers of 8 and 16 bits count as fractions of 255 and of 65535.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cycleisp.utils.images import Image, Space, as_float, channels_first, to_integers

_INTEGERS = (torch.uint8, torch.uint16)


@dataclass(frozen=True)
class Images:
    """A caller's images as the networks see them.

    Attributes:
        batch: (B, C, H, W) float32 in [0, 1].
        space: what they are.
        alone: whether they came as one image, without a dimension for the batch.
    """

    batch: Tensor
    space: Space
    alone: bool

    def restore(self, batch: Tensor, like: Image) -> Image:
        """Returns a batch (B, C, H, W) in [0, 1] in the form in which the images came."""
        result = _in_numbers_of(like, batch[0] if self.alone else batch)
        if isinstance(result, Tensor):
            return result
        return np.ascontiguousarray(np.moveaxis(result, -3, -1)) if self.space == "srgb" else result


def _in_numbers_of(like: Image, tensor: Tensor) -> Image:
    """Returns floats in [0, 1] in the kind, number type and device of an image."""
    if isinstance(like, Tensor):
        if like.dtype in _INTEGERS:
            tensor = (tensor.double() * torch.iinfo(like.dtype).max).round()
        return tensor.to(like.device, like.dtype)
    array: NDArray = tensor.cpu().numpy()
    return to_integers(array, like.dtype) if like.dtype.kind == "u" else array.astype(like.dtype)


def read_images(image: Tensor | NDArray, space: Space | None) -> Images:
    """Returns an image or a batch, in one of this module's forms, as the networks take it.

    Args:
        image: the image or batch.
        space: what it is; None tells it from the shape.

    Raises:
        TypeError: neither an array nor a tensor.
        ValueError: another shape, number type or range; or a shape that both spaces fit.
    """
    if not isinstance(image, Tensor | np.ndarray):
        raise TypeError(f"expected a numpy array or a torch tensor, got {type(image).__name__}")
    space = _space_of(image, space)
    if isinstance(image, Tensor):
        batch = _unit_tensor(image)
    else:
        array = _unit_array(image)
        batch = channels_first(array) if space == "srgb" else torch.from_numpy(np.ascontiguousarray(array))
    return Images(batch if batch.ndim == 4 else batch[None], space, image.ndim == 3)


def _space_of(image: Tensor | NDArray, space: Space | None) -> Space:
    """Returns what an image is by the number of its channels, and checks its shape."""
    shape = tuple(image.shape)
    fitting: list[Space] = []
    if image.ndim in (3, 4) and min(shape) > 0:
        photo_channels = shape[-3] if isinstance(image, Tensor) else shape[-1]
        fitting += ["srgb"] if photo_channels == 3 else []
        fitting += ["raw"] if shape[-3] == 4 else []
    if space is None and len(fitting) > 1:
        raise ValueError(f"shape {shape} may be a photo or packed RAW; say which, by space='srgb' or space='raw'")
    if not fitting or space not in (None, *fitting):
        kinds = {
            "srgb": "a photo (3, H, W)" if isinstance(image, Tensor) else "a photo (H, W, 3)",
            "raw": "packed RAW (4, H/2, W/2)",
        }
        wanted = kinds.get(space, "") if space else " or ".join(kinds.values())
        raise ValueError(f"expected {wanted}, or a batch of it, got shape {shape}")
    return space or fitting[0]


def _unit_array(array: NDArray) -> NDArray[np.float32]:
    if array.dtype in (np.uint8, np.uint16):
        return as_float(array)
    if array.dtype.kind != "f":
        raise ValueError(f"expected floats in [0, 1], uint8 or uint16, got {array.dtype}")
    _check_range(float(array.min()), float(array.max()))
    return array.astype(np.float32)  # a copy: read-only memory would make PyTorch warn


def _unit_tensor(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    if tensor.dtype in _INTEGERS:
        return tensor.float() / torch.iinfo(tensor.dtype).max
    if not tensor.is_floating_point():
        raise ValueError(f"expected floats in [0, 1], uint8 or uint16, got {tensor.dtype}")
    _check_range(float(tensor.min()), float(tensor.max()))
    return tensor.float()


def _check_range(low: float, high: float) -> None:
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise ValueError(f"expected values in [0, 1], got {low:g} to {high:g}; scale the image, or clip it")
