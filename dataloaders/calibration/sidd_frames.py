"""SIDD-Medium's noisy RAW as frames of a calibration: two frames of each of its scenes.

Their values are divided by (white - black) and lie in [0, 1]. Since they were whole numbers before,
the distance between neighbouring values tells the divisor, and the whole numbers come back.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.sidd.medium import read_mosaic
from cycleisp.dataloaders.sidd.scenes import PATTERNS_FILE, SiddError, pattern_of, read_patterns, scene_of
from cycleisp.utils.raw.calibration.frames import tile_of
from cycleisp.utils.raw.calibration.looks import LEVELS, Header, Look, look_at

_NOISY = re.compile(r"(\d+_)?NOISY_RAW_\d+\.MAT", re.IGNORECASE)
_OFF_GRID = 0.05  # of a step, by which float32 and rounding may move a value


def is_sidd_frame(path: Path) -> bool:
    """Tells by its name whether a file is a noisy RAW frame of SIDD-Medium or SIDD-Small."""
    return _NOISY.fullmatch(path.name) is not None


def read_sidd_levels(path: Path) -> tuple[Header, NDArray[np.uint16]]:
    """Reads a noisy frame in digital numbers.

    The black level is 0 where the file has no values below black, and else as high as it must be
    for all of them to be whole numbers that are not negative.

    Returns:
        As `cycleisp.dataloaders.calibration.reading.read_levels`. The camera is SIDD's code for it.

    Raises:
        SiddError: the file is damaged, its folder has no name of SIDD's, the camera is unknown, or
            the values are not multiples of one step.
    """
    scene = scene_of(path)
    patterns = read_patterns(_table(path))
    mosaic = read_mosaic(path)
    height, width = (length - length % 2 for length in mosaic.shape)
    mosaic = mosaic[:height, :width]
    steps = step_count(mosaic, path)
    levels = np.rint(mosaic.astype(np.float64) * steps)
    black = max(0.0, -float(levels.min()))
    levels += black
    if levels.max() >= LEVELS:
        raise SiddError(f"{path}: its values reach {levels.max():.0f} steps, more than 16 bits hold; get it again")
    header = Header(
        path,
        scene.camera,
        (height, width),
        tile_of(pattern_of(scene, patterns)),
        (black, black, black, black),
        black + steps,
        float(scene.iso),
        float(f"{1 / scene.shutter:.4g}") if scene.shutter else 0.0,
    )
    return header, levels.astype(np.uint16)


def read_sidd_look(path: Path) -> Look:
    """Reads a noisy frame and returns what is kept of it.

    Raises:
        SiddError: as `read_sidd_levels`.
    """
    return look_at(*read_sidd_levels(path))


def step_count(values: NDArray[np.float32], path: Path) -> int:
    """Returns how many equal steps there are between 0 and 1, of which all values are multiples.

    Raises:
        SiddError: there is no such number below 2^16.
    """
    occupied = np.unique(values).astype(np.float64)
    distances = np.diff(occupied)
    distances = distances[distances > 0.5 / LEVELS]
    if len(distances):
        # values are near enough to each other that most of the smallest distances are one step
        smallest = distances.min()
        one = float(np.median(distances[distances < 1.5 * smallest]))
        steps = round(1 / one)
        places = occupied * steps
        if steps >= 2 and np.abs(places - np.rint(places)).max() <= _OFF_GRID:
            return steps
    raise SiddError(f"{path}: its values are not multiples of one step, so that digital numbers cannot be told")


def _table(path: Path) -> Path:
    """Returns the nearest bayer_patterns.csv above a file; it may be absent."""
    places = [folder / PATTERNS_FILE for folder in path.absolute().parents[:3]]
    return next((place for place in places if place.is_file()), places[0])
