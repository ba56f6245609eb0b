"""Charts as SVG inside of a page: lines with bands, points with error bars, histograms."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cycleisp.utils.output.report.axes import Axis, Scale
from cycleisp.utils.output.report.page import escaped

__all__ = ["COLOURS", "Axis", "Series", "chart"]

_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 14, 12, 46  # pixels around the field
_WIDTH, _HEIGHT = 560, 360
_LINE, _LETTER = 18, 6.4  # height of a line of the names below, and width of one of their letters
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444")  # Okabe and Ito, for all eyes


@dataclass(frozen=True)
class Series:
    """Values that belong together.

    Attributes:
        label: its name below the chart; empty leaves it out there.
        x, y: of equal length. What is not finite is a gap.
        low, high: around y: a band of a line, and error bars of points. None draws none.
        style: "steps" draws a histogram, whose `y` are the heights of the bars around each `x`.
        colour: as CSS names it; None takes the next one of the chart.
        dashed: whether a line is dashed.
    """

    label: str
    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    style: Literal["line", "points", "steps"] = "line"
    colour: str | None = None
    dashed: bool = False


def chart(series: Sequence[Series], x: Axis, y: Axis, caption: str = "") -> str:
    """Returns a figure of HTML with a chart.

    Args:
        series: what it shows, the first at the bottom.
        x, y: the axes.
        caption: what the reader sees, in a sentence; also the text for those who do not.

    Raises:
        ValueError: a series whose parts differ in length.
    """
    drawn = [_Drawn.of(each, colour) for each, colour in zip(series, itertools.cycle(COLOURS), strict=False)]
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    across = Scale.of(x, [each.x for each in drawn], _LEFT, right)
    up = Scale.of(y, [part for each in drawn for part in each.heights()], bottom, _TOP)
    names, below = _legend(drawn)
    height = _HEIGHT + below
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escaped(caption or y.label)}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        *_grid(across, up, x, y),
        # a nested picture cuts off what lies outside of the axes
        f'<svg x="{_LEFT}" y="{_TOP}" width="{right - _LEFT}" height="{bottom - _TOP}" '
        f'viewBox="{_LEFT} {_TOP} {right - _LEFT} {bottom - _TOP}">',
        *(shape for each in drawn for shape in each.shapes(across, up)),
        "</svg>",
        *names,
        "</svg>",
    ]
    words = f"<figcaption>{escaped(caption)}</figcaption>" if caption else ""
    return f"<figure>{''.join(parts)}{words}</figure>"


@dataclass(frozen=True)
class _Drawn:
    """A series as arrays of numbers, with its colour."""

    series: Series
    colour: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    low: NDArray[np.float64] | None
    high: NDArray[np.float64] | None

    @classmethod
    def of(cls, series: Series, colour: str) -> "_Drawn":
        def numbers(values: ArrayLike | None) -> NDArray[np.float64] | None:
            return None if values is None else np.asarray(values, dtype=np.float64).reshape(-1)

        x, y, low, high = (numbers(values) for values in (series.x, series.y, series.low, series.high))
        assert x is not None and y is not None
        if len({len(part) for part in (x, y, low, high) if part is not None}) != 1 or (low is None) != (high is None):
            raise ValueError(f"series {series.label!r}: expected x, y, and low and high where given, of equal length")
        return cls(series, series.colour or colour, x, y, low, high)

    def heights(self) -> Iterator[NDArray[np.float64]]:
        """Yields all values that need room upwards."""
        yield from (part for part in (self.y, self.low, self.high) if part is not None)
        if self.series.style == "steps":
            yield np.zeros(1)

    def shapes(self, across: Scale, up: Scale) -> Iterator[str]:
        """Yields the elements of SVG."""
        x, y = across.places(self.x), up.places(self.y)
        low, high = (None if part is None else up.places(part) for part in (self.low, self.high))
        floor = up.start if up.log else float(up.places(np.zeros(1))[0])
        if low is not None:
            low = np.where(np.isnan(low) & ~np.isnan(y), floor, low)  # 0 on a logarithmic axis lies below it
        if self.series.style == "points":
            yield from self._points(x, y, low, high)
            return
        if self.series.style == "steps":
            x, y = _steps(x, np.where(np.isnan(y), floor, y), floor)
            low = high = None
        for run in _runs(np.isfinite(x) & np.isfinite(y)):
            if low is not None and high is not None:
                around = np.concatenate([high[run], low[run][::-1]])
                places = _joined(np.concatenate([x[run], x[run][::-1]]), around)
                yield f'<polygon points="{places}" fill="{escaped(self.colour)}" fill-opacity="0.18"/>'
            yield f'<polyline points="{_joined(x[run], y[run])}" {self.stroke()}/>'

    def stroke(self) -> str:
        """Returns how a line is drawn, as attributes of SVG."""
        dashes = ' stroke-dasharray="5 4"' if self.series.dashed else ""
        return f'fill="none" stroke="{escaped(self.colour)}" stroke-width="1.6"{dashes}'

    def _points(
        self,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        low: NDArray[np.float64] | None,
        high: NDArray[np.float64] | None,
    ) -> Iterator[str]:
        for number in np.flatnonzero(np.isfinite(x) & np.isfinite(y)):
            if low is not None and high is not None and np.isfinite(low[number]) and np.isfinite(high[number]):
                bar = f"M{x[number]:.1f} {low[number]:.1f}V{high[number]:.1f}"
                yield f'<path d="{bar}" stroke="{escaped(self.colour)}" stroke-opacity="0.6"/>'
            yield f'<circle cx="{x[number]:.1f}" cy="{y[number]:.1f}" r="2.6" fill="{escaped(self.colour)}"/>'


def _runs(usable: NDArray[np.bool_]) -> Iterator[slice]:
    """Yields the stretches without a gap."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], usable, [False]]).astype(int)))
    return (slice(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True))


