"""Cameras for benchmarks/isp.py to compare RGB2RAW with: what to guess about the camera of a photo.

`SimulatedCamera` knows LibRaw's curve. `BrooksCamera` has the tone curve and the brightness of
Brooks et al. (CVPR 2019, arXiv 1811.11127), whose unprocessing this is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.color import colorimetry
from cycleisp.utils.color.simulated_camera import XYZ2CAM, SimulatedCamera

MEAN_XYZ2CAM = np.mean([np.reshape(matrix, (3, 3)) / 1e4 for matrix in XYZ2CAM.values()], axis=0)


def inverse_smoothstep(toned: NDArray) -> NDArray:
    """Inverts `colorimetry.smoothstep`, [0, 1] -> [0, 1]."""
    return 0.5 - np.sin(np.arcsin(1 - 2 * np.clip(toned, 0, 1)) / 3)


@dataclass(frozen=True)
class BrooksCamera(SimulatedCamera):
    """A camera that renders as Brooks et al. assume: brightness, smoothstep, sRGB curve.

    Attributes:
        brightness: gain that the camera applied to all channels.
    """

    brightness: float = 1.0

    def unprocess(self, srgb: NDArray) -> NDArray[np.float32]:
        return self.sense(inverse_smoothstep(colorimetry.srgb_decode(srgb)), self.brightness)


def typical_camera() -> SimulatedCamera:
    """Returns the mean camera in daylight, 5500 K, for photos that LibRaw rendered."""
    cam2rgb = colorimetry.cam2rgb_from_xyz2cam(MEAN_XYZ2CAM)
    return SimulatedCamera(cam2rgb, colorimetry.white_balance_gains(MEAN_XYZ2CAM, 5500.0))


def typical_brooks_camera() -> BrooksCamera:
    """Returns the mean of the cameras that Brooks et al. draw.

    Its gains are 2.15 for red and 1.7 for blue, and its brightness is 1 / 0.8.
    """
    cam2rgb = colorimetry.cam2rgb_from_xyz2cam(MEAN_XYZ2CAM)
    return BrooksCamera(cam2rgb, np.array([2.15, 1.0, 1.7]), brightness=1 / 0.8)
