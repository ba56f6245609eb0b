"""Measures a camera's noise: what calibrate_camera.py does, as a function.

    from cycleisp.tasks.calibration import calibrate_camera, calibrate_from_pictures

    summary = calibrate_camera(["frames"], "mycamera.yaml", report="report.html")
    summary = calibrate_from_pictures(["photos"], "mycamera.yaml")  # where there are no frames

The estimators for arrays are in `cycleisp.utils.raw.calibration`.
"""

import itertools
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cycleisp import __version__
from cycleisp.dataloaders.calibration.collection import collect_frames
from cycleisp.dataloaders.calibration.finding import NothingMeasuredError, find_frames, of_one_camera
from cycleisp.dataloaders.calibration.measuring import measure
from cycleisp.dataloaders.calibration.pictures import noise_by_iso
from cycleisp.dataloaders.calibration.pictures_report import details_of, pictures_page, setting_of
from cycleisp.dataloaders.calibration.report import Calibration, report_page
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.raw.calibration.camera_yaml import NEEDED, Setting, camera_yaml, has_needed, noise_profile
from cycleisp.utils.raw.calibration.grouping import Sorting
from cycleisp.utils.raw.calibration.missing import what_is_missing
from cycleisp.utils.raw.calibration.setting import SettingEstimate
from cycleisp.utils.raw.calibration.unit_scale import on_unit_scale
from cycleisp.utils.words import printable

_LISTED = 20  # unusable files in an error
_IN_DN = {  # what the file says in digital numbers: the estimate's field, and the key there
    "black": "black_level",
    "saturation": "saturation_level",
    "gain": "gain_per_electron",
    "fixed_pattern": "fixed_pattern_variance",
}
_MOST_LISTED = 5000  # hot photosites in a camera's file, of all settings together, and as many dead ones


@dataclass(frozen=True)
class CalibrationSummary:
    """What a calibration has done.

    Attributes:
        output: the file of the camera's noise.
        isos: the ISO settings in it.
        used: how many files were used.
        unusable: the files that were not, each with the reason.
        left_out: ISO settings that are not in the file, each with the reason.
        missing: what frames are missing and how to take them; empty where none are.
    """

    output: Path
    isos: tuple[float, ...]
    used: int
    unusable: Sequence[tuple[Path, str]]
    left_out: Mapping[float, str]
    missing: str

    def report(self) -> int:
        """Prints what happened. Returns the exit status: 1 if anything was left out, else 0."""
        for path, words in self.unusable:
            print(f"not used: {printable(_named(path, words))}")
        for iso, words in self.left_out.items():
            print(f"not in the file: ISO {iso:g}, {printable(words)}")
        if self.missing:
            print(printable(self.missing))
        isos = ", ".join(f"{iso:g}" for iso in self.isos)
        print(
            f"ISO {isos} measured from {self.used} files, {len(self.unusable)} not used; {printable(self.output)}: "
            f"use it as --noise {printable(shlex.quote(str(self.output)))}"
        )
        return 1 if self.unusable or self.left_out else 0


def calibrate_camera(
    frames: Sequence[Path | str],
    output: Path | str,
    report: Path | str | None = None,
    name: str | None = None,
    overwrite: bool = False,
) -> CalibrationSummary:
    """Measures a camera's noise from flat frames, dark frames and bursts, and writes it as YAML.

    The frames may come in any mix: they are told apart by their content, ISO setting and exposure.
    A frame that cannot be used is left out and named in the summary.

    Args:
        frames: camera RAW files as the camera has written them, noisy RAW of SIDD-Medium, and
            folders of them.
        output: the file to write, whose name ends in .yaml. `--noise` of the scripts takes it.
        report: a page of HTML to write beside it; None writes none.
        name: of the camera in the file; None takes maker and model.
        overwrite: whether to overwrite `output` and `report`.

    Raises:
        UserError: an input that does not exist, a name of another kind, a file that is already
            there, or frames from which no ISO setting can be measured, with what is missing.
    """
    place = _checked(Path(output), (".yaml", ".yml"), "--output", overwrite)
    page = None if report is None else _checked(Path(report), (".html", ".htm"), "--report", overwrite)
    sorting = collect_frames(find_frames(frames))
    settings = measure(sorting)
    units = {iso: on_unit_scale(setting) for iso, setting in settings.items()}
    left_out = {iso: _lacks(settings[iso]) for iso, unit in units.items() if not has_needed(unit)}
    units = {iso: unit for iso, unit in units.items() if iso not in left_out}
    missing = what_is_missing(sorting)
    if not units:
        raise NothingMeasuredError(_nothing(sorting, left_out, missing))
    camera = name if name is not None else _camera(sorting)
    found = Calibration(camera, sorting, settings, units, left_out, missing)
    most = _MOST_LISTED // len(units)
    details = {iso: _details(settings[iso], sorting, units[iso], most) for iso in units}
    if page is not None:
        command = _command("--frames", frames, output, report, name)
        write_bytes(page, report_page(found, command, __version__).encode())
    write_bytes(place, camera_yaml(units, details, camera, __version__).encode())
    used = sum(map(len, sorting.settings.values()))
    return CalibrationSummary(place, tuple(sorted(units)), used, sorting.unusable, left_out, missing)


