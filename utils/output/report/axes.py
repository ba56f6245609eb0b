"""The axes of a chart: from values to places on the paper, and round numbers along them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_STEPS = (1, 2, 2.5, 5, 10)  # of round numbers, times a power of ten
_ROOM = 0.04  # share of an axis that stays free at each end


@dataclass(frozen=True)
class Axis:
    """What one direction of a chart shows.

    Attributes:
        label: the quantity and its unit.
        log: whether distances are those of logarithms. Values that are not above 0 are left out.
        low, high: the ends; None takes those of the values, with a little room.
        ticks: the values that are marked; empty takes round numbers.
    """

    label: str
    log: bool = False
    low: float | None = None
    high: float | None = None
    ticks: tuple[float, ...] = ()


@dataclass(frozen=True)
class Scale:
    """Turns values into places from `start` to `end`, in pixels.

    Attributes:
        low, high: the values there; above 0 on a logarithmic scale.
        start, end: the places of `low` and `high`.
        log: whether the scale is logarithmic.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool

    @classmethod
    def of(cls, axis: Axis, values: Iterable[NDArray[np.float64]], start: float, end: float) -> "Scale":
        """Returns the scale of an axis on which all of some values have room."""
        usable = [part[np.isfinite(part) & ((part > 0) | (not axis.log))] for part in values]
        every = np.concatenate([*usable, np.zeros(0)])
        low, high = (float(every.min()), float(every.max())) if every.size else (1.0, 10.0)
        if axis.log:
            room = (high / low) ** _ROOM if high > low else 2.0
            low, high = low / room, high * room
        else:
            room = (high - low) * _ROOM or max(abs(high), 1.0) * 0.5
            low, high = low - room, high + room
        low, high = low if axis.low is None else axis.low, high if axis.high is None else axis.high
        return cls(low, high if high > low else low + 1, start, end, axis.log)

    def places(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the places of values; NaN for those that the scale does not have."""
        low, high = self.low, self.high
        if self.log:
            values = np.log(np.where(values > 0, values, np.nan))
            low, high = math.log(low), math.log(high)
        share = (values - low) / (high - low)
        return np.where(np.isfinite(share), self.start + share * (self.end - self.start), np.nan)

    def ticks(self, most: int, wanted: tuple[float, ...] = ()) -> list[tuple[float, str]]:
        """Returns numbers along the scale, and how to write them.

        They are the ones that are wanted, or else about `most` round numbers at most.
        """
        if wanted:
            return [(value, _written(value)) for value in wanted if self.low <= value <= self.high]
        if self.log and self.high / self.low > 20:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            every = max(1, math.ceil((last - first + 1) / most))
            marks = [10.0**power for power in range(first, last + 1, every)]
            if len(marks) < 3:  # too few for eyes to read what lies between them
                marks = [factor * 10.0**power for power in range(first - 1, last + 1) for factor in (1, 2, 5)]
            return _alike([value for value in marks if self.low <= value <= self.high])
        numbers = _round_numbers(self.low, self.high, most)
        return [(value, _written(value)) for value in numbers if value > 0 or not self.log]


def _round_numbers(low: float, high: float, most: int) -> Sequence[float]:
    """Returns multiples of a round step within an interval."""
    rough = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in _STEPS if factor * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _written(value: float) -> str:
    """Writes a number shortly: 0.02, 3000, 2e-06."""
    if value == 0 or 1e-4 <= abs(value) < 1e5:
        return f"{value:.6g}"
    return _short(f"{value:.3g}")


def _alike(values: list[float]) -> list[tuple[float, str]]:
    """Writes the numbers of a logarithmic axis in one way: all with a power of ten, or none."""
    words = [_written(value) for value in values]
    if any("e" in each for each in words):
        words = ["1" if value == 1 else _short(f"{value:.0e}") for value in values]
    return list(zip(values, words, strict=True))


def _short(text: str) -> str:
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
