"""The memory of a thread that computes one tile after the other."""

import threading

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]


class Scratch(threading.local):
    """A thread's memory for a tile, and the views of it for tiles of some sizes."""

    channels = side = 0
    memory: tuple[Tensor, Tensor, Tensor, Tensor]
    views: "dict[tuple[int, int], Views]"

    def of(self, height: int, width: int, channels: int, side: int) -> "Views":
        """Returns the views for a tile (height, width), with sides of at most `side`."""
        if (self.channels, self.side) != (channels, side):
            pixels = (side + 2) ** 2
            with torch.inference_mode(False):  # so that they can be written to outside of it, too
                normal, doubled, gated, mixed = (torch.zeros(pixels, channels * factor) for factor in (1, 2, 1, 1))
            self.memory, self.views = (normal, doubled, gated, mixed), {}
            self.channels, self.side = channels, side
        if (height, width) not in self.views:
            with torch.inference_mode(False):
                self.views[height, width] = Views(*self.memory, height, width)
        return self.views[height, width]


class Views:
    """A thread's memory as the steps of a tile (h, w) take it; tensors and arrays share it.

    They are made once for all tiles of a size that follow each other: where several threads work,
    each small step of Python costs a wait.
    """

    def __init__(self, normal: Tensor, doubled: Tensor, gated: Tensor, mixed: Tensor, height: int, width: int) -> None:
        around, count = (height + 2) * (width + 2), height * width
        self.normal_around, self.doubled_around = normal[:around], doubled[:around]
        self.around, self.grid = _grid(self.normal_around, width + 2), _grid(self.doubled_around, width + 2)
        self.normal, self.doubled = normal[:count], doubled[:count]
        self.gated, self.mixed = gated[:count], mixed[:count]
        self.normal_grid, self.mixed_grid = _grid(self.normal, width), _grid(self.mixed, width)
        self.doubles, self.gates = self.doubled.numpy(), self.gated.numpy()


def _grid(pixels: Tensor, width: int) -> Floats:
    """Returns pixels (N, C) as an array (N / width, width, C) of the same memory."""
    return pixels.view(-1, width, pixels.shape[1]).numpy()
