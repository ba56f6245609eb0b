"""The opcode lists of DNG files, as far as a change of the values concerns them.

A converter applies list 1 to the values as stored, list 2 to linear values from 0 (black) to 1
(white), and list 3 to the picture after demosaicking (DNG 1.7, chapter 7). A denoised DNG keeps all
three: it has the same photosites at the same places, in the same or in 2^n times finer steps.
"""

import struct
from collections.abc import Iterator

OPCODE_LIST_1, OPCODE_LIST_2, OPCODE_LIST_3 = 51008, 51009, 51022
_FIX_BAD_PIXELS_CONSTANT = 4
# WarpRectilinear, WarpFisheye, FixVignetteRadial, FixBadPixelsList, TrimBounds, GainMap,
# ScalePerRow and ScalePerColumn, WarpRectilinear2: places and factors, whatever the values' unit
_ANY_SCALE = frozenset((1, 2, 3, 5, 6, 9, 12, 13, 14))


def opcodes(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields the number and the parameters of each opcode of a list; a damaged list ends early."""
    place = 4
    for _ in range(struct.unpack(">I", content[:4].rjust(4, b"\0"))[0]):
        if place + 16 > len(content):
            return
        code, _, _, size = struct.unpack(">4I", content[place : place + 16])
        yield code, content[place + 16 : place + 16 + size]
        place += 16 + size


def needs_same_units(list_1: bytes) -> bool:
    """Tells whether an opcode list 1 holds numbers in the units of the stored values."""
    return any(code not in _ANY_SCALE for code, _ in opcodes(list_1))


def bad_pixel_values(list_1: bytes) -> list[int]:
    """Returns the stored values that mark bad photosites, which converters replace."""
    return [
        struct.unpack(">I", parameters[:4])[0]
        for code, parameters in opcodes(list_1)
        if code == _FIX_BAD_PIXELS_CONSTANT and len(parameters) >= 4
    ]
