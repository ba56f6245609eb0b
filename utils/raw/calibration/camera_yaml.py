"""The file of a camera's noise, as `utils/raw/sensor_noise/camera_files.py` reads it.

The key `iso` has the values. The key `calibration`, which readers pass over, has their standard
errors and all that was measured besides, in digital numbers.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from cycleisp.utils.config.files import ConfigError, read_yaml
from cycleisp.utils.errors import reading
from cycleisp.utils.raw.calibration.estimate import Estimate, Sites
from cycleisp.utils.raw.sensor_noise.camera_files import IsoNoise
from cycleisp.utils.raw.sensor_noise.ranges import FINEST, HEAVIEST, LIGHTEST
from cycleisp.utils.words import printable

_ADVICE = "expected a file that calibrate_camera.py has written, with a list of hot photosites"
Setting = Mapping[str, Estimate | Sites]  # by the keys of the file, on the scale from black, 0, to white, 1
NEEDED = ("shot_noise", "read_noise")
_DIGITS = 6  # significant ones; errors are far above the last of them
_RANGES = {"tukey_lambda": (HEAVIEST, LIGHTEST), "quantization_bits": (1.0, float(FINEST))}
_HEAD = """\
# The noise of a camera at its ISO settings, measured by calibrate_camera.py of CycleISP {version}.
# For --noise FILE, or --noise FILE@{example:g} at one ISO setting, and for a recipe's synthesis.noise.
# Below `iso`: noises are variances of R, G_r, G_b and B on the scale from black, 0, to white, 1.
# Below `calibration`: standard errors of these values, and levels and gains in digital numbers (DN).
"""


class HotPixels(NamedTuple):
    """The hot photosites of a camera: the mosaic's height and width, and their places in it."""

    shape: tuple[int, int]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]


def read_hot_pixels(path: Path) -> dict[float, HotPixels]:
    """Reads the hot photosites that a calibration has found, by ISO.

    They are those of the visible mosaic, at most a few thousand, the hottest first.

    Raises:
        ConfigError: the file cannot be read, or is no camera's noise file that a calibration wrote.
    """
    content = read_yaml(path, _ADVICE)
    with reading(path, ConfigError, advice=_ADVICE):
        found = {}
        for iso, about in content["calibration"].items():
            height, width = map(int, about["mosaic"])
            places = np.array(about.get("hot_pixels", ()), dtype=np.int64).reshape(-1, 2)
            if places.size and not ((places >= 0) & (places < (height, width))).all():
                raise ValueError(f"hot_pixels of ISO {iso} lie outside of the {width}x{height} photosites")
            found[float(iso)] = HotPixels((height, width), places[:, 0], places[:, 1])
        return found


def has_needed(setting: Setting) -> bool:
    """Tells whether a setting has what the file of a camera must state."""
    return all(key in setting for key in NEEDED)


def camera_yaml(
    settings: Mapping[float, Setting], details: Mapping[float, Mapping[str, Any]], name: str, version: str
) -> str:
    """Returns the content of a camera's noise file.

    All settings of such a file state the same parts. What is known at some of them only stands
    below `calibration` as `not_used`.

    Args:
        settings: by ISO; each has shot and read noise at least.
        details: more about each setting, of numbers, texts, lists and mappings.
        name: of the camera; empty where it is unknown.
        version: of the program.

    Raises:
        ValueError: there is no setting, or one lacks shot or read noise.
    """
    if not settings or not all(map(has_needed, settings.values())):
        raise ValueError(f"expected settings with {' and '.join(NEEDED)}, got {list(map(list, settings.values()))}")
    common = _common_keys(settings)
    iso, calibration = {}, {}
    for speed in sorted(settings):
        values = {key: _value(key, settings[speed][key]) for key in settings[speed]}
        iso[_whole(speed)] = {key: values[key] for key in common}
        errors = {key: _error(value) for key, value in settings[speed].items()}
        rest = {key: value for key, value in values.items() if key not in common}
        more = {**details.get(speed, {}), "not_used": rest} if rest else details.get(speed, {})
        calibration[_whole(speed)] = {"standard_errors": errors, **_rounded(more)}
    content: dict[str, Any] = {"name": printable(name)} if name else {}
    content |= {"iso": iso, "calibration": calibration}
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)
    return _HEAD.format(version=version, example=max(settings)) + text


def noise_profile(setting: Setting) -> list[float]:
    """Returns the NoiseProfile (DNG tag 51041) of a setting: shot and read noise of R, G and B.

    The tag knows two parts alone, so that its read noise is the sum of all that does not depend on
    light. G is the mean of G_r and G_b.
    """
    shot = _four(setting["shot_noise"])
    rest = [0.0] * 4
    for key in ("read_noise", "row_noise", "column_noise"):
        if key in setting:
            rest = [one + max(other, 0.0) for one, other in zip(rest, _four(setting[key]), strict=True)]
    bits = setting.get("quantization_bits")
    if isinstance(bits, Estimate):
        rest = [one + 0.25**bits.value / 12 for one in rest]
    pairs = [(parts[0], (parts[1] + parts[2]) / 2, parts[3]) for parts in (shot, rest)]
    return [number for pair in zip(*pairs, strict=True) for number in pair]


def _common_keys(settings: Mapping[float, Setting]) -> list[str]:
    """Returns the keys that all settings have, in the order of the file's description."""
    common = [key for key in IsoNoise.model_fields if all(key in setting for setting in settings.values())]
    if "hot_pixel_amplitude" not in common and "hot_pixel_density" in common:
        common.remove("hot_pixel_density")  # which says nothing without the other
    return common


def _value(key: str, value: Estimate | Sites) -> float | list[float]:
    """Returns a value within the range that the file's reader knows."""
    low, high = _RANGES.get(key, (0.0, 1.0))  # variances and shares: an unbiased one may be below 0
    if isinstance(value, Estimate):
        return _digits(min(max(value.value, low), high))
    return [_digits(min(max(one.value, low), high)) for one in value]


def _error(value: Estimate | Sites) -> float | list[float]:
    return _digits(value.error) if isinstance(value, Estimate) else [_digits(one.error) for one in value]


def _four(value: Estimate | Sites) -> list[float]:
    return [value.value] * 4 if isinstance(value, Estimate) else [one.value for one in value]


def _rounded(value: Any) -> Any:
    """Returns details with numbers of few digits, as plain Python has them."""
    if isinstance(value, Mapping):
        return {str(key): _rounded(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_rounded(one) for one in value]
    return _digits(value) if isinstance(value, float) else value


def _digits(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _whole(iso: float) -> float | int:
    return int(iso) if iso == int(iso) else iso
