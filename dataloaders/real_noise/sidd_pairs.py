"""Real noise from SIDD-Medium: a noisy and a clean RAW of one scene.

DIR/Data/<scene>/NNNN_NOISY_RAW_010.MAT, NNNN_GT_RAW_010.MAT
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.photos import width_x_height
from cycleisp.dataloaders.real_noise.sources import ResidualError, ResidualSource, Window, middle_tiles, whole_tiles
from cycleisp.dataloaders.sidd.medium import mosaic_shape, read_mosaic
from cycleisp.dataloaders.sidd.scenes import SiddError, pattern_of, read_noise_levels, scene_of
from cycleisp.utils.errors import UserError

_PROBE = 64  # pixels of a side that are read to see whether a file holds what it should


class PairSource(ResidualSource):
    """A noisy and a clean RAW of SIDD-Medium, its two files. Only windows of them are read."""

    choices = 1

    def read_clean(self, window: Window) -> NDArray[np.float32]:
        """Reads the clean RAW."""
        return _read(self.files[1], window)

    def read_residual(self, window: Window, choice: int) -> NDArray[np.float32]:
        """Reads the noisy minus the clean RAW."""
        noisy, clean = (_read(path, window) for path in self.files)
        return noisy - clean


def open_pair(name: str, noisy: Path, clean: Path, patterns: Mapping[str, str], levels: Path) -> PairSource:
    """Opens a pair of SIDD-Medium and checks it.

    Args:
        name: the name of the source.
        noisy, clean: the two files.
        patterns: the Bayer pattern of each camera.
        levels: SIDD's table of noise levels, which may be absent.

    Raises:
        UserError: a file is missing or damaged, the two differ in size, or the Bayer pattern of the
            scene is unknown.
    """
    for path, partner in ((noisy, clean), (clean, noisy)):
        if not path.is_file():
            raise ResidualError(f"{partner}: has no {path.name} beside it")
    scene = scene_of(noisy)
    pattern = pattern_of(scene, patterns)
    shapes = {path: mosaic_shape(path) for path in (noisy, clean)}
    if shapes[noisy] != shapes[clean]:
        sizes = [width_x_height(shape) for shape in shapes.values()]
        raise ResidualError(f"{noisy}: {sizes[0]} pixels, {clean.name} has {sizes[1]}")
    rows, columns = whole_tiles(noisy, *shapes[noisy], pattern)
    noise_levels, problem = None, f"{levels}: no such file"
    if levels.is_file():
        try:
            shot, read = read_noise_levels(levels, [scene])[0].tolist()
            noise_levels, problem = (tuple(shot), tuple(read)), ""
        except UserError as error:
            problem = str(error)
    source = PairSource(name, (noisy, clean), pattern, rows, columns, noise_levels, problem)
    source.read_residual((middle_tiles(rows, _PROBE), middle_tiles(columns, _PROBE)), 0)
    return source


def _read(path: Path, window: Window) -> NDArray[np.float32]:
    try:
        return read_mosaic(path, window)
    except SiddError as error:
        raise ResidualError(str(error)) from None
