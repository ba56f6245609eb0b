"""A camera with known noise, and the calibration frames that it takes."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import expit

from cycleisp.utils.errors import UserError
from cycleisp.utils.raw.calibration.frames import SITES, Frame, Kind, tile_of


@dataclass
class FabricatedCamera:
    """A sensor of known noise. Numbers are in DN, as the file has them.

    Attributes:
        bits: of the file's numbers.
        gain: DN per electron.
        sigma_read: deviation of read noise.
        tukey_lambda: its shape; None for a Gaussian.
        sigma_row, sigma_column, sigma_fixed: of the offsets of rows, columns and photosites.
        black: of R, G_r, G_b and B.
        lowest: smaller numbers are raised to it.
        hot_density, hot_amplitude: share of the photosites, and the mean of their dark current.
        dead_density: share of the photosites that see no light.
        step: distance of two levels.
    """

    bits: int = 14
    gain: float = 2.0
    sigma_read: float = 5.0
    tukey_lambda: float | None = None
    sigma_row: float = 0.6
    sigma_column: float = 0.3
    sigma_fixed: float = 1.0
    black: tuple[float, float, float, float] = (512.0, 512.4, 511.7, 512.2)
    lowest: int = 0
    hot_density: float = 0.0
    hot_amplitude: float = 0.0
    dead_density: float = 0.0
    step: int = 1
    height: int = 256
    width: int = 256
    pattern: str = "RGGB"
    seed: int = 0
    iso: float = 800.0
    random: np.random.Generator = field(init=False, repr=False)  # of the frames
    offsets: NDArray = field(init=False, repr=False)  # black and fixed pattern of each photosite
    current: NDArray = field(init=False, repr=False)  # dark current of hot photosites, 0 at the others
    dead: NDArray = field(init=False, repr=False)  # which photosites see no light

    def __post_init__(self) -> None:
        sensor = np.random.default_rng([self.seed, 1])
        shape = self.height, self.width
        fixed = sensor.normal(0, self.sigma_fixed, shape)
        hot = sensor.random(shape) < self.hot_density
        level = dict(zip(SITES, self.black, strict=True))
        black = np.array([[level[name] for name in row] for row in tile_of(self.pattern)])
        self.offsets = fixed + np.tile(black, (self.height // 2, self.width // 2))
        self.current = np.where(hot, sensor.exponential(max(self.hot_amplitude, 1e-9), shape), 0.0)
        self.dead = sensor.random(shape) < self.dead_density
        self.random = np.random.default_rng([self.seed, 2])

    @property
    def white(self) -> int:
        return 2**self.bits - 1

    def expose(self, light: NDArray | float) -> NDArray[np.uint16]:
        """Returns the mosaic of one exposure.

        Args:
            light: expected signal above black, in DN, that broadcasts to (height, width).
        """
        random, shape = self.random, (self.height, self.width)
        light = np.where(self.dead, 0.0, light)
        electrons = random.poisson(np.broadcast_to((light + self.current) / self.gain, shape))
        values = self.offsets + self.gain * electrons + self.sigma_read * self._standard(shape)
        values += self.sigma_row * random.standard_normal((self.height, 1))
        values += self.sigma_column * random.standard_normal((1, self.width))
        values = np.rint(values / self.step) * self.step
        return np.clip(values, self.lowest, self.white).astype(np.uint16)

    def _standard(self, shape: tuple[int, int]) -> NDArray:
        if self.tukey_lambda is None:
            return self.random.standard_normal(shape)
        return tukey_quantile(self.random.random(shape), self.tukey_lambda)

    def frame(self, mosaic: NDArray, kind: Kind, group: str) -> Frame:
        """Returns a mosaic with what its file would say."""
        black = four_numbers(round(level) for level in self.black)
        return Frame(
            path=Path(f"{group}.raw"),
            mosaic=mosaic,
            sites=tile_of(self.pattern),
            black=black,
            white=float(self.white),
            iso=self.iso,
            exposure=0.01,
            kind=kind,
            group=group,
        )

    def darks(self, number: int, group: str = "dark") -> list[Frame]:
        """Returns frames of a closed lens."""
        return [self.frame(self.expose(0.0), "dark", group) for _ in range(number)]

    def flats(
        self, levels: Sequence[float], number: int = 2, flicker: float = 0.0, banded: bool = False
    ) -> list[Frame]:
        """Returns flat frames with vignetting and dust.

        Args:
            levels: brightness at the centre of each exposure, as shares of the range above black.
            number: frames at each exposure.
            flicker: relative deviation of the lamp's brightness between frames.
            banded: whether it also changes along the rows of a frame, with this amplitude.
        """
        scene = self.vignetting()
        frames = []
        for level in levels:
            light = level * (self.white - min(self.black)) * scene
            for _ in range(number):
                lamp = 1 + flicker * self.random.standard_normal()
                rows = np.arange(self.height)[:, None] / self.height
                bands = 1 + flicker * banded * np.sin(2 * np.pi * (3 * rows + self.random.random()))
                frames.append(self.frame(self.expose(light * lamp * bands), "flat", f"flat {level:g}"))
        return frames

    def vignetting(self) -> NDArray:
        """Returns the light of a wall, 1 in the middle, with dark corners and grains of dust."""
        y, x = np.meshgrid(np.linspace(-1, 1, self.height), np.linspace(-1, 1, self.width), indexing="ij")
        scene = 1 - 0.25 * (x**2 + y**2)
        for row, column in ((-0.4, 0.3), (0.5, -0.1)):
            scene *= 1 - 0.3 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 0.002)
        return scene


def tukey_quantile(uniform: NDArray, shape: float) -> NDArray:
    """Returns quantiles of Tukey's lambda distribution with deviation 1, by its definition."""
    gap = np.clip(uniform, 1e-300, 1 - 1e-16)
    quantile = np.log(gap / (1 - gap)) if shape == 0 else (gap**shape - (1 - gap) ** shape) / shape
    return quantile / np.sqrt(tukey_variance(shape))


