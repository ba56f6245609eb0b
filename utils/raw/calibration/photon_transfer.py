"""The gain by photon transfer: the slope of the line of variance against brightness.

Light arrives as single photons, so its variance, counted in electrons, is its mean. In digital
numbers, variance = gain * mean + read noise, with the gain in DN per electron (Janesick, "Photon
Transfer", 2007).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.raw.calibration.dark.distributions import Array
from cycleisp.utils.raw.calibration.estimate import Estimate
from cycleisp.utils.raw.calibration.scene_noise import Blocks

PARTS = 6  # brightness ranges of a group, in charts
OUTLYING = 5.0  # deviations from the line at which a block is left out: something moved there
ROUNDS = 4
SPAN = 1.5  # the brightest block is this many times brighter than the darkest, or there is no line


class NoLineError(ValueError):
    """Frames that do not tell the gain."""


@dataclass(frozen=True)
class PhotonTransfer:
    """Variance against brightness of one colour.

    Attributes:
        mean, variance, error: of brightness ranges of the groups, in DN above black and DN^2.
        used: which of them the line was fitted to; the others hold clipped values.
        gain: slope, DN per electron.
        offset: variance without light, in DN^2.
    """

    mean: Array
    variance: Array
    error: Array
    used: NDArray[np.bool_]
    gain: Estimate
    offset: Estimate


def photon_transfer(groups: Sequence[Blocks], dark: Estimate | None) -> PhotonTransfer:
    """Fits the line of variance against brightness to the blocks of all groups.

    A block's variance has a relative error of sqrt(2 / values), which gives its weight; the line
    gives the variance, so that low values do not weigh more. Blocks far from the line are left out.
    The result's error grows with the blocks' true scatter, and with that of whole groups, in which
    lamps that flicker and sensors that are not linear show.

    Args:
        groups: blocks of each group of frames.
        dark: variance without light, of the same parts of the noise, from dark frames.

    Raises:
        NoLineError: fewer than two levels of brightness are free of clipped values.
    """
    group = np.concatenate([np.full(int(one.used.sum()), index) for index, one in enumerate(groups)])
    mean, variance, values = (
        np.concatenate(part)
        for part in zip(
            *((one.mean[one.used], one.variance[one.used], (one.count * one.freedom)[one.used]) for one in groups),
            strict=True,
        )
    )
    _check(mean, dark)
    kept = np.ones(len(mean), bool)
    line = np.array([variance.mean() / max(mean.mean(), 1e-9), 0.0]) if dark is None else _chord(mean, variance, dark)
    for _ in range(ROUNDS):
        error = _errors(line, mean, values, dark)
        line, covariance = _weighted_line(mean[kept], variance[kept], error[kept], dark)
        deviations = (variance - line[0] * mean - line[1]) / _errors(line, mean, values, dark)
        usual = max(1.4826 * float(np.median(np.abs(deviations))), 1.0)
        kept = np.abs(deviations) < OUTLYING * usual
    scatter = float(np.square(deviations[kept]).sum()) / max(int(kept.sum()) - 2, 1)
    covariance = covariance * max(scatter, _scatter_of_groups(deviations[kept], group[kept]), 1.0)
    gain, offset = (
        Estimate(float(value), float(np.sqrt(square))) for value, square in zip(line, np.diag(covariance), strict=True)
    )
    return PhotonTransfer(*_points(groups), gain, offset)


def _check(mean: Array, dark: Estimate | None) -> None:
    if not len(mean):
        raise NoLineError("no part of the flat frames or bursts is free of clipped values")
    if dark is None and (len(mean) < 3 or mean.max() < SPAN * mean.min()):
        raise NoLineError(
            "all frames are equally bright: flat frames at two or more exposures, or dark frames, tell the gain"
        )
    if mean.max() <= 0:
        raise NoLineError("the flat frames are as dark as black")


def _chord(mean: Array, variance: Array, dark: Estimate) -> Array:
    return np.array([max((variance.mean() - dark.value) / max(mean.mean(), 1e-9), 0.0), max(dark.value, 0.0)])


def _errors(line: Array, mean: Array, values: Array, dark: Estimate | None) -> Array:
    """Returns the standard error of every block's variance, as the line predicts it."""
    floor = 1e-3 * max(float(line[0]) * float(mean.max()), 1e-12)
    expected = np.maximum(line[0] * mean + line[1], floor if dark is None else max(floor, dark.value / 4))
    return expected * np.sqrt(2 / values)


def _weighted_line(mean: Array, variance: Array, error: Array, dark: Estimate | None) -> tuple[Array, Array]:
    """Returns slope and offset of the weighted least-squares line, and their covariance."""
    if dark is not None:
        mean, variance = np.append(mean, 0.0), np.append(variance, dark.value)
        error = np.append(error, max(dark.error, 1e-9))
    design = np.stack([mean, np.ones_like(mean)], axis=1) / error[:, None]
    covariance = np.linalg.inv(design.T @ design)
    return covariance @ (design.T @ (variance / error)), covariance


def _scatter_of_groups(deviations: Array, group: NDArray) -> float:
    """Returns chi-square over its degrees of freedom of the groups' mean deviations."""
    count = np.bincount(group)
    used = count > 0
    if used.sum() < 3:
        return 1.0
    means = np.bincount(group, deviations)[used] / np.sqrt(count[used])
    return float(np.square(means).sum()) / (int(used.sum()) - 2)


def _points(groups: Sequence[Blocks]) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    """Returns mean, variance, error and use of the groups' brightness ranges."""
    points = []
    for blocks in groups:
        for use in (True, False):
            chosen = np.flatnonzero(blocks.used == use)
            order = chosen[np.argsort(blocks.mean[chosen])]
            for part in np.array_split(order, min(PARTS, len(order))) if len(order) else []:
                weight = blocks.count[part]
                mean, variance = (
                    float(np.average(one[part], weights=weight)) for one in (blocks.mean, blocks.variance)
                )
                points.append((mean, variance, variance * np.sqrt(2 / (weight.sum() * blocks.freedom)), use))
    means, variances, errors, used = zip(*points, strict=True)
    return np.array(means), np.array(variances), np.array(errors), np.array(used, bool)
