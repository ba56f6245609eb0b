"""Display curves that the project only inverts, forwards."""

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.color.colorimetry import BT709_OFFSET, BT709_TOE


def bt709_encode(linear: NDArray) -> NDArray:
    """Applies the BT.709 curve, LibRaw's default, to [0, 1]. Clips the rest."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear < BT709_TOE, 4.5 * linear, (1 + BT709_OFFSET) * linear**0.45 - BT709_OFFSET)
