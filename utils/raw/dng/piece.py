"""A piece of a camera file as a small DNG, which LibRaw renders as that part of the whole.

It serves for a quick look and is thrown away. A piece for users would have to take along lens
corrections, gain maps and areas, which count from the corner of the whole sensor.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.crop import Window, surrounded
from cycleisp.utils.raw.camera_metadata import BlackLevels
from cycleisp.utils.raw.dng.source import BLACK_DELTAS, BLACK_LEVEL, DngSource
from cycleisp.utils.raw.dng.tiff_writer import BYTE, RATIONAL, SHORT, number_tag
from cycleisp.utils.raw.dng.writer import encode_values, sensor_values

# How far LibRaw looks around a photosite when it demosaicks; some more, since it refuses files
# with sides of less than 22.
DEMOSAICKED_FROM = 32
_BLACK_REPEAT, _FILTER_SIZE, _FILTER = 50713, 33421, 33422
_ACTIVE_AREA, _MASKED_AREAS, _USER_CROP = 50829, 50830, 51125
_AREAS = (_ACTIVE_AREA, _MASKED_AREAS, _USER_CROP, 50719, 50720)  # and DefaultCropOrigin, DefaultCropSize


def rendered_from(window: Window, source: DngSource) -> Window:
    """Returns the part of the visible mosaic that LibRaw needs to render a window of it.

    It begins with whole Bayer tiles, and with whole tiles of black levels.
    """
    height, width = (part.stop - part.start for part in source.window)
    return surrounded(window, height, width, DEMOSAICKED_FROM, math.lcm(2, *source.black.tile.shape))


def encode_piece(source: DngSource, linear: NDArray[np.float32], window: Window, pattern: str) -> bytes:
    """Encodes a window of a mosaic as DNG.

    Args:
        source: the content of the camera file.
        linear: (H, W) mosaic of its visible area, black 0 and white 1. What it holds elsewhere than
            in the window does not matter.
        window: as `rendered_from` returns it.
        pattern: Bayer tile at the top-left pixel of the visible area.

    Raises:
        ValueError: as `encode_dng`.
    """
    visible = sensor_values(source, linear)[source.window]
    return encode_values(_cut(source, window, pattern), visible[window])


def _cut(source: DngSource, window: Window, pattern: str) -> DngSource:
    """Returns a source that ends at the borders of a window of its visible area."""
    rows, columns = window
    black, order = source.black, source.byteorder
    deltas = (
        None if black.rows is None else black.rows[rows],
        None if black.columns is None else black.columns[columns],
    )
    tags = {code: tag for code, tag in source.ifd0.items() if code not in (*_AREAS, *BLACK_DELTAS)}
    # levels and filters count from the corner that is left now
    for code, kind, numbers in (
        (_BLACK_REPEAT, SHORT, black.tile.shape),
        (BLACK_LEVEL, RATIONAL, black.tile.flatten()),
        (_FILTER_SIZE, SHORT, (2, 2)),
        (_FILTER, BYTE, ["RGB".index(letter) for letter in pattern]),
    ):
        tags[code] = number_tag(order, code, kind, *numbers)
    sensor = source.sensor[source.window][window]
    whole = slice(0, sensor.shape[0]), slice(0, sensor.shape[1])
    for code, part in zip(BLACK_DELTAS, reversed(deltas), strict=True):  # of columns, then of rows
        if part is not None:
            tags[code] = number_tag(order, code, source.ifd0[code].type, *part)
    return replace(source, sensor=sensor, window=whole, black=BlackLevels(black.tile, *deltas), ifd0=tags, preview=b"")
