"""Changes of a photo's colours, as another camera or an editor would make them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.color import colorimetry


@dataclass(frozen=True)
class ColorChange:
    """A change of all colours of a picture, the same at every pixel. The defaults change nothing.

    Attributes:
        gains: of linear red, green and blue, for white balance and exposure.
        gamma: exponent of display-encoded values; below 1 brightens.
        contrast: part of the S-shaped curve 3x^2 - 2x^3 in the tone curve.
        saturation: factor of the colour differences; 0 is grey.
        hue: angle in degrees by which the colour differences are turned.
    """

    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    contrast: float = 0.0
    saturation: float = 1.0
    hue: float = 0.0

    def apply(self, photo: NDArray) -> NDArray[np.float32]:
        """Changes the colours of a photo (..., 3), display-encoded, in [0, 1]; clips to [0, 1]."""
        changed = np.asarray(photo, dtype=np.float32)
        if self.gains != (1.0, 1.0, 1.0):
            changed = colorimetry.srgb_encode(
                colorimetry.srgb_decode(changed) * np.asarray(self.gains, dtype=np.float32)
            )
        if self.gamma != 1.0:
            changed = changed**self.gamma
        if self.contrast != 0.0:
            changed = changed + self.contrast * (colorimetry.smoothstep(changed) - changed)
        if (self.saturation, self.hue) != (1.0, 0.0):
            changed = colorimetry.apply_matrix(changed, self._chroma_matrix())
        return np.clip(changed, 0, 1).astype(np.float32)

    def _chroma_matrix(self) -> NDArray:
        """Returns the matrix (3, 3) that turns and scales the colour differences.

        It is for display-encoded RGB, and keeps luma and grey.
        """
        cosine, sine = self.saturation * np.cos(np.radians(self.hue)), self.saturation * np.sin(np.radians(self.hue))
        turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
        return np.linalg.inv(colorimetry.RGB2YCC) @ turn @ colorimetry.RGB2YCC
