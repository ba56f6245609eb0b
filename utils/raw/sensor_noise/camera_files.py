"""The YAML file of a camera's noise: what it says about each ISO setting.

    name: Sony A7S II                  # optional, like everything that is not marked
    scatter: {read_noise: 0.5}         # deviation of the natural logarithm between draws
    poisson: true                      # counted electrons where they are few
    iso:                               # required: one or more settings
      100:
        shot_noise: 6.0e-6             # required: variance per unit of signal
        read_noise: [3.e-8, 3.e-8, 3.e-8, 4.e-8]   # required: a number, or of R, G_r, G_b, B
        row_noise: 1.0e-9              # variance of the offset that a row of the mosaic shares
        column_noise: 0
        tukey_lambda: -0.1             # shape of read noise, or several that are equally likely
        hot_pixel_density: 2.0e-5      # share of the photosites
        hot_pixel_amplitude: 0.05      # mean of their dark current
        dead_pixel_density: 0
        quantization_bits: 14          # 2^bits steps from black to white; need not be whole
    # A key of a setting may stand at the top instead, and then holds for all settings without it.

All values are on the scale from black, 0, to white, 1. A file may hold more than this, such as the
errors of a calibration; what is not listed here is not used.
"""

import difflib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeGuard

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from cycleisp.utils.config.files import ConfigError, check_recipe, read_yaml
from cycleisp.utils.config.values import Section, Share
from cycleisp.utils.raw.sensor_noise.ranges import FINEST, HEAVIEST, LIGHTEST

LARGEST_SCATTER = 3.0  # natural logarithms: a factor of 20
Sites = tuple[float, float, float, float]  # of R, G_r, G_b, B


def _number(value: object) -> object:
    """Reads numbers as 1e-5, which YAML 1.1 takes for text without a point."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?", value.strip()):
        return float(value)
    return value


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _sites(value: object) -> object:
    """Reads a variance, or one for each site of the Bayer tile, as four numbers."""
    numbers = [_number(one) for one in value] if _is_list(value) else [_number(value)] * 4
    usable = all(isinstance(one, float | int) and not isinstance(one, bool) and 0 <= one <= 1 for one in numbers)
    if len(numbers) != 4 or not usable:
        raise ValueError(f"expected a variance in [0, 1], or four, of R, G_r, G_b, B; got {value!r:.80}")
    return tuple(numbers)


def _shapes(value: object) -> object:
    """Reads one shape or several as several."""
    return tuple(_number(one) for one in value) if _is_list(value) else (_number(value),)


Variances = Annotated[Sites, BeforeValidator(_sites)]
Density = Annotated[Share, BeforeValidator(_number)]
Shape = Annotated[float, Field(ge=HEAVIEST, le=LIGHTEST)]
Shapes = Annotated[tuple[Shape, ...], BeforeValidator(_shapes), Field(min_length=1, max_length=1000)]
Scatter = Annotated[float, BeforeValidator(_number), Field(ge=0, le=LARGEST_SCATTER)]


def _check_spelling(content: object, known: Collection[str]) -> None:
    """Refuses keys that differ from a known one by a letter. Raises ValueError."""
    for key in map(str, content) if isinstance(content, Mapping) else ():
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.85)
        if near and key not in known and abs(len(key) - len(near[0])) <= 1:
            raise ValueError(f"unknown key {key}; did you mean {near[0]}?")


class _Open(Section):
    """A part of a file that may hold more than is used."""

    model_config = ConfigDict(extra="ignore")


class IsoNoise(_Open):
    """The noise at one ISO setting. None is what the file does not state."""

    shot_noise: Variances
    read_noise: Variances
    row_noise: Variances | None = None
    column_noise: Variances | None = None
    tukey_lambda: Shapes | None = None
    hot_pixel_density: Density | None = None
    hot_pixel_amplitude: Density | None = None
    dead_pixel_density: Density | None = None
    quantization_bits: Annotated[float, BeforeValidator(_number), Field(ge=1, le=FINEST)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _spelling(cls, content: object) -> object:
        _check_spelling(content, cls.model_fields)
        return content

    @model_validator(mode="after")
    def _hot_pixels_have_an_amplitude(self) -> "IsoNoise":
        if self.hot_pixel_density and self.hot_pixel_amplitude is None:
            raise ValueError("hot_pixel_density needs hot_pixel_amplitude, the mean of their dark current in [0, 1]")
        return self

    def stated(self) -> frozenset[str]:
        """Returns the keys that have a value."""
        return frozenset(name for name in type(self).model_fields if getattr(self, name) is not None)


class ScatterOf(Section):
    """By how much a camera's noise differs between draws: deviations of natural logarithms."""

    read_noise: Scatter = 0.0
    row_noise: Scatter = 0.0
    column_noise: Scatter = 0.0


class CameraFile(_Open):
    """The content of a camera's noise file."""

    iso: Annotated[dict[float, IsoNoise], Field(min_length=1, max_length=1000)]
    name: str | None = None
    scatter: ScatterOf = ScatterOf()
    poisson: bool = True

    @model_validator(mode="before")
    @classmethod
    def _common_keys(cls, content: object) -> object:
        """Copies the keys of a setting that stand at the top into all settings without them."""
        _check_spelling(content, [*cls.model_fields, *IsoNoise.model_fields])
        if not isinstance(content, Mapping) or not isinstance(content.get("iso"), Mapping):
            return content
        common = {key: value for key, value in content.items() if key in IsoNoise.model_fields}
        settings = {
            _number(iso): {**common, **noise} if isinstance(noise, Mapping) else noise
            for iso, noise in content["iso"].items()
        }
        return {**content, "iso": settings}

    @model_validator(mode="after")
    def _settings_agree(self) -> "CameraFile":
        """Checks ISO values, and that all settings state the same parts. Raises ValueError."""
        for iso in self.iso:
            if not (0 < iso < math.inf):
                raise ValueError(f"iso: expected sensitivities above 0, got {iso:g}")
        first, *others = self.iso.values()
        for other in others:
            if odd := first.stated() ^ other.stated():
                raise ValueError(f"iso: {min(odd)} is stated at some settings; state it at all or at none")
        return self


def read_camera_file(path: Path) -> CameraFile:
    """Reads the noise of a camera.

    Raises:
        ConfigError: the file cannot be read, is no YAML, or lacks something; the message names the
            key and what was expected.
    """
    advice = "expected the noise of a camera, as docs/reference/conventions.md describes it"
    content: dict[str, Any] = read_yaml(path, advice)
    if "iso" not in content:
        raise ConfigError(f"{path}: has no key iso; {advice}")
    return check_recipe(CameraFile, content, str(path))