def _steps(
    x: NDArray[np.float64], y: NDArray[np.float64], floor: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the outline of bars that meet in the middle between their places."""
    if len(x) == 0:
        return x, y
    middles = (x[1:] + x[:-1]) / 2
    half = (x[1] - x[0]) / 2 if len(x) > 1 else 10.0
    edges = np.concatenate([[x[0] - half], middles, [x[-1] + (x[-1] - middles[-1] if len(x) > 1 else half)]])
    return np.repeat(edges, 2), np.concatenate([[floor], np.repeat(y, 2), [floor]])


def _joined(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True) if np.isfinite(a) and np.isfinite(b))


def _grid(across: Scale, up: Scale, x: Axis, y: Axis) -> Iterator[str]:
    """Yields the frame, the lines at round numbers, and the words beside the axes."""
    left, right, bottom, top = across.start, across.end, up.start, up.end
    for value, words in across.ticks(7, x.ticks):
        place = float(across.places(np.array([value]))[0])
        yield f'<path d="M{place:.1f} {bottom}V{top}" stroke="#e4e4e4"/>'
        yield f'<text x="{place:.1f}" y="{bottom + 16}" text-anchor="middle">{words}</text>'
    for value, words in up.ticks(6, y.ticks):
        place = float(up.places(np.array([value]))[0])
        yield f'<path d="M{left} {place:.1f}H{right}" stroke="#e4e4e4"/>'
        yield f'<text x="{left - 6}" y="{place + 4:.1f}" text-anchor="end">{words}</text>'
    yield f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#777"/>'
    middle = (top + bottom) / 2
    yield f'<text x="{(left + right) / 2}" y="{bottom + 36}" text-anchor="middle">{escaped(x.label)}</text>'
    yield (
        f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">{escaped(y.label)}</text>'
    )


def _legend(drawn: Sequence[_Drawn]) -> tuple[list[str], int]:
    """Returns the names of the series, in lines below the field, and how high these are."""
    parts: list[str] = []
    left, line = float(_LEFT), 0
    for each in drawn:
        label = each.series.label
        if not label:
            continue
        width = len(label) * _LETTER + 44
        if left > _LEFT and left + width > _WIDTH - _RIGHT:
            left, line = _LEFT, line + 1
        place = _HEIGHT + 12 + _LINE * line
        if each.series.style == "points":
            parts.append(f'<circle cx="{left + 10:.0f}" cy="{place - 4}" r="3" fill="{escaped(each.colour)}"/>')
        else:
            parts.append(f'<path d="M{left:.0f} {place - 4}h20" {each.stroke()}/>')
        parts.append(f'<text x="{left + 26:.0f}" y="{place}">{escaped(label)}</text>')
        left += width
    return parts, (line + 1) * _LINE if parts else 0
