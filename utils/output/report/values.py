"""Measured values in words: as many digits as their standard errors allow."""

import math


def with_error(value: float, error: float) -> str:
    """Writes a value and its standard error, with two digits of the error: 3.142 ± 0.012.

    Very large and very small values have their power of ten behind a bracket: (1.42 ± 0.03)e-5.
    """
    if not (math.isfinite(value) and math.isfinite(error)) or error <= 0:
        return f"{value:.5g}"
    power = math.floor(math.log10(max(abs(value), error)))
    if -3 <= power <= 5:
        return _fixed(value, error)
    scale = 10.0**power
    return f"({_fixed(value / scale, error / scale)})e{power}"


def _fixed(value: float, error: float) -> str:
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"
