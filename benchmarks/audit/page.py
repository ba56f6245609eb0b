"""The page of an audit: verdicts, a chart of each statistic, and the numbers of pictures."""

from collections.abc import Sequence

import numpy as np

from benchmarks.audit.comparison import Compared
from benchmarks.audit.results import DEFINITIONS, Audit
from benchmarks.audit.statistics import Histogram, Quantiles
from cycleisp.utils.output.report.chart import Axis, Series, chart
from cycleisp.utils.output.report.page import Mark, beside, code, heading, page, paragraph, table

COLOURS = {"R": "#c0392b", "G": "#1e8449", "Gr": "#1e8449", "Gb": "#58a11b", "B": "#2471a3", "luma": "#444444"}
OTHERS = ("#2471a3", "#c0392b", "#7d3c98", "#b7950b", "#117a65", "#d35400")
A_CHART = 2  # lines of one chart: more of them, with their bands, hide each other


def draw_page(result: Audit, command: str, notes: Sequence[str]) -> str:
    """Returns the page as one HTML file that needs nothing else.

    Args:
        result: what the audit has found.
        command: that made it.
        notes: what else there is to know about the two sets, a sentence each.
    """
    real, real_squares, synthetic, squares = result.counts
    sets = (
        f"{real} real pictures ({real_squares} squares of {result.size} x {result.size} values) beside {synthetic} "
        f"synthetic ones ({squares} squares)."
    )
    parts = [paragraph(sets), *map(paragraph, notes), code(command), heading("Verdicts"), paragraph(result.sampling)]
    heads = ["statistic", "verdict", "distance", "band", "distance / band", "unit of the distance"]
    rows = [
        (
            each.statistic.title,
            each.verdict,
            f"{each.distance:.3g}",
            f"{each.band:.3g}",
            f"{each.times:.2g}",
            each.statistic.unit,
        )
        for each in result.compared
    ]
    parts += [table(heads, rows, [_mark(each.verdict) for each in result.compared])]
    for each in result.compared:
        parts += [heading(f"{each.statistic.title}: {each.verdict}".capitalize()), beside(*_charts(each))]
    parts += [heading("Numbers of whole pictures"), paragraph(_ABOUT_NUMBERS)]
    heads = ["number", "verdict", "real: 5 %", "50 %", "95 %", "synthetic: 5 %", "50 %", "95 %", "below", "above"]
    rows_of_pictures = [
        (
            spread.title,
            spread.verdict,
            *(f"{value:.3g}" for value in (*spread.inner_real, *spread.inner)),
            f"{100 * spread.below:.0f} %",
            f"{100 * spread.above:.0f} %",
        )
        for spread in result.spreads
    ]
    parts += [table(heads, rows_of_pictures, [_mark(spread.verdict) for spread in result.spreads])]
    parts += [heading("Definitions"), *map(paragraph, DEFINITIONS)]
    return page("Is synthetic noise like real noise?", parts)


_ABOUT_NUMBERS = (
    "Noise to train on need not have the mean of real noise, but should cover its range. Each number is computed of "
    "every picture. Below and above are the shares of the real pictures beyond the inner 90 % of the synthetic ones; "
    "two samples of one kind have 5 % on each side. The verdict is that of the largest difference of the cumulated "
    "shares (Kolmogorov and Smirnov), against what shuffling the pictures of both sets makes."
)


def _mark(verdict: str) -> Mark:
    return "good" if verdict == "like real noise" else "bad" if verdict.startswith("differs") else ""


def _charts(compared: Compared) -> list[str]:
    """Returns the charts of a statistic: real lines with their bands, synthetic ones dashed."""
    statistic = compared.statistic
    if isinstance(statistic, Quantiles):
        return [_quantiles(compared)]
    shown = _shown(compared)
    axes = Axis(statistic.x_label, log="x" in statistic.axes), Axis(statistic.y_label, log="y" in statistic.axes)
    charts = []
    for first in range(0, len(statistic.lines), A_CHART):
        series = []
        for index, name in enumerate(statistic.lines[first : first + A_CHART], start=first):
            colour = COLOURS.get(name, OTHERS[index % len(OTHERS)])
            curves = (compared.real, compared.low, compared.high, compared.synthetic)
            real, low, high, synthetic = (curve[index, shown] for curve in curves)
            series += [
                Series(f"{name}, real", statistic.points[shown], real, low, high, colour=colour),
                Series(f"{name}, synthetic", statistic.points[shown], synthetic, colour=colour, dashed=True),
            ]
        charts.append(chart(series, *axes, "Solid: real, with the band of its resamples. Dashed: synthetic."))
    return charts


def _shown(compared: Compared) -> slice:
    """Returns which points are drawn: of histograms those between the outermost values."""
    if not isinstance(compared.statistic, Histogram):
        return slice(None)
    filled = [
        (curve > 1.5 * curve.min(axis=1, keepdims=True)).any(axis=0) for curve in (compared.real, compared.synthetic)
    ]
    inside = np.flatnonzero(filled[0] | filled[1])
    return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(None)


def _quantiles(compared: Compared) -> str:
    """Returns the chart of quantiles beside quantiles."""
    statistic, real = compared.statistic, compared.real
    ends = np.array([np.nanmin(real), np.nanmax(real)])
    series = [Series("equal", ends, ends, colour="#999999")]
    series += [
        Series(
            name,
            real[index],
            compared.synthetic[index],
            compared.synthetic[index] - (compared.high[index] - real[index]),
            compared.synthetic[index] + (real[index] - compared.low[index]),
            "points",
            COLOURS.get(name, OTHERS[index]),
        )
        for index, name in enumerate(statistic.lines)
    ]
    caption = "Quantiles from 0.1 % to 99.9 %. The bars are the real quantiles' band."
    return chart(series, Axis(f"real {statistic.y_label}"), Axis(f"synthetic {statistic.y_label}"), caption)
