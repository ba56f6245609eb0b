"""Noise behind clipped black and coarse steps."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.fabricated_camera import FabricatedCamera
from cycleisp.utils.raw.calibration.dark.components import DarkSite
from cycleisp.utils.raw.calibration.dark.defects import HotThreshold
from cycleisp.utils.raw.calibration.dark.latent import HiddenNoiseError, Rounding, latent_noise
from cycleisp.utils.raw.calibration.dark.tails import grid_for

CLIPPED = FabricatedCamera(
    height=256,
    width=256,
    black=(0.0, 2.0, -2.0, 6.0),
    tukey_lambda=-0.1,
    sigma_row=1.0,
    sigma_column=0.7,
    sigma_fixed=2.0,
)
COARSE = FabricatedCamera(
    height=256,
    width=256,
    black=(64.0, 64.5, 63.7, 64.2),
    sigma_read=0.35,
    sigma_row=0.1,
    sigma_column=0.07,
    sigma_fixed=0.15,
)


def noise_of(camera, site, lowest, frames=6):
    dark = DarkSite(camera.darks(frames), site, HotThreshold(0, 1000), lambda: None)
    observed, _ = dark.second_pass(grid_for(max(dark.sigma, 0.1)))
    return latent_noise(observed, dark.levels, Rounding(lowest, 1.0))


@pytest.mark.parametrize(
    ("camera", "site", "lowest"),
    [
        (CLIPPED, "R", 0),
        (CLIPPED, "G_r", 0),
        (CLIPPED, "G_b", 0),
        (CLIPPED, "B", 0),
        (COARSE, "R", None),
        (COARSE, "G_r", None),
    ],
    ids=["at black", "above", "below", "far above", "coarse", "coarse, between levels"],
)
def test_all_parts_come_back(camera, site, lowest) -> None:
    parts, tail = noise_of(camera, site, lowest)
    black = camera.black[("R", "G_r", "G_b", "B").index(site)]
    assert parts.mean.value == pytest.approx(black, abs=4 * parts.mean.error)
    for name, sigma in (
        ("pixel", camera.sigma_read),
        ("row", camera.sigma_row),
        ("column", camera.sigma_column),
        ("fixed", camera.sigma_fixed),
    ):
        part = getattr(parts, name)
        assert part.value == pytest.approx(sigma**2, abs=4 * part.error), name
        assert part.error < 0.35 * sigma**2, name
    if camera is CLIPPED:
        shape = tail.families["tukey"].shape
        assert shape.value == pytest.approx(-0.1, abs=4 * shape.error)
        assert shape.error < 0.03


def test_a_moment_of_clipped_values_would_be_wrong_by_far() -> None:
    values = np.concatenate([frame.site("R").ravel() for frame in CLIPPED.darks(2)])
    all_noise = CLIPPED.sigma_read**2 + CLIPPED.sigma_row**2 + CLIPPED.sigma_column**2 + CLIPPED.sigma_fixed**2
    assert values.var() < 0.4 * all_noise  # what the estimator above does not fall for


def test_few_levels_show_no_shape() -> None:
    _, tail = noise_of(replace(COARSE, sigma_read=0.25, sigma_fixed=0.0), "R", None)
    assert set(tail.families) == {"gaussian"}


def test_noise_that_rounding_hides_is_refused() -> None:
    still = FabricatedCamera(height=32, width=32, sigma_read=0.01, sigma_row=0, sigma_column=0, sigma_fixed=0)
    with pytest.raises(HiddenNoiseError, match="fewer than three different values"):
        noise_of(still, "R", None)