def calibrate_from_pictures(
    pictures: Sequence[Path | str],
    output: Path | str,
    report: Path | str | None = None,
    name: str | None = None,
    overwrite: bool = False,
) -> CalibrationSummary:
    """Estimates a camera's noise from ordinary pictures, and writes it as `calibrate_camera` does.

    This needs no calibration frames, and knows less: shot and read noise, and row noise where it
    can be told, with larger errors.

    Args:
        pictures: camera RAW files of one camera, and folders of them, in any mix of ISO settings.
        output, report, name, overwrite: as of `calibrate_camera`.

    Raises:
        UserError: as `calibrate_camera`.
    """
    place = _checked(Path(output), (".yaml", ".yml"), "--output", overwrite)
    page = None if report is None else _checked(Path(report), (".html", ".htm"), "--report", overwrite)
    camera, paths, others = of_one_camera(find_frames(pictures))
    found = noise_by_iso(paths, lambda files: progress_bar(iterable=files, desc="reading", unit="picture"))
    unusable = sorted([*others, *found.unusable])
    if not found.settings:
        nothing = Sorting(unusable=unusable)
        raise NothingMeasuredError(_nothing(nothing, {}, "Give pictures with even areas, bright and dark ones."))
    units = {iso: setting_of(noise) for iso, noise in found.settings.items()}
    details = {iso: details_of(noise) for iso, noise in found.settings.items()}
    camera = camera if name is None else name
    if page is not None:
        command = _command("--pictures", pictures, output, report, name)
        write_bytes(page, pictures_page(camera, found.settings, unusable, command, __version__).encode())
    write_bytes(place, camera_yaml(units, details, camera, __version__).encode())
    used = len(paths) - len(found.unusable)
    return CalibrationSummary(place, tuple(sorted(units)), used, unusable, {}, "")


def _command(
    kind: str, inputs: Sequence[Path | str], output: Path | str, report: Path | str | None, name: str | None
) -> str:
    """Returns the command line that does the same."""
    words = ["python", "calibrate_camera.py", kind, *map(str, inputs), "--output", str(output)]
    words += ["--report", str(report)] if report is not None else []
    return shlex.join([*words, "--name", name] if name is not None else words)


def _checked(path: Path, suffixes: tuple[str, ...], option: str, overwrite: bool) -> Path:
    """Returns the path of a file to write. Raises UserError where it must not be written."""
    if path.suffix.lower() not in suffixes:
        raise UserError(f"{option} {path}: expected the name of a {suffixes[0]} file")
    if path.is_dir():
        raise UserError(f"{option} {path}: is a folder; give the name of a {suffixes[0]} file in it")
    if path.exists() and not overwrite:
        raise UserError(f"{option} {path}: is there already; give another name, or --overwrite")
    return path


def _camera(sorting: Sorting) -> str:
    names = Counter(each.header.camera for placed in sorting.settings.values() for each in placed)
    return names.most_common(1)[0][0]


def _lacks(setting: SettingEstimate) -> str:
    """Returns why a setting cannot stand in the file."""
    fields = {"gain": "shot noise", "read_noise": "read noise"}
    reasons = [f"{words} is unknown: {setting.reasons.get(key, '')}" for key, words in fields.items()]
    known = [getattr(setting, key) is not None for key in fields]
    return "; ".join(words for words, is_known in zip(reasons, known, strict=True) if not is_known) or (
        f"expected {' and '.join(NEEDED)}"
    )


def _nothing(sorting: Sorting, left_out: Mapping[float, str], missing: str) -> str:
    """Returns the message where no ISO setting could be measured, with a line for each reason."""
    lines = ["no ISO setting can be measured from these frames"]
    lines += [f"  not used: {printable(_named(path, words))}" for path, words in sorting.unusable[:_LISTED]]
    if len(sorting.unusable) > _LISTED:
        lines.append(f"  and {len(sorting.unusable) - _LISTED} more")
    lines += [f"  ISO {iso:g}: {words}" for iso, words in left_out.items()]
    return "\n".join([*lines, missing] if missing else lines)


def _named(path: Path, words: str) -> str:
    return words if str(path) in words else f"{path}: {words}"


def _details(setting: SettingEstimate, sorting: Sorting, unit: Setting, most: int) -> dict[str, Any]:
    """Returns what the camera's file says about a setting besides its noise.

    Args:
        setting, sorting, unit: what was measured.
        most: hot photosites to list, and dead ones.
    """
    details: dict[str, Any] = {
        "mosaic": list(sorting.settings[setting.iso][0].header.shape),
        "frames": {kind: sorting.count(setting.iso, kind) for kind in ("flat", "dark", "burst")},  # type: ignore[arg-type]
        "nominal_white": setting.white,
        "black_clipped": setting.black_clipped,
    }
    for key, words in _IN_DN.items():
        sites = getattr(setting, key)
        if sites is not None:
            details[words] = {"value": [one.value for one in sites], "error": [one.error for one in sites]}
    if setting.quantization_step is not None:
        details["quantization_step"] = setting.quantization_step.value
    if setting.tails:
        details["read_noise_family"] = [tail.best for tail in setting.tails]
    if setting.dead_pixels is not None:
        density = setting.dead_pixels.density
        details["dead_pixel_density"] = {"value": density.value, "error": density.error}
    for key in ("hot_pixels", "dead_pixels"):
        pixels = getattr(setting, key)
        if pixels is not None:
            places = zip(pixels.rows, pixels.columns, strict=True)
            details[key] = [[int(row), int(column)] for row, column in itertools.islice(places, most)]
    return {**details, "noise_profile": noise_profile(unit)}
