"""What lies between two ISO settings, with its error, and the line through all of them."""

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cycleisp.utils.raw.calibration.estimate import Estimate, Sites, four

Quantities = Mapping[str, Estimate | Sites]
LINEAR = frozenset({"tukey_lambda", "quantization_bits"})  # keys that are no variances, densities, amplitudes


@dataclass(frozen=True)
class LogLine:
    """A quantity as a power of the ISO setting: ln(value) = intercept + slope * ln(iso).

    Attributes:
        slope, intercept: of the line, with natural logarithms.
        spread: deviation of the settings from it, in natural logarithms, beyond their errors.
    """

    slope: Estimate
    intercept: float
    spread: float

    def at(self, iso: float) -> float:
        """Returns the line's value at an ISO setting."""
        return math.exp(self.intercept + self.slope.value * math.log(iso))


def interpolate(settings: Mapping[float, Quantities], iso: float) -> dict[str, Estimate | Sites]:
    """Returns the quantities at an ISO setting between two that were measured.

    Logarithms of values are linear in the logarithm of the ISO setting, as in
    `sensor_noise.cameras`; so are shapes and bits themselves, and values of which one is not above
    0. Errors are those of independent estimates, and tell nothing of how far a camera is from the
    line.

    Args:
        settings: by ISO setting, what was measured there, as `on_unit_scale` gives it. Keys that
            one of the two neighbours lacks are left out.
        iso: within the measured ones.

    Raises:
        ValueError: the setting lies outside of those that were measured.
    """
    known = sorted(settings)
    if not known or not known[0] <= iso <= known[-1]:
        span = f"{known[0]:g} to {known[-1]:g}" if known else "no setting"
        raise ValueError(f"frames were taken at ISO {span}, asked for ISO {iso:g}; take frames at that setting")
    if iso in settings:
        return dict(settings[iso])
    after = bisect.bisect_left(known, iso)
    low, high = known[after - 1], known[after]
    part = math.log(iso / low) / math.log(high / low)
    first, second = settings[low], settings[high]
    return {key: _between(key, first[key], second[key], part) for key in first if key in second}


def _between(key: str, first: Estimate | Sites, second: Estimate | Sites, part: float) -> Estimate | Sites:
    if isinstance(first, Estimate) and isinstance(second, Estimate):
        linear = key in LINEAR or first.value <= 0 or second.value <= 0
        return (_linear if linear else _log_linear)(first, second, part)
    assert isinstance(first, tuple) and isinstance(second, tuple)
    pairs = zip(first, second, strict=True)
    return four(_between(key, one, other, part) for one, other in pairs)  # type: ignore[misc]


def _linear(first: Estimate, second: Estimate, part: float) -> Estimate:
    return first.times(1 - part).plus(second.times(part))


def _log_linear(first: Estimate, second: Estimate, part: float) -> Estimate:
    logarithm = _linear(_logarithm(first), _logarithm(second), part)
    value = math.exp(logarithm.value)
    return Estimate(value, value * logarithm.error)


def _logarithm(estimate: Estimate) -> Estimate:
    return Estimate(math.log(estimate.value), estimate.error / estimate.value)


def log_line(isos: Sequence[float], estimates: Sequence[Estimate]) -> LogLine:
    """Fits a power of the ISO setting to estimates above 0, all with equal weight.

    The scatter of a camera's settings about a power law is usually larger than the errors of their
    measurement, which is why these do not decide the weights.

    Raises:
        ValueError: fewer than two different settings have a value above 0.
    """
    usable = [(iso, one) for iso, one in zip(isos, estimates, strict=True) if one.value > 0]
    if len({iso for iso, _ in usable}) < 2:
        raise ValueError("a line through ISO settings needs two of them with values above 0; take frames at more")
    x = np.array([math.log(iso) for iso, _ in usable])
    y = np.array([math.log(one.value) for _, one in usable])
    errors = np.array([one.error / one.value for _, one in usable])
    centred = x - x.mean()
    weights = centred / np.square(centred).sum()
    slope = float(weights @ y)
    residual = y - y.mean() - slope * centred
    free = max(len(x) - 2, 1)
    scatter = float(np.square(residual).sum()) / free
    excess = math.sqrt(max(scatter - float(np.square(errors).mean()), 0.0))
    error = math.sqrt(float(np.square(weights) @ np.maximum(np.square(errors), scatter)))
    return LogLine(Estimate(slope, error), float(y.mean() - slope * x.mean()), excess)
