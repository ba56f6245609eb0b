"""Bayer mosaics as DNG files, which every raw converter opens."""

import io

import numpy as np
import tifffile
from numpy.typing import NDArray

from cycleisp.utils.color.colorimetry import RGB2XYZ
from cycleisp.utils.images import to_16bit
from cycleisp.utils.raw import bayer

_CFA_CODES = {"R": 0, "G": 1, "B": 2}
_D65 = 21
_ORIENTATIONS = {0: 1, 1: 8, 2: 3, 3: 6}  # quarter turns counter-clockwise -> TIFF
_FRACTION = 1_000_000


def encode_dng(
    mosaic: NDArray[np.float32],
    pattern: str,
    white_balance: NDArray[np.float64],
    cam2rgb: NDArray[np.float64] | None,
    description: str = "",
    quarter_turns: int = 0,
) -> bytes:
    """Encodes a linear mosaic as DNG: 16 bits, black 0, white 65535.

    Args:
        mosaic: (H, W) in [0, 1].
        pattern: Bayer tile at its top-left pixel.
        white_balance: (3,) as-shot gains, green = 1.
        cam2rgb: (3, 3) white-balanced camera colours to linear sRGB; None leaves the sensor's
            colours as they are.
        description: text about the picture, stored in the file.
        quarter_turns: number of counter-clockwise quarter turns that turn the picture upright.

    Raises:
        ValueError: unknown pattern.
    """
    codes = bytes(_CFA_CODES[letter] for letter in bayer.check_pattern(pattern))
    neutral = 1 / np.asarray(white_balance)
    # White under D65 must give `neutral`, then as-shot white balance and matrix together are
    # `cam2rgb` after the gains.
    rgb2cam = np.eye(3) if cam2rgb is None else np.linalg.inv(cam2rgb)
    xyz2cam = np.diag(neutral) @ rgb2cam @ np.linalg.inv(RGB2XYZ)
    tags = [
        (274, "H", 1, _ORIENTATIONS[quarter_turns % 4], False),  # Orientation
        (33421, "H", 2, (2, 2), False),  # CFARepeatPatternDim
        (33422, "B", 4, codes, False),  # CFAPattern
        (50706, "B", 4, bytes((1, 4, 0, 0)), False),  # DNGVersion
        (50708, "s", 0, "CycleISP denoised", False),  # UniqueCameraModel
        (50714, "H", 1, 0, False),  # BlackLevel
        (50717, "H", 1, 65535, False),  # WhiteLevel
        (50721, "2i", 9, _rationals(xyz2cam), False),  # ColorMatrix1
        (50728, "2I", 3, _rationals(neutral), False),  # AsShotNeutral
        (50778, "H", 1, _D65, False),  # CalibrationIlluminant1
    ]
    levels = to_16bit(mosaic)
    content = io.BytesIO()
    tifffile.imwrite(
        content, levels, photometric=32803, metadata=None, software="", description=description, extratags=tags
    )
    return content.getvalue()


def _rationals(values: NDArray) -> list[int]:
    return [part for value in np.asarray(values).flatten() for part in (round(value * _FRACTION), _FRACTION)]
