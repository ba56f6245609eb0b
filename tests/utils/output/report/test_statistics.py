"""Statistics of reports: variances within the bounds of their counts; bars that count all."""

import re

import numpy as np

from cycleisp.utils.output.report.pictures import CUT, SIDE, fitted, most_changed
from cycleisp.utils.output.report.statistics import histogram, variance_by_intensity


def test_the_variance_of_known_noise_is_found_at_every_intensity() -> None:
    rng = np.random.default_rng(0)
    clean = rng.uniform(0.1, 0.8, (200, 300)).astype(np.float32)
    noisy = (clean + np.sqrt(0.01 * clean + 0.0005) * rng.standard_normal(clean.shape)).astype(np.float32)
    curve = variance_by_intensity(clean, noisy)
    expected = 0.01 * curve.intensity + 0.0005
    inside = curve.intensity < 0.65  # nearer to white, clipped values are left out
    assert inside.sum() > 10
    assert (np.abs(curve.variance - expected)[inside] < 5 * curve.error[inside]).all()


def test_images_without_usable_values_have_no_curve() -> None:
    black = np.zeros((20, 20), np.float32)
    assert len(variance_by_intensity(black, black).intensity) == 0


def test_every_value_has_its_bar() -> None:
    figure = histogram("x", [1, 1, 2, 3, 3, 3, np.nan], "Words.")
    assert "Words." in figure and re.search("polyline", figure)
    assert histogram("x", [1.0], "Words.") == "" and histogram("x", [0, -1, 5], "Words.", log=True) == ""
    assert "nan" not in histogram("x", [2, 2, 2], "Words.")


def test_pictures_are_small_and_the_place_of_the_change_is_found() -> None:
    picture = np.zeros((700, 900, 3), np.uint16)
    assert fitted(picture, SIDE).shape == (205, 264, 3) and fitted(picture, SIDE).dtype == np.uint8
    changed = picture.copy()
    changed[500:540, 600:650] = 9000
    rows, columns = most_changed(picture, changed)
    assert rows.start <= 500 and rows.stop >= 540 and columns.start <= 600 and columns.stop >= 650
    assert (rows.stop - rows.start, rows.start % 2) == (CUT, 0)
    small = np.zeros((5, 3, 3), np.uint8)
    assert small[most_changed(small, small)].shape == (5, 3, 3)
