"""Simulated cameras: their parameters, how they are drawn, and the way back to their sensors.

A camera that is fully known turns a clean sRGB photo into the RAW that it would have recorded;
Brooks et al. (CVPR 2019, arXiv 1811.11127) call that unprocessing. Cameras drawn at random widen
the colours that networks see when few RAW files are at hand.

`SimulatedCamera` is one camera, for photos that LibRaw rendered. Batches of the same cameras, in
both directions and on the training device, are `SimulatedCameras` of
networks/synthesis/simulated_cameras.py.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.color import colorimetry

# XYZ (D65) -> camera, times 10000: Adobe's matrices as LibRaw knows them.
XYZ2CAM = {
    "Sony ILCE-7R": (4913, -541, -202, -6130, 13513, 2906, -1564, 2151, 7183),
    "Sony DSC-RX100M4": (6596, -2079, -562, -4782, 13016, 1933, -970, 1581, 5181),
    "Olympus E-M10": (8380, -2630, -639, -2887, 10725, 2496, -627, 1427, 5438),
    "Olympus E-M1": (7687, -1984, -606, -4327, 11928, 2721, -1381, 2339, 6452),
    "Nikon D600": (8178, -2245, -609, -4857, 12394, 2776, -1207, 2086, 7298),
    "Nikon D800": (7866, -2108, -555, -4869, 12483, 2681, -1176, 2069, 7501),
    "Nikon D5": (9200, -3522, -992, -5755, 13803, 2117, -753, 1486, 6338),
    "Canon EOS 5D Mark III": (6722, -635, -963, -4287, 12460, 2028, -908, 2162, 5668),
    "Canon EOS 6D": (7034, -804, -1014, -4420, 12564, 2058, -851, 1994, 5758),
    "Canon EOS 600D": (6461, -907, -882, -4300, 12184, 2378, -819, 1944, 5931),
    "Canon EOS 80D": (7457, -671, -937, -4849, 12495, 2643, -1213, 2354, 5492),
    "Panasonic DMC-GH4": (7122, -2108, -512, -3155, 11201, 2231, -541, 1423, 5045),
    "Panasonic DMC-LX100": (8844, -3538, -768, -3709, 11762, 2200, -698, 1792, 5220),
    "Pentax K-5": (8713, -2833, -743, -4342, 11900, 2772, -722, 1543, 6247),
    "Leica M9": (6687, -1751, -291, -3556, 11373, 2492, -548, 2204, 7146),
}


@dataclass(frozen=True)
class SimulatedCamera:
    """One camera under one light.

    Attributes:
        cam2rgb: (3, 3) white-balanced camera colours to linear sRGB.
        white_balance: (3,) gains for R, G, B that the camera applied; green = 1.
    """

    cam2rgb: NDArray[np.float64]
    white_balance: NDArray[np.float64]

    def unprocess(self, srgb: NDArray) -> NDArray[np.float32]:
        """Sends a photo backwards to the sensor, as if LibRaw had rendered it by default.

        That is without automatic brightness and with the BT.709 curve.

        Args:
            srgb: (H, W, 3) display-encoded, [0, 1].

        Returns:
            (H, W, 3) camera colours at every pixel, linear, [0, 1]; sample them with
            `bayer.mosaic`.
        """
        return self.sense(colorimetry.bt709_decode(srgb))

    def sense(self, linear_rgb: NDArray, brightness: float = 1.0) -> NDArray[np.float32]:
        """Sends linear light backwards to the sensor: inverse colour matrix, inverse white balance.

        Bright neutral pixels keep their value, since a clipped highlight was bright on the sensor
        in all channels (Brooks et al., Sec. 3.1.3).

        Args:
            linear_rgb: (H, W, 3) linear sRGB, [0, 1].
            brightness: gain that the camera applied to all channels; 1 leaves the sensor's exposure
                as it was.

        Returns:
            (H, W, 3) camera colours at every pixel, linear, [0, 1].
        """
        balanced = colorimetry.apply_matrix(linear_rgb, np.linalg.inv(self.cam2rgb))
        inverse_gains = 1 / (brightness * self.white_balance / self.white_balance.min())
        gray = balanced.mean(axis=-1, keepdims=True)
        highlight = (np.clip(gray - _SHOULDER, 0, None) / (1 - _SHOULDER)) ** 2
        gains = np.maximum(highlight + (1 - highlight) * inverse_gains, inverse_gains)
        return np.clip(balanced * gains, 0, 1).astype(np.float32)


DAYLIGHT = 5500.0  # kelvin
DAYLIGHT_SPREAD = 45.0  # mired: two thirds of the light between 4400 and 7300 K
_SHOULDER = 0.9  # signal above which highlights are kept, Brooks et al.


def sample_camera(
    rng: np.random.Generator, light_spread: float = DAYLIGHT_SPREAD, light_center: float = DAYLIGHT
) -> SimulatedCamera:
    """Draws a random camera under a random light.

    The matrix is a random mixture of all known ones, as in Brooks et al. The light is daylight more
    often than not: its reciprocal temperature is normal around 5500 K, from 2500 to 9000 K. In this
    way the gains of red and blue fit the matrix and each other (ours: Brooks et al. draw them
    independently).

    Args:
        rng: all draws come from it.
        light_spread: standard deviation of the light in mired, 1e6 / K. With 100 a quarter of the
            lights are lamps below 4000 K. Draws beyond the range are clipped, so that another
            quarter has exactly 9000 K.
        light_center: the middle of the lights in kelvin. Lamps light most pictures of phones.
    """
    weights = rng.dirichlet(np.ones(len(XYZ2CAM)))
    mixture = sum(w * np.reshape(m, (3, 3)) / 1e4 for w, m in zip(weights, XYZ2CAM.values(), strict=True))
    mired = np.clip(rng.normal(1e6 / light_center, light_spread), 1e6 / 9000, 1e6 / 2500)
    xyz2cam = np.asarray(mixture)
    return SimulatedCamera(
        colorimetry.cam2rgb_from_xyz2cam(xyz2cam), colorimetry.white_balance_gains(xyz2cam, 1e6 / mired)
    )
