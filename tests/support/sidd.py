"""Small SIDD data in the true layout: blocks in MATLAB 5 files, tables of cameras and noise."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from cycleisp.dataloaders.sidd.scenes import PATTERNS, VALIDATION_SCENES
from cycleisp.utils.images import Space

SIDE = 16  # of a block; SIDD's have 256
GRID = (40, 32)
BETAS = ("beta1_r", "beta2_r", "beta1_g", "beta2_g", "beta1_b", "beta2_b")


def some_blocks(space: Space, seed: int = 0) -> NDArray:
    """Returns smooth blocks of which no two are equal.

    They are (40, 32, 16, 16, 3) uint8 of sRGB, or (40, 32, 16, 16) float32 in [0.1, 0.9] of RAW.
    """
    rng = np.random.default_rng(seed)
    shape = (*GRID, SIDE, SIDE, 3) if space == "srgb" else (*GRID, SIDE, SIDE)
    across = np.linspace(-1, 1, SIDE).reshape(1, 1, 1, SIDE, *[1] * (len(shape) - 4))
    down = np.swapaxes(across, 2, 3)
    level, first, second = rng.uniform(-1, 1, (3, *GRID, 1, 1, *shape[4:]))
    blocks = 0.5 + 0.15 * level + 0.1 * first * across + 0.1 * second * down
    return _stored(blocks + 0 * rng.random(shape), space)


def with_noise(blocks: NDArray, seed: int = 1) -> NDArray:
    """Returns blocks with noise, clipped to the range of their type."""
    space: Space = "srgb" if blocks.dtype == np.uint8 else "raw"
    unit = blocks / 255 if space == "srgb" else blocks.astype(np.float64)
    return _stored(unit + 0.05 * np.random.default_rng(seed).standard_normal(blocks.shape), space)


def _stored(unit: NDArray, space: Space) -> NDArray:
    clipped = np.clip(unit, 0, 1)
    return np.round(clipped * 255).astype(np.uint8) if space == "srgb" else clipped.astype(np.float32)


def write_blocks(path: Path, blocks: NDArray, compressed: bool = True) -> Path:
    """Writes one of SIDD's files, whose variable is named as the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {path.stem: blocks}, do_compression=compressed)
    return path


def write_validation(folder: Path, noisy: NDArray, clean: NDArray) -> Path:
    """Writes the validation set of either space, and the tables that RAW needs."""
    kind = "Srgb" if clean.dtype == np.uint8 else "Raw"
    write_blocks(folder / f"ValidationNoisyBlocks{kind}.mat", noisy)
    write_blocks(folder / f"ValidationGtBlocks{kind}.mat", clean)
    if kind == "Raw":
        write_noise_levels(folder / "noise_level_functions.csv")
        write_patterns(folder / "bayer_patterns.csv")
    return folder


def noise_levels(number: int) -> dict[str, float]:
    """Returns the six factors of a scene, of which no two are equal, even between scenes."""
    return {name: (1 + number) * (place + 1) * 1e-5 for place, name in enumerate(BETAS)}


def write_noise_levels(path: Path, scenes: Sequence[str] = VALIDATION_SCENES) -> Path:
    """Writes noise_level_functions.csv, where the first of `scenes` has `noise_levels(0)`."""
    lines = [",".join(("scene_instance", *BETAS))]
    for number, scene in enumerate(scenes):
        lines.append(",".join((scene, *(repr(value) for value in noise_levels(number).values()))))
    path.write_text("\n".join(lines) + "\n")
    return path


def write_patterns(path: Path) -> Path:
    """Writes bayer_patterns.csv."""
    lines = ["camera_id,bayer_pattern", *(f"{camera},{pattern}" for camera, pattern in PATTERNS.items())]
    path.write_text("\n".join(lines) + "\n")
    return path
