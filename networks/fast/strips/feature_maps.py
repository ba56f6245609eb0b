"""Where the features of one image are kept: in memory, or where there is more room.

Features are (H, W, C), row by row with channels innermost. A row of zeros lies above and below
them, as a convolution pads its input. A map that does not fit is kept in a temporary file if it
belongs to a CPU, and in the memory of the host if it belongs to a GPU.
"""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

FEATURE_MEMORY = 6_300_000_000  # bytes of feature maps that a CPU keeps in memory
GPU_SHARE = 0.7  # of a GPU's free memory that maps may take; the rest is for strips and the network
SURELY_FITS = 1 / 16  # of a GPU's memory; what needs less fits without asking


class FeatureMap(Protocol):
    """Features (H, W, C) of one image."""

    height: int

    def rows(self, first: int, end: int) -> Tensor:
        """Returns (1, C, end - first, W), channels innermost, for reading only.

        Both -1 <= first and end <= H + 1 are allowed: the rows of zeros.
        """

    def values(self, first: int, end: int) -> Tensor:
        """Returns ((end - first) * W, C), to be changed in place and then passed to `changed`."""

    def changed(self, first: int, values: Tensor) -> None:
        """Keeps what was changed in `values`."""

    def store(self, first: int, values: Tensor) -> None:
        """Copies ((end - first) * W, C) into the map."""


class InMemory:
    """A map on the device that computes."""

    def __init__(self, height: int, width: int, channels: int, like: Tensor) -> None:
        self.height, self._channels = height, channels
        self._data = like.new_empty(height + 2, width, channels)
        self._data[0] = self._data[-1] = 0

    def rows(self, first: int, end: int) -> Tensor:
        return self._data[first + 1 : end + 1][None].permute(0, 3, 1, 2)

    def values(self, first: int, end: int) -> Tensor:
        return self._data[first + 1 : end + 1].view(-1, self._channels)

    def changed(self, first: int, values: Tensor) -> None:
        """Does nothing: `values` are the map's own."""

    def store(self, first: int, values: Tensor) -> None:
        self._data[first + 1 :].view(-1, self._channels)[: len(values)].copy_(values)


class OnHost:
    """A map in the memory of the host, for a GPU that has no room for it."""

    def __init__(self, height: int, width: int, channels: int, like: Tensor) -> None:
        self.height, self._device = height, like.device
        self._map = InMemory(height, width, channels, like.new_empty(0, device="cpu"))

    def rows(self, first: int, end: int) -> Tensor:
        return self._map.rows(first, end).to(self._device)

    def values(self, first: int, end: int) -> Tensor:
        return self._map.values(first, end).to(self._device, copy=True)

    def changed(self, first: int, values: Tensor) -> None:
        self._map.store(first, values)

    store = changed


class OnDisk:
    """A map in a temporary file.

    The file is read and written, not mapped: mapped pages would count as this process's memory.
    """

    def __init__(self, height: int, width: int, channels: int, like: Tensor) -> None:
        self.height, self._width, self._channels, self._like = height, width, channels, like.new_empty(0)
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  it lives, and ends, with the map
        self._row = like.element_size() * width * channels
        self._lock = threading.Lock()

    def rows(self, first: int, end: int) -> Tensor:
        padded = self._like.new_zeros(end - first, self._width, self._channels)
        top, bottom = max(first, 0), min(end, self.height)
        if top < bottom:
            padded[top - first : bottom - first] = self.values(top, bottom).view(-1, self._width, self._channels)
        return padded[None].permute(0, 3, 1, 2)

    def values(self, first: int, end: int) -> Tensor:
        content = self._like.new_empty((end - first) * self._width, self._channels)
        view = memoryview(content.numpy().data).cast("B")
        with self._at(first):
            while view:
                count = self._file.readinto(view)
                if not count:
                    raise OSError(f"the temporary file of features ends early, in {tempfile.gettempdir()}")
                view = view[count:]
        return content

    def changed(self, first: int, values: Tensor) -> None:
        view = memoryview(values.contiguous().numpy().data).cast("B")
        with self._at(first):
            while view:
                view = view[self._file.write(view) :]

    store = changed

    @contextmanager
    def _at(self, row: int) -> Iterator[None]:
        """Opens the file at this row, for one thread at a time."""
        with self._lock:
            self._file.seek(row * self._row)
            yield


def memory_for_maps(device: torch.device) -> int:
    """Returns how many bytes the maps of an image may take on `device`."""
    if device.type != "cuda":
        return FEATURE_MEMORY
    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # PyTorch reuses it
    return int(GPU_SHARE * (free + unused))


def fits(size: int, device: torch.device) -> bool:
    """Returns whether maps of `size` bytes fit into the memory of a CUDA device.

    Small ones always do, since asking the device takes a millisecond.
    """
    return size < SURELY_FITS * torch.cuda.get_device_properties(device).total_memory or size <= memory_for_maps(device)


def kept_in_memory(size: int, device: torch.device) -> int:
    """Returns how many bytes `make_maps` keeps on `device`, for an image whose maps have `size`."""
    return size * min(3, memory_for_maps(device) // max(1, size))


def make_maps(height: int, width: int, channels: int, like: Tensor) -> tuple[FeatureMap, FeatureMap | None, FeatureMap]:
    """Makes maps for the features, for hidden features, and for the input of a group.

    Args:
        like: has the type and the device of the features.

    Returns:
        The three maps. The second one is None where hidden features are to be computed twice
    instead of stored.
    """
    size = like.element_size() * height * width * channels
    fit = memory_for_maps(like.device) // size
    elsewhere: type[OnHost] | type[OnDisk] = OnDisk if like.device.type == "cpu" else OnHost
    features, hidden, group = ((InMemory if fit > count else elsewhere) for count in (0, 2, 1))
    return (
        features(height, width, channels, like),
        InMemory(height, width, channels, like) if hidden is InMemory else None,
        group(height, width, channels, like),
    )
