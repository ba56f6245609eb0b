"""Small files in real layouts, made by the tests: camera RAW as DNG."""

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

CFA_CODES = {"R": 0, "G": 1, "B": 2}


def write_dng(
    path: Path,
    mosaic: NDArray[np.uint16],
    pattern: str = "RGGB",
    black: int = 64,
    white: int = 1023,
    neutral: tuple[float, float, float] = (0.5, 1.0, 0.625),
    xyz2cam: NDArray | None = None,
    noise_profile: list[float] | None = None,
    model: tuple[str, str] = ("Fabricated", "Camera"),
) -> Path:
    """Write a Bayer DNG that LibRaw opens; `mosaic` in sensor units, `pattern` may also be a 6x6 X-Trans string."""
    side = int(len(pattern) ** 0.5)
    rational = lambda values: [part for value in values for part in (round(value * 10000), 10000)]  # noqa: E731
    tags = [
        (271, "s", 0, model[0], False),
        (272, "s", 0, model[1], False),
        (33421, "H", 2, (side, side), False),
        (33422, "B", side * side, bytes(CFA_CODES[letter] for letter in pattern), False),
        (50706, "B", 4, bytes([1, 4, 0, 0]), False),
        (50708, "s", 0, " ".join(model), False),
        (50714, "H", 1, black, False),
        (50717, "H", 1, white, False),
        (50728, "2I", 3, rational(neutral), False),
    ]
    if xyz2cam is not None:
        tags.append((50721, "2i", 9, rational(np.asarray(xyz2cam).flatten()), False))
        tags.append((50778, "H", 1, 21, False))  # D65
    if noise_profile is not None:
        tags.append((51041, "d", len(noise_profile), noise_profile, False))
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, mosaic, photometric=32803, metadata=None, software="", extratags=sorted(tags))
    return path
