"""What ordinary pictures say about a camera's noise: for the camera's file, and as a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cycleisp.dataloaders.calibration.plots import noise_by_iso_chart
from cycleisp.dataloaders.calibration.report import unusable_table, words_of
from cycleisp.utils.output.report.page import code, heading, page, paragraph, table
from cycleisp.utils.raw.calibration.camera_yaml import Setting, noise_profile
from cycleisp.utils.raw.picture_noise.estimate import PictureNoise

_LIGHT = 0.18  # a middle grey, whose noise is what matters and what is known best


def setting_of(noise: PictureNoise) -> Setting:
    """Returns the noise of one ISO setting by the keys of a camera's file.

    Read noise has rounding in it, so that the file states none.
    """
    setting = {"shot_noise": noise.shot_noise, "read_noise": noise.read_noise}
    return setting if noise.row_noise is None else {**setting, "row_noise": noise.row_noise}


def details_of(noise: PictureNoise) -> dict[str, Any]:
    """Returns what else the camera's file says about one ISO setting."""
    return {
        "pictures": noise.pictures,
        "black_clipped": noise.black_clipped,
        "correlation_of_shot_and_read_noise": noise.correlation,
        "noise_profile": noise_profile(setting_of(noise)),
    }


def pictures_page(
    camera: str,
    settings: Mapping[float, PictureNoise],
    unusable: Sequence[tuple[Path, str]],
    command: str,
    version: str,
) -> str:
    """Returns the report as one file of HTML.

    Args:
        camera: maker and model; empty where unknown.
        settings: the estimates by ISO.
        unusable: files that say nothing, each with the reason.
        command: the line that made the report.
        version: of the program.
    """
    heads = ("ISO", "pictures", "shot noise", "read noise", "row noise", "variance of a middle grey")
    rows = [
        (
            f"{iso:g}",
            noise.pictures,
            words_of(noise.shot_noise),
            words_of(noise.read_noise),
            words_of(noise.row_noise) or noise.row_reason,
            words_of(noise.variance(_LIGHT)),
        )
        for iso, noise in sorted(settings.items())
    ]
    about = (
        f"Estimated from ordinary pictures by CycleISP {version}. Noises are variances on the scale from black, 0, to "
        f"white, 1, before their standard errors. Errors of shot and read noise go against each other, so that the "
        f"variance of a middle grey ({_LIGHT:g}) is known better than either. Calibration frames tell more, with "
        "smaller errors."
    )
    parts = [paragraph(about), code(command), heading("All settings"), table(heads, rows)]
    if len(settings) > 1:
        parts.append(noise_by_iso_chart({iso: setting_of(noise) for iso, noise in settings.items()}))
    parts += [heading("Pictures that were not used"), unusable_table(unusable)]
    return page(f"Noise of {camera or 'a camera'}", parts)
