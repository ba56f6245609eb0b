"""Flat frames and bursts: brightness and variance of every block of a group of frames.

All frames of a group show one scene L. A lamp that flickers gives each frame, and each row of it
where the shutter rolls, a scale a_f of about 1, so that frame f is a_f L + noise with a variance of
gain * a_f L + read. The part of the frames that is not proportional to the scales,

    R = sum_f z_f^2 - (sum_f a_f z_f)^2 / sum_f a_f^2,

holds noise alone, whatever the scene, its vignetting, dust and fixed pattern are. Its mean is

    gain * L * (sum_f a_f - sum_f a_f^3 / sum_f a_f^2) + read * (n - 1).

So R / (n - 1) against the brightness L * (...) / (n - 1) is a line, also for averages over any
photosites. They are averaged over square blocks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.raw.calibration.dark.distributions import Array
from cycleisp.utils.raw.calibration.frames import Frame, Site
from cycleisp.utils.raw.calibration.strips import strips

SIDE = 32  # of a block, in photosites of one colour; less in small frames
BLOCKS = 8  # along the shorter side of a small frame
MARGIN = 6.0  # deviations between a photosite's mean and levels at which values are clipped
BRIGHT = 10.0  # times the rows' offsets: in brighter rows these are small enough to be scales
MOSTLY = 0.5  # of a block's photosites are within the margins, or the block is left out


@dataclass(frozen=True)
class Blocks:
    """Brightness and variance of the blocks of one group, one colour.

    Attributes:
        mean: brightness above black, in DN.
        variance: between the frames of the group, in DN^2, without offsets of rows.
        count: photosites.
        freedom: degrees of freedom of each photosite's variance: frames - 1.
        used: which blocks are free of clipped values. The others' values are for charts.
    """

    mean: Array
    variance: Array
    count: Array
    freedom: int
    used: NDArray[np.bool_]


@dataclass(frozen=True)
class Limits:
    """The levels at which values are clipped, in DN above black; infinite where none is known."""

    low: float
    high: float


def measure_blocks(
    frames: Sequence[Frame],
    site: Site,
    black: float,
    means: Sequence[float],
    limits: Limits,
    advance: Callable[[], object],
) -> Blocks:
    """Measures the noise of a group of two or more frames of one scene.

    Args:
        frames: of equal size.
        site: the colour to measure.
        black: its level, in DN.
        means: of all values of this colour in each frame, in DN.
        limits: outside of which values are clipped.
        advance: called after each strip.
    """
    height, width = frames[0].site(site).shape
    side = max(min(SIDE, min(height, width) // BLOCKS), 1)
    above = np.maximum(np.array(means) - black, 1e-9)
    frame_scale = above / above.mean()
    parts = []
    for _, values in strips(frames, site, multiple=side):
        whole = values.shape[1] // side * side
        if whole:
            parts.append(_blocks(values[:, :whole] - black, frame_scale, side, limits))
        advance()
    mean, variance, count, used = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Blocks(mean, variance, count, len(frames) - 1, used)


def _blocks(
    signal: Array, frame_scale: Array, side: int, limits: Limits
) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    """Returns mean, variance and count of the blocks of a strip, and which of them to use."""
    scale, offset = _row_scales(signal, frame_scale)
    signal = signal - offset[:, :, None]
    squared = np.square(scale).sum(axis=0)[:, None]  # (rows, 1)
    scene = (scale[:, :, None] * signal).sum(axis=0) / squared  # least squares
    free = len(signal) - 1
    residual = np.square(signal - scale[:, :, None] * scene).sum(axis=0)
    variance = residual / free / (1 - 1 / signal.shape[2])
    shift = (scale.sum(axis=0)[:, None] - (scale**3).sum(axis=0)[:, None] / squared) / free
    inside = _inside(_tiles(scene, side), _tiles(variance, side), limits)
    return _averaged(_tiles(scene * shift, side), _tiles(variance, side), inside)


def _row_scales(signal: Array, frame_scale: Array) -> tuple[Array, Array]:
    """Returns the scale and the offset of every row in every frame, (frames, rows) each.

    The mean of a row tells one of the two. In bright rows it is the scale, which takes out lamps
    that flicker while the shutter rolls; in dark rows it is the offset, as that of row noise.
    """
    rows = signal.mean(axis=2)  # (frames, rows)
    mean = rows.mean(axis=0)
    offsets = rows - frame_scale[:, None] * mean
    bright = mean > BRIGHT * np.sqrt(np.square(offsets).mean())
    own = rows / np.where(bright, mean, 1.0)
    scale = np.where(bright, own, frame_scale[:, None])
    return scale, np.where(bright, 0.0, offsets)


def _tiles(plane: Array, side: int) -> Array:
    """Returns the square blocks of a plane, (blocks, side * side)."""
    height, width = plane.shape[0] // side, plane.shape[1] // side
    whole = plane[: height * side, : width * side].reshape(height, side, width, side)
    return whole.swapaxes(1, 2).reshape(height * width, side * side)


def _inside(scene: Array, variance: Array, limits: Limits) -> NDArray[np.bool_]:
    """Tells which photosites of the blocks are so far from the limits that no value is clipped.

    The mean over frames decides. It does not depend on the noise between the frames, as a choice
    by single values would.
    """
    usual = np.maximum(scene.mean(axis=1, keepdims=True), 1e-9)
    sigma = np.sqrt(variance.mean(axis=1, keepdims=True) * np.maximum(scene / usual, 1.0))
    return (scene > limits.low + MARGIN * sigma) & (scene < limits.high - MARGIN * sigma)


def _averaged(
    scene: Array, variance: Array, inside: NDArray[np.bool_]
) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    count = inside.sum(axis=1)
    used = count >= MOSTLY * scene.shape[1]
    weight = np.where(used[:, None], inside, True)
    number = weight.sum(axis=1)
    return (scene * weight).sum(axis=1) / number, (variance * weight).sum(axis=1) / number, number.astype(float), used
