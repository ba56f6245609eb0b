"""The charts of a calibration's report."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.output.report.chart import Axis, Series, chart
from cycleisp.utils.raw.calibration.camera_yaml import Setting
from cycleisp.utils.raw.calibration.estimate import Estimate
from cycleisp.utils.raw.calibration.frames import SITES
from cycleisp.utils.raw.calibration.setting import SettingEstimate

_MOST_POINTS = 150  # of one site in a chart
_COLOURS = {"R": "#d55e00", "G_r": "#009e73", "G_b": "#56b4e9", "B": "#0072b2"}
_PARTS = {
    "shot_noise": ("shot noise, per unit of light", "#e69f00"),
    "read_noise": ("read noise", "#0072b2"),
    "row_noise": ("row noise", "#009e73"),
    "column_noise": ("column noise", "#cc79a7"),
}
_MOST_TICKS = 8  # ISO settings that are written along an axis
_FAMILIES = {"gaussian": "Gaussian", "tukey": "Tukey's lambda", "student": "Student's t"}


def transfer_chart(setting: SettingEstimate) -> str:
    """Returns variance against brightness with the fitted lines; empty where there is none."""
    if setting.transfer is None:
        return ""
    series = []
    for site, transfer in zip(SITES, setting.transfer, strict=True):
        mean, variance, error, fitted = (
            np.asarray(each, dtype=np.float64)[_some(len(transfer.mean))]
            for each in (transfer.mean, transfer.variance, transfer.error, transfer.used)
        )
        used = fitted > 0
        low, high = variance - error, variance + error
        colour = _COLOURS[site]
        series.append(Series(site, mean[used], variance[used], low[used], high[used], "points", colour))
        ends = np.array([0.0, float(mean.max())]) if len(mean) else np.zeros(0)
        line = transfer.offset.value + transfer.gain.value * _between(ends)
        series.append(Series("", _between(ends), line, colour=colour))
    caption = (
        f"Photon transfer at ISO {setting.iso:g}: variance of the difference of two frames, halved, against "
        "brightness. The slope is the gain; the end at black is what does not depend on light."
    )
    return chart(series, Axis("brightness above black, DN"), Axis("variance, DN²"), caption)


def shape_chart(setting: SettingEstimate) -> str:
    """Returns the distribution of read noise beside fitted families; empty where there is none."""
    if not setting.tails:
        return ""
    tail = max(setting.tails, key=lambda each: each.counts.sum())
    site = SITES[setting.tails.index(tail)]
    edges, counts = np.asarray(tail.edges), np.asarray(tail.counts, dtype=np.float64)
    width, total = np.diff(edges), counts.sum()
    middles = (edges[1:] + edges[:-1]) / 2
    occupied = np.flatnonzero(counts)
    shown = slice(int(occupied[0]), int(occupied[-1]) + 1) if len(occupied) else slice(0, 0)
    series = [
        Series(f"measured, {site}", middles[shown], (counts / width / total)[shown], style="steps", colour="#888")
    ]
    for name, fit in tail.families.items():
        words = _FAMILIES.get(name, name) + (", best" if name == tail.best else "")
        density = np.asarray(fit.density)[shown]
        series.append(Series(words, middles[shown], density, dashed=name != tail.best))
    lowest = 0.3 / (total * float(np.min(width))) if total else 1e-6
    caption = (
        f"Shape of read noise at ISO {setting.iso:g} on a logarithmic scale, on which the tails show: what was "
        "measured beside the best fit of each family."
    )
    return chart(series, Axis("noise, DN"), Axis("share per DN", log=True, low=lowest), caption)


def noise_by_iso_chart(units: Mapping[float, Setting]) -> str:
    """Returns how the parts of the noise grow with ISO, on the scale of the camera's file."""
    isos = sorted(units)
    series = []
    for key, (words, colour) in _PARTS.items():
        if all(key in units[iso] for iso in isos):
            means = np.array([_mean(units[iso][key]) for iso in isos])
            means[means <= 0] = np.nan  # no place on a logarithmic axis
            series.append(Series("", isos, means, colour=colour))
            series.append(Series(words, isos, means, style="points", colour=colour))
    caption = "How noise grows with ISO: variances on the scale from black, 0, to white, 1, means of the sites."
    ticks = tuple(isos) if len(isos) <= _MOST_TICKS else ()
    return chart(series, Axis("ISO", log=True, ticks=ticks), Axis("variance", log=True), caption)


def _mean(value: object) -> float:
    each = (value,) if isinstance(value, Estimate) else tuple(value)  # type: ignore[arg-type]
    return float(np.mean([one.value for one in each]))


def _some(length: int) -> NDArray[np.int64]:
    """Returns places of at most so many points, at equal distances."""
    return np.unique(np.linspace(0, length - 1, min(length, _MOST_POINTS)).round().astype(np.int64))


def _between(ends: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.linspace(ends[0], ends[1], 50) if len(ends) else ends
