"""The noise of one picture, or of several pictures that were taken at one ISO setting."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.raw.calibration.estimate import Estimate
from cycleisp.utils.raw.picture_noise.blocks import SIDE, blocks_of
from cycleisp.utils.raw.picture_noise.clipping import range_of, rounding_of
from cycleisp.utils.raw.picture_noise.levels import Level, levels_of
from cycleisp.utils.raw.picture_noise.line import fit_line
from cycleisp.utils.raw.picture_noise.rows import RowNoise, row_noise

_MOST_LEFT_OUT = 12  # fits with one picture or one group of pictures left out


@dataclass(frozen=True, eq=False)
class PictureLevels:
    """What one picture says about its noise.

    Attributes:
        levels: of all planes; one or more.
        rows: the noise of its rows.
        black_clipped: whether its values were clipped at black.
    """

    levels: tuple[Level, ...]
    rows: RowNoise
    black_clipped: bool


@dataclass(frozen=True, eq=False)
class PictureNoise:
    """The noise of a camera at one ISO setting, as its pictures tell it.

    Attributes:
        shot_noise, read_noise: variances on the [0, 1] scale, of all colours. Read noise is all
            that each photosite adds by itself, rounding included, but no noise of rows.
        row_noise: variance of the offset of a row; None where it cannot be told.
        row_reason: why it cannot be told; empty where it can.
        correlation: of the errors of shot and read noise, mostly negative.
        pictures: how many.
        black_clipped: whether one of them was clipped at black.
    """

    shot_noise: Estimate
    read_noise: Estimate
    row_noise: Estimate | None
    row_reason: str
    correlation: float
    pictures: int
    black_clipped: bool

    def variance(self, signal: float) -> Estimate:
        """Returns the variance of the noise of a signal in [0, 1].

        Its error is smaller than those of shot and read noise suggest, which go against each other.
        """
        shot, read = self.shot_noise.error * signal, self.read_noise.error
        square = shot**2 + read**2 + 2 * self.correlation * shot * read
        return Estimate(self.shot_noise.value * signal + self.read_noise.value, math.sqrt(max(square, 0.0)))


def measure_picture(planes: NDArray[np.floating]) -> PictureLevels:
    """Measures the noise of one picture at its levels of brightness.

    Args:
        planes: (C, H, W) planes of a mosaic, linear, nominally in [0, 1], with values below black
            wherever the file has them.

    Raises:
        ValueError: nothing can be told from the picture.
    """
    levels, blocks, flat, clipped = list[Level](), [], [], False
    for plane in planes if min(planes.shape[1:]) >= SIDE else ():
        low, high = range_of(plane)
        measured = blocks_of(plane, low, high)
        found, mask = levels_of(measured, low, high, rounding_of(plane))
        levels += found
        blocks.append(measured)
        flat.append(mask)
        clipped |= math.isfinite(low) and bool((measured.lowest > 0).any())
    if not levels:
        raise ValueError(
            "the picture is too small, too dark or too uniform to tell its noise level; give --noise shot=..,read=.."
        )
    return PictureLevels(tuple(levels), row_noise(blocks, flat), clipped)


def noise_of(pictures: Sequence[PictureLevels]) -> PictureNoise:
    """Returns the noise that pictures of one ISO setting have in common.

    Where pictures contradict each other by more than their errors, the errors grow: each picture is
    left out once (the jackknife; Tukey, "Bias and confidence in not-quite large samples", 1958).

    Args:
        pictures: one or more, of one camera and one ISO setting.
    """
    line = fit_line([level for picture in pictures for level in picture.levels])
    covariance = line.covariance
    groups = min(len(pictures), _MOST_LEFT_OUT)
    if groups >= 3:
        rest = [
            fit_line([level for at, picture in enumerate(pictures) if at % groups != left for level in picture.levels])
            for left in range(groups)
        ]
        values = np.array([[one.shot_noise, one.read_noise] for one in rest])
        spread = (groups - 1) * np.cov(values.T, bias=True)
        if np.trace(spread / np.diag(covariance)) > 2:
            covariance = spread
    rows, reason = _rows([picture.rows for picture in pictures])
    errors = np.sqrt(np.diag(covariance))
    return PictureNoise(
        shot_noise=Estimate(line.shot_noise, float(errors[0])),
        read_noise=Estimate(line.read_noise, float(errors[1])),
        row_noise=rows,
        row_reason=reason,
        correlation=float(covariance[0, 1] / (errors[0] * errors[1])),
        pictures=len(pictures),
        black_clipped=any(picture.black_clipped for picture in pictures),
    )


def _rows(each: Sequence[RowNoise]) -> tuple[Estimate | None, str]:
    """Returns the row noise of several pictures, by their errors, or why it cannot be told."""
    usable = [rows for rows in each if math.isfinite(rows.error) and rows.error > 0]
    if not usable:
        return None, each[0].reason
    weights = np.array([rows.error**-2.0 for rows in usable])
    value = float((weights * [rows.variance for rows in usable]).sum() / weights.sum())
    error = float(weights.sum() ** -0.5)
    if value > 3 * error:
        return Estimate(value, error), ""
    return None, next((rows.reason for rows in usable if rows.reason), "pictures contradict each other")
