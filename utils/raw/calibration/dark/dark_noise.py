"""The noise of one colour in a group of dark frames: its parts and its tails."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cycleisp.utils.raw.calibration.dark.components import Components, DarkSite
from cycleisp.utils.raw.calibration.dark.defects import HotThreshold
from cycleisp.utils.raw.calibration.dark.latent import COARSE, Rounding, latent_noise
from cycleisp.utils.raw.calibration.dark.tails import TailFit, fit_differences, grid_for
from cycleisp.utils.raw.calibration.estimate import Estimate
from cycleisp.utils.raw.calibration.frames import Frame, Site
from cycleisp.utils.raw.calibration.levels import Black


@dataclass(frozen=True)
class DarkNoise:
    """What dark frames tell about one colour.

    Attributes:
        parts: of the variance; `parts.pixel` is read noise alone, without rounding.
        tail: the shape of read noise.
    """

    parts: Components
    tail: TailFit


def measure_dark_noise(
    frames: Sequence[Frame], site: Site, black: Black, step: float, hot: HotThreshold, advance: Callable[[], object]
) -> DarkNoise:
    """Measures the noise of two or more dark frames of one exposure.

    Where nothing is clipped and the noise is wider than a step, the values' own variances count,
    less the variance of rounding, step^2 / 12 (Sheppard's correction). Otherwise the noise before
    clipping and rounding is estimated.

    Args:
        frames: of one group.
        site: the colour.
        black: the lower end of the values.
        step: distance of two levels, in DN.
        hot: which photosites to leave out.
        advance: called after each strip of each of the two passes.

    Raises:
        HiddenNoiseError: clipping or rounding hides the noise.
    """
    dark = DarkSite(frames, site, hot, advance)
    grid = grid_for(max(dark.sigma, step / 8), step)
    observed, differences = dark.second_pass(grid)
    total = sum(part.value for part in (observed.pixel, observed.row, observed.column, observed.fixed))
    if black.clipped or total < (COARSE * step) ** 2:
        rounding = Rounding(black.lowest if black.clipped else None, step)
        return DarkNoise(*latent_noise(observed, dark.levels, rounding))
    read = observed.pixel.plus(Estimate(-(step**2) / 12, 0.0))
    kept = (1 - 1 / observed.height) * (1 - 1 / observed.width)
    tail = fit_differences(differences, grid, step, max(read.value, step**2 / 100) ** 0.5, kept)
    return DarkNoise(replace(observed, pixel=read), tail)
