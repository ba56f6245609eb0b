from dataclasses import replace

import numpy as np
import pytest

from benchmarks.fabricated_camera import FabricatedCamera
from cycleisp.utils.raw.calibration.dark.defects import find_hot_pixels, hot_threshold
from cycleisp.utils.raw.calibration.frames import SITES
from cycleisp.utils.raw.calibration.levels import add_counts, count_levels

CAMERA = FabricatedCamera(hot_density=2e-3, hot_amplitude=600, tukey_lambda=-0.1, pattern="GBRG")


def hot_of(camera, frames=4):
    darks = camera.darks(frames)
    thresholds = {}
    for site in SITES:
        counts = np.zeros(1, np.int64)
        for frame in darks:
            counts = add_counts(counts, count_levels(frame, site))
        thresholds[site] = hot_threshold(counts, 1.0)
    return find_hot_pixels(darks, thresholds)


def test_hot_photosites_are_found_where_they_are() -> None:
    hot = hot_of(CAMERA)
    truth = CAMERA.current
    clear = truth > hot.threshold + 6 * 5  # what noise cannot hide
    found = np.zeros(truth.shape, bool)
    found[hot.rows, hot.columns] = True
    assert clear.sum() > 80
    assert (found >= clear).all()
    assert truth[found].min() > hot.threshold - 6 * 5  # and nothing else is taken for one
    # a mean of four frames: read noise, shot noise and the fixed pattern
    error = np.sqrt((25 + 2.0 * truth[hot.rows, hot.columns]) / 4 + 1)
    assert (np.abs(hot.amplitudes - truth[hot.rows, hot.columns]) < 6 * error).all()
    assert (np.diff(hot.amplitudes) <= 0).all()


def test_density_and_amplitude_count_those_that_hide_in_the_noise() -> None:
    found = [hot_of(replace(CAMERA, seed=seed), frames=2) for seed in range(12)]
    density = np.array([(one.density.value - 2e-3) / one.density.error for one in found])
    amplitude = np.array([(one.amplitude.value - 600) / one.amplitude.error for one in found])
    for distance in (density, amplitude):
        assert abs(distance.mean()) < 4 / 12**0.5
        assert distance.std() < 1.9


@pytest.mark.parametrize("frames", [2, 8])
def test_heavy_tails_are_no_hot_photosites(frames) -> None:
    hot = hot_of(replace(CAMERA, hot_density=0.0, tukey_lambda=-0.24), frames)
    assert len(hot.rows) == 0
    assert hot.density.value == 0
    assert hot.density.error == pytest.approx(1 / 65536)  # one in the whole frame could have been there
