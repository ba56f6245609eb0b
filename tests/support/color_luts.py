"""Tables of colours for tests: the one that changes nothing, and those of .cube files."""

from pathlib import Path

import numpy as np

from cycleisp.utils.color.color_lut import SIZE, ColorLut


def identity_lut(size: int = SIZE) -> ColorLut:
    """Returns the table that leaves all colours as they are."""
    steps = np.linspace(0, 1, size)
    return ColorLut(np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).astype(np.float32))


def read_cube(path: Path) -> ColorLut:
    """Reads a .cube file as strictly as its specification allows: title, size, one node a line."""
    title, size_line, *lines = path.read_text(encoding="utf-8").splitlines()
    assert title.startswith('TITLE "') and title.endswith('"')
    keyword, size = size_line.split()
    assert keyword == "LUT_3D_SIZE"
    nodes = np.array([[float(number) for number in line.split(" ")] for line in lines], dtype=np.float32)
    return ColorLut(np.ascontiguousarray(nodes.reshape(*[int(size)] * 3, 3).transpose(2, 1, 0, 3)))
