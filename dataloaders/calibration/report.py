"""The report of a calibration: a page of HTML with what was measured, and from which frames."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cycleisp.dataloaders.calibration.plots import noise_by_iso_chart, shape_chart, transfer_chart
from cycleisp.utils.output.report.page import beside, code, heading, page, paragraph, table
from cycleisp.utils.output.report.values import with_error
from cycleisp.utils.raw.calibration.camera_yaml import Setting
from cycleisp.utils.raw.calibration.estimate import Estimate, Sites
from cycleisp.utils.raw.calibration.frames import SITES
from cycleisp.utils.raw.calibration.grouping import SATURATED, Sorting
from cycleisp.utils.raw.calibration.setting import SettingEstimate

_LISTED = 20  # hot or dead photosites in a table


@dataclass(frozen=True)
class Calibration:
    """What a calibration has found.

    Attributes:
        camera: maker and model; empty where unknown.
        sorting: which frames were used, and which not.
        settings: the estimates in digital numbers, by ISO.
        units: the same on the scale of the camera's file, of the settings that stand in it.
        left_out: the ISO settings that do not stand in the file, each with the reason.
        missing: what frames are missing and how to take them; empty where none are.
    """

    camera: str
    sorting: Sorting
    settings: Mapping[float, SettingEstimate]
    units: Mapping[float, Setting]
    left_out: Mapping[float, str]
    missing: str


def report_page(found: Calibration, command: str, version: str) -> str:
    """Returns the report as one file of HTML.

    Args:
        found: what was measured.
        command: the line that made the report.
        version: of the program.
    """
    used = sum(map(len, found.sorting.settings.values()))
    parts = [
        paragraph(
            f"Measured from {used} frames at {len(found.settings)} ISO settings, by CycleISP {version}. A value stands "
            "before its standard error: two of three calibrations with other frames of the same camera would fall "
            "within it. DN are the digital numbers of the camera's files."
        ),
        code(command),
    ]
    if found.missing:
        parts += [heading("What is missing"), paragraph(found.missing)]
    parts += [heading("All settings"), _overview(found)]
    if found.left_out:
        parts += [paragraph(f"ISO {iso:g} is not in the file: {why}.") for iso, why in sorted(found.left_out.items())]
    if len(found.units) > 1:
        parts.append(noise_by_iso_chart(found.units))
    for iso in sorted(found.settings):
        parts += _setting(found.settings[iso])
    parts += [heading("Frames that were not used"), unusable_table(found.sorting.unusable)]
    parts += [heading("Frames that were used"), _used(found.sorting)]
    return page(f"Noise of {found.camera or 'a camera'}", parts)


def _overview(found: Calibration) -> str:
    heads = ["ISO", "flat / dark / burst", "gain, DN per electron", "read noise, DN", "read noise, electrons"]
    heads += ["row noise, DN", "column noise, DN", "Tukey's lambda", "hot, of a million", "dead, of a million"]
    rows = []
    for iso, setting in sorted(found.settings.items()):
        gain, read = _mean(setting.gain), _mean_deviation(setting.read_noise)
        electrons = _quotient(read, gain)
        rows.append(
            (
                f"{iso:g}",
                " / ".join(str(found.sorting.count(iso, kind)) for kind in ("flat", "dark", "burst")),
                words_of(gain),
                words_of(read),
                words_of(electrons),
                words_of(_mean_deviation(setting.row_noise)),
                words_of(_mean_deviation(setting.column_noise)),
                words_of(setting.tukey_lambda),
                *(
                    "" if pixels is None else words_of(pixels.density.times(1e6))
                    for pixels in (setting.hot_pixels, setting.dead_pixels)
                ),
            )
        )
    return table(heads, rows)


def _setting(setting: SettingEstimate) -> list[str]:
    """Returns the section of one ISO setting."""
    rows = [
        (name, *map(words_of, values))
        for name, values in (
            ("black level, DN", setting.black),
            ("saturation, DN", setting.saturation),
            ("gain, DN per electron", setting.gain),
            ("read noise, deviation, DN", _deviations(setting.read_noise)),
            ("row noise, deviation, DN", _deviations(setting.row_noise)),
            ("column noise, deviation, DN", _deviations(setting.column_noise)),
            ("fixed pattern, deviation, DN", _deviations(setting.fixed_pattern)),
        )
        if values is not None
    ]
    parts = [heading(f"ISO {setting.iso:g}"), table(("", *SITES), rows)]
    if setting.black_clipped:
        parts.append(
            paragraph("The camera cuts off values below black; the missing half of the noise is accounted for.")
        )
    if setting.quantization_step is not None:
        parts.append(paragraph(f"Step between values: {words_of(setting.quantization_step)} DN."))
    charts = [transfer_chart(setting), shape_chart(setting)]
    parts.append(beside(*(chart for chart in charts if chart)))
    if setting.tails:
        parts.append(_families(setting))
    parts += _defects(setting)
    unknown = [f"{name.replace('_', ' ')}: {why}" for name, why in sorted(setting.reasons.items())]
    return parts + [paragraph(f"Not measured. {words}.") for words in _joined(unknown)]


def _defects(setting: SettingEstimate) -> list[str]:
    """Returns what is known about hot and dead photosites."""
    parts = []
    hot, dead = setting.hot_pixels, setting.dead_pixels
    if hot is not None and len(hot.rows):
        words = f"{_photosites(len(hot.rows), 'hot')} found, of {words_of(hot.amplitude)} DN in the mean. The hottest:"
        hottest = list(zip(hot.rows, hot.columns, hot.amplitudes, strict=True))[:_LISTED]
        rows = [(f"{row}", f"{column}", f"{amplitude:.0f}") for row, column, amplitude in hottest]
        parts += [paragraph(words), table(("row", "column", "DN above black"), rows)]
    if dead is not None and len(dead.rows):
        places = [f"({row}, {column})" for row, column in zip(dead.rows, dead.columns, strict=True)]
        more = ", and others" if len(places) > _LISTED else ""
        words = f"{_photosites(len(places), 'dead')} found, at (row, column) {', '.join(places[:_LISTED])}{more}."
        parts.append(paragraph(words))
    return parts


def _photosites(number: int, kind: str) -> str:
    return f"{number} {kind} photosite was" if number == 1 else f"{number} {kind} photosites were"


def _joined(reasons: Sequence[str]) -> list[str]:
    """Returns reasons with the names of all that share one: "gain, transfer: no two frames"."""
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for words in reasons:
        name, _, why = words.partition(": ")
        by_reason[why].append(name)
    return [f"{', '.join(names).capitalize()}: {why}" for why, names in by_reason.items()]


def _families(setting: SettingEstimate) -> str:
    """Returns a table of how well each family of distributions fits."""
    rows = []
    marks = []
    for site, tail in zip(SITES, setting.tails or (), strict=True):
        for name, fit in tail.families.items():
            rows.append(
                (
                    site,
                    name,
                    words_of(fit.shape),
                    words_of(fit.sigma),
                    f"{fit.chi_square:.0f} / {fit.degrees}",
                    f"{fit.bic:.0f}",
                )
            )
            marks.append("good" if name == tail.best else "")
    heads = ("site", "family", "shape", "deviation, DN", "chi-square / degrees of freedom", "BIC, less is better")
    words = paragraph("Families of distributions fitted to read noise. The green line marks the best of each colour.")
    return words + table(heads, rows, marks)  # type: ignore[arg-type]


def unusable_table(frames: Sequence[tuple[Path, str]]) -> str:
    """Returns a table of files that were not used, and why."""
    if not frames:
        return paragraph("None.")
    return table(("file", "reason"), [(path, why.removeprefix(f"{path}: ")) for path, why in frames])


def _used(sorting: Sorting) -> str:
    groups: defaultdict[tuple[float, str], list[str]] = defaultdict(list)
    for iso, placed in sorted(sorting.settings.items()):
        for each in placed:
            if each.group != SATURATED:
                groups[iso, each.group].append(each.header.path.name)
    rows = [(f"{iso:g}", group, ", ".join(names)) for (iso, group), names in groups.items()]
    return table(("ISO", "group", "files"), rows)


def words_of(value: Estimate | None) -> str:
    """Returns a value and its error in words; empty for None."""
    return "" if value is None else with_error(value.value, value.error)


def _deviations(variances: Sites | None) -> list[Estimate] | None:
    return None if variances is None else [one.sigma() for one in variances]


def _mean(values: Sites | None) -> Estimate | None:
    """Returns the mean of the sites, whose errors are independent."""
    if values is None:
        return None
    return Estimate(sum(one.value for one in values) / 4, sum(one.error**2 for one in values) ** 0.5 / 4)


def _mean_deviation(variances: Sites | None) -> Estimate | None:
    mean = _mean(variances)
    return None if mean is None else mean.sigma()


def _quotient(value: Estimate | None, divisor: Estimate | None) -> Estimate | None:
    if value is None or divisor is None or divisor.value <= 0:
        return None
    quotient = value.value / divisor.value
    shares = [one.error / one.value if one.value > 0 else 0.0 for one in (value, divisor)]
    return Estimate(quotient, quotient * (shares[0] ** 2 + shares[1] ** 2) ** 0.5)
