"""The variance of a picture's noise at each level of brightness, with texture taken out.

Texture is told from noise by its scales: white noise varies as much between neighbours as at twice
the distance, and as much in a diagonal as along an edge; texture varies more at a distance and
along edges. So the blocks of a level that vary least at coarse scales are taken. What they vary
along edges more than in the diagonal is due to texture that is left in them; the picture's own
textured blocks say how much of it reaches the diagonal, and that much is subtracted.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.raw.picture_noise.blocks import EDGES, FINE, SAMPLES, Blocks

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]

MOST_LEVELS, BLOCKS_A_LEVEL = 24, 32
FEWEST = 8  # blocks that a level needs
_APART = 3.0  # deviations of a block's mean by which the levels of a picture differ at least
_FLATTEST, _ENOUGH = 0.2, 100  # share of a level's blocks that is taken at least, or as many blocks
_NOISE_ALONE = 1.88  # which the mean square of COARSE normal numbers exceeds in 5 % of blocks
_OUTLIER = 4.0  # times the median, which FINE normal numbers never reach; hot photosites do
_DARKEST, _BRIGHTEST = 0.9, 0.9  # share of a level's samples that may be clipped at black; brightness near white
_MOST_AT_WHITE = 0.3
_BRIGHT, _OF_TOP = 0.5, 0.85  # where saturation may begin, and the share of the brightest block below it
_LEAST = 1e-40  # variance, far below rounding; a uniform level has none
_TEXTURED = 2.5, 15.0  # times the noise: coarse variation of the blocks that show what texture is like
_USUAL_SHARE, _SHARES = 0.3, (0.1, 0.6)  # of edges' variation that reaches the diagonal; from photos
_DOUBT = 0.5  # of what is subtracted for texture, one part in two is uncertain


@dataclass(frozen=True)
class Level:
    """The noise at one level of brightness of a plane.

    Attributes:
        mean: of the values.
        variance: of the noise in them.
        error: standard error of the variance, from the number of blocks.
        texture: what was subtracted for texture.
        doubt: standard error of that.
        low, high: the ends of the range that has clipped the values.
    """

    mean: float
    variance: float
    error: float
    texture: float
    doubt: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class _Bin:
    """Blocks of about one brightness, by their places among all blocks of the plane."""

    members: NDArray[np.intp]
    flat: NDArray[np.intp]
    noise: float


def levels_of(blocks: Blocks, low: float, high: float, rounding: float = 0.0) -> tuple[list[Level], Mask]:
    """Returns the levels of a plane, and which of its blocks are flat, (rows, columns).

    There are none where the plane is uniform, too small, or at an end of its range everywhere.

    Args:
        blocks: of the plane.
        low, high: the ends of its range.
        rounding: the variance that rounding has added, which noise is not below even where all
            values of a block are rounded to one.
    """
    bins = [found for members in _by_brightness(blocks) if (found := _flat_part(blocks, members, rounding)) is not None]
    share = _share_in_diagonal(blocks, bins)
    flat = np.zeros(blocks.mean.size, dtype=bool)
    for one in bins:
        flat[one.flat] = True
    levels = [_level(blocks, one, share, low, high, rounding) for one in bins]
    return levels, flat.reshape(blocks.mean.shape)


def _by_brightness(blocks: Blocks) -> list[NDArray[np.intp]]:
    """Sorts the blocks that hold something to be measured into levels of brightness."""
    mean, fine = blocks.mean.ravel(), blocks.fine.ravel()
    usable = np.flatnonzero((blocks.lowest.ravel() < 1) & (blocks.highest.ravel() < 1) & np.isfinite(mean))
    top = float(mean[usable].max(initial=0.0))
    if top > _BRIGHT:  # some sensors saturate below the white level of their files, and not at once
        below = usable[mean[usable] < min(_BRIGHTEST, _OF_TOP * top)]
        usable = below if len(below) >= FEWEST else usable
    if len(usable) < FEWEST:
        return []
    count = min(MOST_LEVELS, max(1, len(usable) // BLOCKS_A_LEVEL))
    parts = np.array_split(usable[np.argsort(mean[usable], kind="stable")], count)
    merged = [parts[0]]
    for part in parts[1:]:  # levels that differ by chance alone would mix up brightness and noise
        apart = _APART * math.sqrt(float(np.median(fine[part])) / SAMPLES)
        if mean[part].mean() - mean[merged[-1]].mean() < apart:
            merged[-1] = np.concatenate([merged[-1], part])
        else:
            merged.append(part)
    return merged


def _flat_part(blocks: Blocks, members: NDArray[np.intp], rounding: float) -> _Bin | None:
    """Chooses the blocks of a level that vary no more at coarse scales than noise does."""
    if blocks.lowest.ravel()[members].mean() > _DARKEST or blocks.highest.ravel()[members].mean() > _MOST_AT_WHITE:
        return None
    if blocks.mean.ravel()[members].mean() > _BRIGHTEST:
        return None
    fine, coarse = np.maximum(blocks.fine.ravel()[members], rounding), blocks.coarse.ravel()[members]
    order = np.argsort(coarse, kind="stable")
    fewest = max(FEWEST, min(math.ceil(_FLATTEST * len(members)), _ENOUGH))
    chosen = order[:fewest]
    for _ in range(2):
        noise = float(fine[chosen].mean())
        count = max(fewest, int((coarse <= _NOISE_ALONE * noise).sum()))
        chosen = order[:count]
    chosen = chosen[fine[chosen] <= _OUTLIER * np.median(fine[chosen])]
    if len(chosen) < FEWEST or not fine[chosen].mean() > _LEAST:
        return None
    return _Bin(members, members[chosen], float(fine[chosen].mean()))


def _share_in_diagonal(blocks: Blocks, bins: list[_Bin]) -> float:
    """Returns how much of what this picture's texture varies along edges is in the diagonal."""
    diagonal = along = noise = 0.0
    for one in bins:
        fine, edges, coarse = (part.ravel()[one.members] for part in (blocks.fine, blocks.edges, blocks.coarse))
        textured = (coarse > _TEXTURED[0] * one.noise) & (coarse < _TEXTURED[1] * one.noise)
        # relative to the noise, so that bright levels do not decide alone
        diagonal += float((fine[textured] / one.noise - 1).sum())
        along += float((edges[textured] / one.noise - 1).sum())
        noise += float(textured.sum()) * (2 / FINE + 2 / EDGES)
    if along <= 3 * math.sqrt(noise) or along <= 0:  # too little texture to tell
        return _USUAL_SHARE
    return min(max(diagonal / along, _SHARES[0]), _SHARES[1])


def _level(blocks: Blocks, one: _Bin, share: float, low: float, high: float, rounding: float) -> Level:
    """Measures the noise of a level's flat blocks."""
    fine, edges = (np.maximum(part.ravel()[one.flat], rounding) for part in (blocks.fine, blocks.edges))
    count = len(fine)
    variance = float(fine.mean())
    # not less than that of normal noise: few blocks may agree by chance
    error = max(float(fine.std()), variance * math.sqrt(2 / FINE)) / math.sqrt(count)
    excess = float(edges.mean()) - variance
    edges_error = max(float(edges.std()), variance * math.sqrt(2 / EDGES)) / math.sqrt(count)
    reaching = share / (1 - share)
    # below 0 by chance: what is left of it where there is no texture averages out over the levels
    texture = min(reaching * excess, 0.9 * variance)
    error = math.hypot((1 + reaching) * error, reaching * edges_error)
    mean = float(blocks.mean.ravel()[one.flat].mean())
    return Level(mean, variance - texture, error, texture, _DOUBT * max(texture, 0.0), low, high)
