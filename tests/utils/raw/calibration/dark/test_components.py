"""The parts of dark noise, against fabricated sensors. Bounds are multiples of stated errors."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.fabricated_camera import FabricatedCamera
from cycleisp.utils.raw.calibration import strips
from cycleisp.utils.raw.calibration.dark.components import DarkSite
from cycleisp.utils.raw.calibration.dark.defects import HotThreshold
from cycleisp.utils.raw.calibration.dark.tails import grid_for

CAMERA = FabricatedCamera(height=128, width=96, sigma_row=1.0, sigma_column=0.7, sigma_fixed=3.0)
ROUNDING = 1 / 12
SITES = ("R", "G_r", "G_b", "B")


def parts_of(frames, site="R"):
    dark = DarkSite(frames, site, HotThreshold(512, 1000), lambda: None)
    return dark.second_pass(grid_for(5.0))


@pytest.fixture(scope="module")
def draws():
    """Returns the parts of all colours of 25 sensors: 100 draws."""
    sensors = [replace(CAMERA, seed=seed) for seed in range(25)]
    return [parts_of(frames, site)[0] for frames in (sensor.darks(5) for sensor in sensors) for site in SITES]


@pytest.mark.parametrize(("part", "truth"), [("pixel", 25 + ROUNDING), ("row", 1.0), ("column", 0.49), ("fixed", 9.0)])
def test_parts_are_unbiased_and_their_errors_cover_the_truth(draws, part, truth) -> None:
    each = [getattr(draw, part) for draw in draws]
    values, errors = np.array([one.value for one in each]), np.array([one.error for one in each])
    # R and G_r share the offsets of their rows, so that 100 draws count as 50 or more.
    assert abs(values.mean() - truth) < 4 * values.std() / 50**0.5
    within = (np.abs(values - truth) < errors).mean()
    assert 0.68 - 0.2 < within < 0.68 + 0.15  # 3 deviations of a share among 50: 0.2
    assert (np.abs(values - truth) < 2 * errors).mean() > 0.95 - 0.09


def test_the_error_of_black_covers_it(draws) -> None:
    distance = [
        (draw.mean.value - 512 - CAMERA.black[index % 4] + 512) / draw.mean.error for index, draw in enumerate(draws)
    ]
    assert 0.48 < (np.abs(distance) < 1).mean() < 0.85
    assert (np.abs(distance) < 2).mean() > 0.86


def test_a_drift_between_frames_is_no_noise_but_makes_black_uncertain() -> None:
    frames = CAMERA.darks(4)
    drifted = [replace(frame, mosaic=frame.mosaic + 20 * index) for index, frame in enumerate(frames)]
    still, moved = parts_of(frames)[0], parts_of(drifted)[0]
    for part in ("pixel", "row", "column", "fixed"):
        assert getattr(moved, part).value == pytest.approx(getattr(still, part).value, rel=1e-6)
    assert moved.mean.error == pytest.approx(20 * np.std([0, 1, 2, 3], ddof=1) / 2, rel=0.05)


def test_strips_do_not_change_the_result(monkeypatch) -> None:
    frames = CAMERA.darks(3)
    whole, differences = parts_of(frames)
    monkeypatch.setattr(strips, "VALUES", 3 * 48 * 7)
    parts, again = parts_of(frames)
    np.testing.assert_array_equal(differences, again)
    assert parts.pixel.value == pytest.approx(whole.pixel.value)
    assert parts.column.value == pytest.approx(whole.column.value)
    assert parts.fixed.error == pytest.approx(whole.fixed.error)


def test_pairs_of_frames_are_counted_as_differences() -> None:
    frames = CAMERA.darks(5)
    assert parts_of(frames)[1].sum() == 2 * 64 * 48  # the fifth frame has no partner
