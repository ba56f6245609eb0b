"""Small SIDD-Medium scenes and RAW frames whose noise is known."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.pairs.store import Record
from tests.support.dnd import write_array
from tests.support.pictures import random_picture, write_dng

# A scene for each pattern; SIDD itself has no GBRG, so the table names a camera of ours.
SCENES = {
    "RGGB": "0031_001_IP_01600_02000_3200_N",
    "BGGR": "0021_001_GP_10000_05000_5500_N",
    "GRBG": "0009_001_S6_00800_00350_3200_L",
    "GBRG": "0300_001_QQ_00800_00350_3200_L",
}
COLORS = ("R", "Gr", "Gb", "B")
SHOT_NOISE, READ_NOISE = 2e-3, 1e-4  # variances; a deviation of 0.03 at a signal of 0.5

White = Callable[[np.random.Generator, int, int], NDArray]


def red_at(pattern: str) -> tuple[int, int]:
    """Returns row and column of the red pixel in the first tile of a pattern."""
    row, column = divmod(pattern.index("R"), 2)
    return row, column


def planes_of(mosaic: NDArray, pattern: str) -> list[NDArray]:
    """Returns views of R, G_r, G_b, B of a mosaic with even sides, by hand.

    G_r is the green in the rows of red.
    """
    row, column = red_at(pattern)
    return [mosaic[(row + down) % 2 :: 2, (column + right) % 2 :: 2] for down in (0, 1) for right in (0, 1)]


def clean_mosaic(height: int, width: int, seed: int = 0, low: float = 0.2, high: float = 0.8) -> NDArray[np.float64]:
    """Returns a smooth picture between two levels of signal."""
    picture = random_picture(height, width, np.uint16, seed)[..., 0].astype(np.float64) / 65535
    return low + (high - low) * picture


def white(rng: np.random.Generator, height: int, width: int) -> NDArray:
    return rng.standard_normal((height, width))


def add_noise(
    clean: NDArray,
    pattern: str = "RGGB",
    shot: float = SHOT_NOISE,
    read: float = READ_NOISE,
    factors: Sequence[float] = (1, 1, 1, 1),
    source: White = white,
    seed: int = 1,
) -> NDArray[np.float64]:
    """Adds noise of the variance factor * (shot * clean + read).

    The factors are those of R, G_r, G_b, B. `source` draws noise of variance 1.
    """
    rng = np.random.default_rng(seed)
    noisy = clean.copy()
    for plane, factor in zip(planes_of(noisy, pattern), factors, strict=True):
        plane += np.sqrt(factor * (shot * plane + read)) * source(rng, *plane.shape)
    return noisy


def write_scene(folder: Path, scene: str, noisy: NDArray | None, clean: NDArray | None, number: str = "010") -> Path:
    """Writes the files of one scene into `folder`/scene; None leaves one out."""
    place = folder / scene
    for kind, mosaic in (("NOISY", noisy), ("GT", clean)):
        if mosaic is not None:
            write_array(place / f"{scene[:4]}_{kind}_RAW_{number}.MAT", "x", mosaic.astype(np.float32))
    return place


def write_known_cameras(folder: Path) -> None:
    """Writes bayer_patterns.csv with a camera for each pattern."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{scene.split('_')[2]},{pattern}" for pattern, scene in SCENES.items()]
    (folder / "bayer_patterns.csv").write_text("\n".join(["camera_id,bayer_pattern", *lines]) + "\n")


def write_levels(folder: Path, scenes: Sequence[str], shot: float = SHOT_NOISE, read: float = READ_NOISE) -> None:
    """Writes noise_level_functions.csv, where green has twice the levels of red and blue."""
    lines = ["scene,beta1_r,beta2_r,beta1_g,beta2_g,beta1_b,beta2_b"]
    lines += [f"{scene},{shot},{read},{2 * shot},{2 * read},{shot},{read}" for scene in scenes]
    (folder / "noise_level_functions.csv").write_text("\n".join(lines) + "\n")


def write_frame(path: Path, mosaic: NDArray, pattern: str = "RGGB", **options: object) -> Path:
    """Writes a frame as DNG of 16 bits, with black at 1000 so that values below it remain."""
    values = np.round(mosaic * 60000 + 1000).clip(0, 61000).astype(np.uint16)
    return write_dng(path, values, pattern, 1000, 61000, **options)  # type: ignore[arg-type]


def window_of(place: Record) -> tuple[slice, slice]:
    """Returns rows and columns of the stored mosaic that a manifest's `residual` tells."""
    return slice(place["top"], place["top"] + place["height"]), slice(place["left"], place["left"] + place["width"])
