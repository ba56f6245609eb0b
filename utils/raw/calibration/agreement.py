"""Whether two frames show the same light: what differs between them beyond their noise.

Two frames of one scene differ by noise that is independent from photosite to photosite, by noise
that a row or a column shares, and by a factor where the lamp flickers. Anything else spoils what is
measured from their difference: moved edges, light that wanders, bands of a lamp that flickers while
the rows are read out, and values that the camera has smoothed or compressed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.raw.calibration.frames import Kind
from cycleisp.utils.raw.calibration.looks import Look, block_means

TOUCHED = 1e-3  # share of saturated photosites, from which a site is left out
_SIDE = 8  # photosites along a block in the middle of the frame
_STRUCTURE = 1.5  # means of blocks of noise alone have 1, moved edges up to 64
_SMOOTHED = 0.15  # correlation of neighbours; that of independent noise is 0
_FARTHER = 4  # photosites, beyond which smoothed noise is independent again
_BANDS = 0.03  # deviation of bands of flicker, as a share of the light, that local differences do not feel
_BLOCK_SIGMAS, _BLOCK_SHARE = 8.0, 0.01  # what a block's mean may differ by: deviations, and share of its light
_BLOCK_NOISE = 0.05  # and share of a photosite's deviation
_BRIGHTER = 0.10  # what a scene may differ in brightness by
_OUTLIER = 6.0  # deviations at which differences are cut off: hot photosites are no structure
_ENOUGH_LIGHT = 10.0  # DN above black, from which the ratio of two frames is told


@dataclass(frozen=True)
class _Difference:
    """What two frames differ by.

    Attributes:
        noise: (4, k, l) the difference in the middle, without what rows and columns share; sites
            that are left out are absent.
        variance: of each site in it.
        shared: variance of what a row shares, of neighbouring rows alone.
        blocks: (n, m) the difference over the whole frame, mean of the sites.
        light: (n, m) the light there, in DN above black.
    """

    noise: NDArray[np.float64]
    variance: NDArray[np.float64]
    shared: float
    blocks: NDArray[np.float64]
    light: NDArray[np.float64]


def disagreement(first: Look, second: Look, kind: Kind) -> str:
    """Returns what two frames of one kind, size and camera differ by beside noise.

    Returns:
        The reason in words, which goes behind the name of the second frame; empty where the two
        agree.
    """
    name = first.header.path.name
    usable = np.maximum(first.clipped, second.clipped) < TOUCHED
    if not usable.any():
        return "" if kind != "dark" else f"is as bright as white, as {name}"
    if kind != "dark" and (words := _brightness(first, second, usable)):
        return words
    found = _difference(first, second, usable, kind)
    if not found.variance.any():
        return ""
    if kind != "burst" and (correlation := _smoothed(found)):
        return (
            f"has neighbouring values that are correlated ({correlation:.2f}): the camera has smoothed or compressed "
            "them; switch off its noise reduction and the compression of RAW files"
        )
    if kind == "flat" and (bands := _bands(found, first.block)):
        return (
            f"differs from {name} by bands of {100 * bands:.2g} %: the lamp flickers too strongly; use daylight, a "
            "lamp on direct current, or exposures longer than 1/10 s"
        )
    if _is_structured(found) or _wanders(found, first.block):
        return (
            f"differs from {name} by more than noise: the camera or the scene has moved, or the light has changed; use "
            "a tripod and steady light"
        )
    return ""


def _brightness(first: Look, second: Look, usable: NDArray[np.bool_]) -> str:
    light, other = (float(look.signal[usable].sum()) for look in (second, first))
    if min(light, other) <= _ENOUGH_LIGHT or abs(light / other - 1) <= _BRIGHTER:
        return ""
    words = "brighter" if light > other else "darker"
    return (
        f"is {100 * abs(light / other - 1):.0f} % {words} than {first.header.path.name} at the same exposure: the "
        "light has changed, or it is another scene; use a tripod and steady light"
    )


def _difference(first: Look, second: Look, usable: NDArray[np.bool_], kind: Kind) -> _Difference:
    black = first.black[usable, None, None]
    one, other = (look.centre[usable].astype(np.float64) - black for look in (first, second))
    map_one, map_other = (look.means[usable].astype(np.float64) - black for look in (first, second))
    scale = np.ones(len(black))
    if kind != "dark":
        light, lit = map_other.mean(axis=(1, 2)), map_one.mean(axis=(1, 2))
        enough = np.minimum(light, lit) > _ENOUGH_LIGHT
        scale[enough] = (lit / np.where(light == 0, 1, light))[enough]
    scale = scale[:, None, None]
    raw = one - scale * other
    rows, columns = raw.mean(axis=2, keepdims=True), raw.mean(axis=1, keepdims=True)
    noise = raw - rows - columns + raw.mean(axis=(1, 2), keepdims=True)
    widest = _OUTLIER * 1.4826 * np.median(np.abs(noise), axis=(1, 2), keepdims=True)
    noise = np.clip(noise, -widest, widest, where=widest > 0, out=noise.copy())
    variance = noise.var(axis=(1, 2))
    # bands are smooth along rows, what a row shares by itself is not
    neighbours = np.diff(rows[:, :, 0], axis=1).var(axis=1) / 2 - variance / raw.shape[2]
    blocks = map_one - scale * map_other
    blocks = (blocks - blocks.mean(axis=(1, 2), keepdims=True)).mean(axis=0)
    return _Difference(noise, variance, max(0.0, float(neighbours.mean())), blocks, map_one.mean(axis=0))


def _is_structured(found: _Difference) -> bool:
    """Tells whether means over blocks vary by more than those of independent values do."""
    with_noise = [number for number, variance in enumerate(found.variance) if variance > 0]
    shares = [
        block_means(found.noise[number], _SIDE).var() * _SIDE**2 / found.variance[number] for number in with_noise
    ]
    return float(np.mean(shares)) > _STRUCTURE


def _smoothed(found: _Difference) -> float:
    """Returns the correlation of neighbours, if it is that of smoothed noise, else 0."""
    for noise in (found.noise, found.noise.swapaxes(1, 2)):  # along rows and along columns
        near, far = (_correlation(noise, distance) for distance in (1, _FARTHER))
        if near > _SMOOTHED and abs(far) < near / 3:
            return near
    return 0.0


def _correlation(noise: NDArray[np.float64], distance: int) -> float:
    return float((noise[:, :, distance:] * noise[:, :, :-distance]).mean() / (noise**2).mean())


def _bands(found: _Difference, block: int) -> float:
    """Returns the deviation of bands as a share of the light, if they count, else 0."""
    rows, columns = found.blocks.shape
    profile = found.blocks.mean(axis=1)
    variance = float(found.variance.mean())
    expected = variance / len(found.variance) / (block * columns) + found.shared / np.sqrt(block)
    excess = float(profile.var()) - expected
    if excess <= 5 * expected * np.sqrt(2 / rows):
        return 0.0
    share = float(np.sqrt(excess) / max(found.light.mean(), 1.0))
    return share if share > _BANDS else 0.0


def _wanders(found: _Difference, block: int) -> bool:
    """Tells whether the mean of any block of the whole frame differs by more than it may."""
    blocks = found.blocks
    rest = blocks - blocks.mean(axis=1, keepdims=True) - blocks.mean(axis=0, keepdims=True) + blocks.mean()
    rows, columns = blocks.shape
    middle = found.light[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4].mean()
    brighter = np.maximum(found.light / max(middle, 1.0), 1.0)  # where there is more light, there is more noise
    variance = float(found.variance.mean())
    deviation = np.sqrt(variance / len(found.variance) * brighter / block)
    limit = _BLOCK_SIGMAS * deviation + _BLOCK_SHARE * np.abs(found.light) + _BLOCK_NOISE * np.sqrt(variance)
    return bool((np.abs(rest) > limit).any())
