"""Which digital numbers the frames hold: the rounding step, clipped black, and saturation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.raw.calibration.estimate import Estimate
from cycleisp.utils.raw.calibration.frames import Frame, Site

Counts = NDArray[np.int64]  # how often each digital number 0, 1, 2, ... occurs

FEWEST = 30  # values on a level before its count tells anything
COARSEST = 256  # DN: a longer gap separates frames of different brightness
NEAR_TOP = 0.02  # share of the range, from the highest value on, in which saturation is looked for
CLOSE = 0.0005  # share of the range around a level that still counts as this level
MOST_ABOVE, MOST_BELOW = 0.02, 0.25  # values beyond a level of saturation, for each one on it


@dataclass(frozen=True)
class Black:
    """The lower end of the dark frames' values.

    Attributes:
        lowest: the smallest number that occurs, in DN, but for single defective photosites.
        clipped: whether values below it were raised to it.
    """

    lowest: int
    clipped: bool


def count_levels(frame: Frame, site: Site) -> Counts:
    """Returns how often each digital number occurs at the photosites of one colour."""
    plane = frame.site(site)
    rows = max(4_000_000 // max(plane.shape[1], 1), 1)
    counts = np.zeros(1, np.int64)
    for start in range(0, len(plane), rows):
        part = np.bincount(plane[start : start + rows].ravel().astype(np.int64))
        counts = add_counts(counts, part)
    return counts


def add_counts(first: Counts, second: Counts) -> Counts:
    """Returns the sum of two counts of levels of any length."""
    longer, shorter = (first, second) if len(first) >= len(second) else (second, first)
    total = longer.astype(np.int64)
    total[: len(shorter)] += shorter
    return total


def mean_level(counts: Counts) -> float:
    """Returns the mean of the counted numbers, in DN."""
    return float((np.arange(len(counts)) * counts).sum() / max(counts.sum(), 1))


def level_below(counts: Counts, share: float) -> float:
    """Returns the level below which a share of the values lies, interpolated inside of a level."""
    below = np.cumsum(counts)
    index = int(np.searchsorted(below, share * below[-1]))
    before = below[index - 1] if index else 0
    return index - 0.5 + (share * below[-1] - before) / max(counts[index], 1)


def quantization_step(counts: Counts) -> Estimate | None:
    """Estimates the distance of two numbers that a camera can write, in DN.

    Looks at gaps between levels that hold FEWEST values each, with only empty levels between them.
    Where nearly all gaps are one number, or multiples of one above 1, that is the step, and it has
    no error. Otherwise, as after a digital gain, the step is the mean gap.

    Returns:
        None where there are fewer than two such gaps: fewer than three levels are in use.
    """
    populated = np.flatnonzero(counts >= FEWEST)
    gaps = np.diff(populated)
    between = np.diff(np.cumsum(counts > 0)[populated]) - 1  # levels inside of the gap that are in use
    gaps = gaps[(between == 0) & (gaps <= COARSEST)]
    if len(gaps) < 2:
        return None
    regular = int(np.gcd.reduce(gaps))
    if regular > 1 or (gaps == regular).mean() > 0.99:
        return Estimate(float(regular), 0.0)
    return Estimate(float(gaps.mean()), float(gaps.std() / np.sqrt(len(gaps))))


def black_end(counts: Counts, step: float, from_level: float = 0.0) -> Black:
    """Tells whether the camera clipped its dark frames at the lower end.

    Noise thins out towards its end, so a lowest level that holds more values than the next one is
    clipped; and 0 is always clipped, as numbers below it cannot be written.

    Args:
        counts: levels of the dark frames.
        step: the distance of two levels, in DN.
        from_level: in DN; values below are those of dead photosites.
    """
    occupied = np.flatnonzero(counts)
    occupied = occupied[occupied >= from_level]
    lowest = int(occupied[0])
    above = int(counts[lowest + 1 : lowest + 1 + max(round(step), 1)].sum())
    here = int(counts[lowest])
    piled = here >= FEWEST and here > above + 4 * np.sqrt(here + above)
    return Black(lowest, bool(lowest == 0 or piled))


def saturation(counts: Counts, white: float, step: float) -> Estimate | None:
    """Finds the level at which the photosites saturate.

    Values that saturate lie on one level, or close around it, with hardly any above them and few
    just below. The noise of a bright frame that does not saturate goes on to both sides.

    Args:
        counts: levels of all frames of one colour.
        white: nominal saturation, in DN.
        step: distance of two levels, in DN.

    Returns:
        The most frequent level, with an error of 0 where no value lies above it, or None where no
        frame saturates.
    """
    top = int(np.flatnonzero(counts)[-1])
    start = max(top - round(NEAR_TOP * white), 0)
    peak = start + int(counts[start:].argmax())
    reach = max(round(step), round(CLOSE * white))
    crowd = counts[max(peak - reach, 0) : peak + reach + 1]
    above = int(counts[peak + reach + 1 :].sum())
    below = int(counts[max(peak - 3 * reach - 1, 0) : max(peak - reach, 0)].sum())
    number = int(crowd.sum())
    if number < FEWEST or above > MOST_ABOVE * number or below > MOST_BELOW * number:
        return None
    distances = np.arange(len(crowd)) - float(np.average(np.arange(len(crowd)), weights=crowd))
    spread = float(np.sqrt(np.average(np.square(distances), weights=crowd)))
    return Estimate(float(peak), 0.0 if peak == top else spread / float(np.sqrt(number)))
