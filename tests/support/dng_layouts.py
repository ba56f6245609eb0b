"""DNG files with any tags, in the two layouts that writers use."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

BLACK_REPEAT, BLACK_LEVEL, BLACK_DELTA_H, BLACK_DELTA_V, WHITE_LEVEL = 50713, 50714, 50715, 50716, 50717
ORIENTATION, LINEARIZATION_TABLE, COLOR_MATRIX, AS_SHOT_NEUTRAL = 274, 50712, 50721, 50728
ACTIVE_AREA, NOISE_PROFILE = 50829, 51041

Value = tuple[str, int, Any]  # type as in Python's struct, or `s` for text; number of values; values

BLACK, WHITE = 64, 1023
_DEFAULTS: dict[int, Value] = {
    33421: ("H", 2, (2, 2)),  # CFARepeatPatternDim
    33422: ("B", 4, bytes((0, 1, 1, 2))),  # CFAPattern: RGGB
    50706: ("B", 4, bytes((1, 4, 0, 0))),  # DNGVersion
    50708: ("s", 0, "Fabricated Camera"),  # UniqueCameraModel
    BLACK_LEVEL: ("H", 1, BLACK),
    WHITE_LEVEL: ("H", 1, WHITE),
    AS_SHOT_NEUTRAL: ("2I", 3, (5, 10, 10, 10, 6, 10)),
    COLOR_MATRIX: ("2i", 9, (80, 100, -20, 100, -5, 100, -40, 100, 120, 100, 20, 100, -5, 100, 15, 100, 60, 100)),
    50778: ("H", 1, 21),  # CalibrationIlluminant1: D65
}
_ABOUT_THE_CAMERA = frozenset((ORIENTATION, 50706, 50708, AS_SHOT_NEUTRAL, COLOR_MATRIX, 50778))  # of IFD 0 always


def write_tagged_dng(
    path: Path,
    mosaic: NDArray,
    tags: Mapping[int, Value | None] | None = None,
    preview: bool = False,
    in_ifd0: Mapping[int, Value] | None = None,
    byteorder: str = "<",
) -> Path:
    """Writes a Bayer DNG.

    Args:
        path: the file.
        mosaic: (H, W) of any type that TIFF has.
        tags: tags beside, or instead of, those of a plain camera; None leaves one out.
        preview: whether a small picture stands in IFD 0 and the mosaic in a SubIFD, as Adobe's
            converter writes it; phones write the mosaic into IFD 0.
        in_ifd0: further tags of IFD 0, with a preview.
        byteorder: "<" or ">".
    """
    wanted = {code: value for code, value in (_DEFAULTS | dict(tags or {})).items() if value is not None}
    main = {code: value for code, value in wanted.items() if code in _ABOUT_THE_CAMERA or not preview}
    raw = {code: value for code, value in wanted.items() if code not in _ABOUT_THE_CAMERA or not preview}
    common: dict[str, Any] = {"metadata": None, "software": ""}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path, byteorder=byteorder) as file:  # type: ignore[arg-type]
        if preview:
            thumbnail = np.full((16, 24, 3), 128, np.uint8)
            listed = _listed(main | dict(in_ifd0 or {}))
            file.write(thumbnail, photometric="rgb", subifds=1, subfiletype=1, extratags=listed, **common)
        file.write(mosaic, photometric=32803, subfiletype=0, extratags=_listed(raw), **common)
    return path


def _listed(tags: Mapping[int, Value]) -> list[tuple[int, str, int, Any, bool]]:
    return [(code, *tags[code], False) for code in sorted(tags)]
