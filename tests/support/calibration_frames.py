"""Calibration frames of a fabricated camera, as DNG files with EXIF."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.raw.dng.tiff_writer import (
    BYTE,
    LONG,
    RATIONAL,
    SHORT,
    encode_ifds,
    number_tag,
    text_tag,
)

HEIGHT, WIDTH = 128, 192
COLOURS = np.array([[0.6, 1.0], [0.98, 0.7]])  # light at the sites of an RGGB tile


@dataclass(frozen=True)
class FakeCamera:
    """A camera of known noise, in digital numbers.

    Attributes:
        gain: DN per electron.
        read: deviation of read noise.
        row: deviation of what a row shares.
        black, white: levels.
        name: maker and model.
        dead: row and column of each photosite that sees no light.
    """

    gain: float = 0.5
    read: float = 3.0
    row: float = 0.6
    black: int = 512
    white: int = 16383
    name: tuple[str, str] = ("Fabricated", "Fabricated Camera")
    dead: tuple[tuple[int, int], ...] = ()

    def frame(self, light: NDArray | float, seed: int, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> NDArray[np.uint16]:
        """Returns a mosaic under some light, in DN above black at the brightest site."""
        rng = np.random.default_rng(seed)
        height, width = shape
        expected = np.tile(COLOURS, (height // 2, width // 2)) * light
        for row, column in self.dead:
            expected[row, column] = 0
        counted = rng.poisson(np.maximum(expected, 0) / self.gain) * self.gain
        noise = self.read * rng.standard_normal(shape) + self.row * rng.standard_normal((height, 1))
        return np.clip(np.rint(self.black + counted + noise), 0, self.white).astype(np.uint16)


CAMERA = FakeCamera()


def vignetting(shape: tuple[int, int] = (HEIGHT, WIDTH), strength: float = 0.3) -> NDArray[np.float64]:
    """Returns how much light of an even surface arrives, 1 in the middle."""
    rows, columns = (np.linspace(-1, 1, length) for length in shape)
    return 1 - strength * (rows[:, None] ** 2 + columns**2) / 2


def scene(seed: int = 5, shape: tuple[int, int] = (HEIGHT, WIDTH), light: float = 4000.0) -> NDArray[np.float64]:
    """Returns the light of a scene with edges."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0.1, 1, (shape[0] // 16, shape[1] // 16))
    return light * np.kron(coarse, np.ones((16, 16)))


def write_frame(
    path: Path, mosaic: NDArray[np.uint16], iso: int | None, exposure: float, camera: FakeCamera = CAMERA, **tags: int
) -> Path:
    """Writes a frame as a camera's DNG.

    Args:
        path: the file.
        mosaic: (H, W), RGGB.
        iso: the setting; None leaves it out.
        exposure: in seconds.
        camera: gives levels and name.
        tags: `compression`, which replaces what is true.
    """
    height, width = mosaic.shape
    strip = mosaic.astype("<u2").tobytes()
    layout = {254: 0, 256: width, 257: height, 258: 16, 259: tags.get("compression", 1), 262: 32803, 277: 1}
    layout |= {278: height, 279: len(strip)}
    order = "<"
    main = [number_tag(order, code, LONG if code in (254, 279) else SHORT, value) for code, value in layout.items()]
    main += [text_tag(order, code, text) for code, text in zip((271, 272), camera.name, strict=True)]
    main += [
        number_tag(order, 33421, SHORT, 2, 2),
        number_tag(order, 33422, BYTE, 0, 1, 1, 2),
        number_tag(order, 50706, BYTE, 1, 4, 0, 0),
        text_tag(order, 50708, " ".join(camera.name)),
        number_tag(order, 50714, SHORT, camera.black),
        number_tag(order, 50717, SHORT, camera.white),
        number_tag(order, 50728, RATIONAL, 0.5, 1.0, 0.625),
    ]
    exif = [number_tag(order, 33434, RATIONAL, exposure)]
    exif += [] if iso is None else [number_tag(order, 34855, SHORT, iso)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_ifds(order, main, exif, (), strip))
    return path


def write_calibration(
    folder: Path, iso: int = 800, camera: FakeCamera = CAMERA, levels: int = 4, darks: int = 4, seed: int = 0
) -> Path:
    """Writes pairs of flat frames at several exposures, and dark frames, of one ISO setting."""
    for level in range(levels):
        light = 9000.0 / 2**level
        for number in range(2):
            mosaic = camera.frame(light * vignetting(), seed + 10 * level + number)
            write_frame(folder / f"flat{iso}_{level}_{number}.dng", mosaic, iso, 0.5 / 2**level, camera)
    for number in range(darks):
        mosaic = camera.frame(0.0, seed + 1000 + number)
        write_frame(folder / f"dark{iso}_{number}.dng", mosaic, iso, 0.001, camera)
    return folder
