"""Images in memory: the space of their values, and the conversions of layouts and number types.

A photo as files and OpenCV have it is a numpy array (H, W, C), most often of integers. An image as
networks have it is a tensor (C, H, W) of floats in [0, 1], or a batch of them. Other modules call
these functions instead of reordering axes or multiplying by 255 or 65535 themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:  # arrays need no PyTorch, and are used where there is none
    from torch import Tensor

Space = Literal["raw", "srgb"]  # packed RAW, linear; or display-encoded sRGB

Image = TypeVar("Image", "Tensor", NDArray)
_STRIP = 1 << 18  # values that are converted at a time


def as_float(photo: NDArray) -> NDArray[np.float32]:
    """Converts integers of any shape to float32 in [0, 1].

    0 becomes 0, and the largest value of the integer type becomes 1. The result is a new array with
    the axes in memory in the same order as those of `photo`.
    """
    return np.divide(photo, np.float32(np.iinfo(photo.dtype).max), dtype=np.float32)  # one pass over the memory


def to_integers(image: Tensor | NDArray, dtype: DTypeLike) -> NDArray:
    """Converts floats in [0, 1] to integers for files.

    Clips to [0, 1], multiplies by the largest value of the integer type, and rounds to nearest. The
    product is computed in double precision, where it is exact, so that integers up to 16 bits which
    `as_float` has converted come back unchanged. NaN is not allowed.

    Args:
        image: of any shape and layout, on any device.
        dtype: an unsigned integer type.

    Returns:
        A new numpy array of the same shape, with the axes in memory in the same order as those of
        `image`.
    """
    if not isinstance(image, np.ndarray | np.generic):
        image = image.detach().cpu()
        image = (image.float() if image.dtype.itemsize == 2 else image).numpy()  # NumPy has no bfloat16
    integers = np.empty_like(image, dtype)
    lines, values = np.atleast_1d(integers), np.atleast_1d(image)
    axis, count = int(np.argmax(lines.shape)), max(1, lines.size // _STRIP)
    strips = (np.array_split(array, count, axis) for array in (lines, values))
    for target, part in zip(*strips, strict=True):  # in doubles the whole would take twice the image's memory
        target[...] = np.rint(np.clip(part, 0, 1).astype(np.float64) * np.iinfo(dtype).max)
    return integers


def to_8bit(image: Image) -> Image:
    """Converts floats in [0, 1] to uint8 in their own precision, for the eye and for JPEG.

    Clips to [0, 1], multiplies by 255, and rounds to nearest. Unlike `to_integers` it needs no
    double precision and leaves tensors on their device. For that, float32 takes a few values in a
    million, which lie close to the middle between two integers, to the wrong one of the two.

    Args:
        image: array or tensor of any shape and layout.

    Returns:
        A new array or tensor like `image`: of the same kind and shape, on the same device.
    """
    if not isinstance(image, np.ndarray | np.generic):
        return (image.clamp(0, 1) * 255).round().byte()
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def to_16bit(image: NDArray) -> NDArray[np.uint16]:
    """Converts floats in [0, 1] to uint16 in their own precision, as `to_8bit` does to uint8.

    Float32 takes one value in 500 or so to the wrong one of the two nearest integers.
    """
    return np.round(np.clip(image, 0, 1) * 65535).astype(np.uint16)


def channels_first(image: NDArray) -> Tensor:
    """Returns an array (..., H, W, C) as a tensor (..., C, H, W) with the same values and dtype.

    The tensor is a view: it shares the array's memory, and is contiguous only after
    `.contiguous()`. An array with a negative stride, such as a flipped one, is copied first, since
    PyTorch cannot view it.
    """
    if any(stride < 0 for stride in image.strides):
        image = np.ascontiguousarray(image)
    import torch

    return torch.from_numpy(image).movedim(-1, -3)


def channels_last(image: Tensor) -> NDArray:
    """Returns a tensor (..., C, H, W) as an array (..., H, W, C) with the same values and dtype.

    The array is a view: it shares the tensor's memory if that lies on the CPU, and is contiguous
    only after `np.ascontiguousarray`. Tensors on other devices are copied to the CPU. The array has
    no part in autograd.
    """
    return image.detach().movedim(-3, -1).cpu().numpy()


def photo_to_tensor(photo: NDArray) -> Tensor:
    """Returns a photo (H, W, 3) as a float32 tensor (3, H, W) in [0, 1].

    A batch (..., H, W, 3) becomes (..., 3, H, W). Integers are scaled by `as_float`, so that the
    tensor has memory of its own. Floats lie in [0, 1] already and keep their values: a float32
    photo shares its memory with the tensor. As from `channels_first`, the tensor is contiguous only
    after `.contiguous()`.
    """
    is_integer = np.issubdtype(photo.dtype, np.integer)
    return channels_first(as_float(photo) if is_integer else photo.astype(np.float32, copy=False))


def tensor_to_photo(image: Tensor, dtype: DTypeLike) -> NDArray:
    """Returns an image (3, H, W) in [0, 1] as a photo (H, W, 3) of integers, by `to_integers`.

    A batch (..., 3, H, W) becomes (..., H, W, 3). The array is new, and contiguous only after
    `np.ascontiguousarray`.
    """
    return to_integers(channels_last(image), dtype)