def tukey_variance(shape: float) -> float:
    """Returns the variance of Tukey's lambda distribution, by numerical integration."""

    def square(log_odds: float) -> float:
        u, rest = expit(log_odds), expit(-log_odds)
        value = log_odds if shape == 0 else (u**shape - rest**shape) / shape
        return value**2 * u * rest

    return float(quad(square, -700, 700, points=[-40, 0, 40], limit=500)[0])


def four_numbers(values: Iterable[float]) -> tuple[float, float, float, float]:
    """Returns four values as the numbers of R, G_r, G_b and B."""
    first, second, third, fourth = values
    return float(first), float(second), float(third), float(fourth)


def eld_cameras(path: Path) -> dict[str, FabricatedCamera]:
    """Returns the cameras of a file with ELD's parameters, each at its lowest and highest gain."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))["cameras"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path}: expected ELD's cameras as JSON ({error}); leave --eld out, or give that file"
        ) from None
    cameras = {}
    for name, camera in content.items():
        for end, gain in (("low", camera["Kmin"]), ("high", camera["Kmax"])):
            index = 0 if end == "low" else -1
            sigma = {
                key: math.exp(line["slope"] * math.log(gain) + line["bias"])
                for key, line in camera.items()
                if key.startswith("sigma_")
            }
            shape = camera["tukey_shapes"][index]
            cameras[f"{name} {end}"] = FabricatedCamera(
                gain=gain,
                sigma_read=sigma["sigma_TL"] * math.sqrt(tukey_variance(shape)),
                tukey_lambda=shape,
                sigma_row=sigma["sigma_R"],
                sigma_column=0.0,
                sigma_fixed=0.5,
                black=four_numbers(800 + offset for offset in camera["color_bias"][index]),
            )
    return cameras
