"""The estimates of a setting as a camera's noise file has them: from black, 0, to white, 1."""

import math

from cycleisp.utils.raw.calibration.estimate import Estimate, Sites, four
from cycleisp.utils.raw.calibration.setting import SettingEstimate

Quantities = dict[str, Estimate | Sites]  # by the keys of the file


def on_unit_scale(setting: SettingEstimate) -> Quantities:
    """Returns the noise by the keys of a camera's noise file; what is unknown is absent.

    A colour's range goes from its black level to nominal white, which is where readers of RAW files
    put 0 and 1. Black is the nominal one where the frames did not tell it, since a difference of a
    few DN in black changes nothing here. The fixed pattern is not a part of the file's noise.

    Returns:
        Variances of R, G_r, G_b and B as `shot_noise` (per unit of signal), `read_noise`,
        `row_noise` and `column_noise`; numbers as `tukey_lambda`, `hot_pixel_density`,
        `hot_pixel_amplitude` and `quantization_bits`. A variance that is 0 in truth may be
        estimated below 0.
    """
    ranges = _ranges(setting)
    result: Quantities = {}
    for key, sites, power in (
        ("shot_noise", setting.gain, 1),
        ("read_noise", setting.read_noise, 2),
        ("row_noise", setting.row_noise, 2),
        ("column_noise", setting.column_noise, 2),
    ):
        if sites is not None:
            result[key] = four(one.times(span**-power) for one, span in zip(sites, ranges, strict=True))
    usual = sum(ranges) / len(ranges)
    if setting.tukey_lambda is not None:
        result["tukey_lambda"] = setting.tukey_lambda
    if setting.hot_pixels is not None:
        result["hot_pixel_density"] = setting.hot_pixels.density
        result["hot_pixel_amplitude"] = setting.hot_pixels.amplitude.times(1 / usual)
    if setting.quantization_step is not None:
        result["quantization_bits"] = _bits(setting.quantization_step, usual)
    return result


def _ranges(setting: SettingEstimate) -> list[float]:
    """Returns the distance from black to white of each colour, in DN."""
    blacks = setting.nominal_black if setting.black is None else [one.value for one in setting.black]
    return [max(setting.white - black, 1.0) for black in blacks]


def _bits(step: Estimate, span: float) -> Estimate:
    """Returns the logarithm to base 2 of the number of steps from black to white."""
    return Estimate(math.log2(span / step.value), step.error / step.value / math.log(2))
