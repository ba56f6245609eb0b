"""The warp between a mosaic and its JPEG: known terms come back, and simple ones are preferred."""

import itertools

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cycleisp.utils.camera_jpeg.lens_warp import MODELS, LensWarp, base_of

SIZE = (400, 600)  # H and W
CROP = np.array([[1.0, 0, -8], [0, 1, -6]])
LENS = np.array([0.4, -0.3, 1.2, 0.2, -0.1, 0.9, -6.0, 2.0, 0.5, -0.4])


def places(number: int = 120, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform((0, 0), (SIZE[1] - 1, SIZE[0] - 1), (number, 2))


def test_a_crop_moves_places_by_whole_pixels() -> None:
    warp = LensWarp(CROP, SIZE)
    np.testing.assert_allclose(warp(np.array([[10.0, 20.0]])), [[2.0, 14.0]])
    assert warp.whole_crop is not None and warp.scale == pytest.approx(1)


def test_radial_terms_are_those_of_brown_and_conrady() -> None:
    """At the corner r is 1, so that k1 and k2 add up along the diagonal."""
    terms = np.zeros(10)
    terms[6:8] = 3.0, -1.0
    warp = LensWarp(np.eye(2, 3), SIZE, terms)
    corner = np.array([[SIZE[1] - 1.0, SIZE[0] - 1.0]])
    radius = np.hypot(*(corner[0] / 2)) / (np.hypot(*SIZE) / 2)
    assert np.linalg.norm(warp.displacement(corner)) == pytest.approx(3 * radius**3 - radius**5)
    np.testing.assert_allclose(warp.displacement(np.array([[(SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2]])), 0, atol=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_a_warp_comes_back_from_the_places_it_gives(model: str) -> None:
    warp = LensWarp(CROP, SIZE, LENS[: MODELS[model]])
    found = LensWarp(CROP, SIZE).fitted(points := places(), warp(points))
    assert len(found.terms) == MODELS[model]
    np.testing.assert_allclose(found.terms, warp.terms, atol=0.02)
    np.testing.assert_allclose(found(grid := places(50, 1)), warp(grid), atol=0.01)


def test_places_that_are_wrong_do_not_count() -> None:
    warp = LensWarp(CROP, SIZE, LENS)
    points = places()
    targets = warp(points) + np.random.default_rng(1).normal(0, 0.05, points.shape)
    targets[::6] += np.random.default_rng(2).uniform(3, 30, targets[::6].shape)
    found = LensWarp(CROP, SIZE).fitted(points, targets)
    assert np.linalg.norm(found(points) - warp(points), axis=1).max() < 0.25


def test_noise_alone_makes_no_lens() -> None:
    points = places()
    targets = LensWarp(CROP, SIZE)(points) + np.random.default_rng(1).normal(0, 0.1, points.shape)
    found = LensWarp(CROP, SIZE).fitted(points, targets)
    assert len(found.terms) == MODELS["shift"]
    assert found.whole_crop is not None


def test_few_places_get_a_simple_model() -> None:
    points = places(4)
    assert len(LensWarp(CROP, SIZE).fitted(points, LensWarp(CROP, SIZE, LENS)(points)).terms) == MODELS["shift"]


@pytest.mark.parametrize(("turns", "mirrored"), itertools.product(range(4), (False, True)))
def test_eight_orientations_of_a_crop_are_whole_crops(turns: int, mirrored: bool) -> None:
    """A similarity as features give it, a little off, becomes the turned crop to the pixel."""
    numbers = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE)
    shown = np.rot90(numbers[6:380, 8:590], turns)
    shown = shown[:, ::-1] if mirrored else shown
    seen = [(6, 8), (6, 500), (300, 8), (300, 500)]
    here = np.array([(column, row) for row, column in seen], np.float32)
    there = np.array([np.argwhere(shown == numbers[place])[0][::-1] for place in seen], np.float32)
    warp = base_of(cv2.estimateAffine2D(here, there)[0] + 2e-4, SIZE).whole_crop
    assert warp is not None
    for row, column in ((50, 60), (379, 589), (200, 333)):
        x, y = warp(np.array([float(column), float(row)])).astype(int)
        assert shown[y, x] == numbers[row, column]


def test_resizing_both_pictures_keeps_their_places_together() -> None:
    warp = LensWarp(CROP, SIZE, LENS)
    half = warp.scaled(0.5)
    points = places()
    np.testing.assert_allclose(half((points + 0.5) / 2 - 0.5), (warp(points) + 0.5) / 2 - 0.5, atol=0.01)


def test_a_fraction_of_a_pixel_is_no_whole_crop() -> None:
    assert LensWarp(CROP, SIZE, np.array([0.4, 0.0])).whole_crop is None
    assert LensWarp(CROP * [[1.01], [1]], SIZE).whole_crop is None
    near = LensWarp(CROP, SIZE, np.array([1.1, -0.1])).whole_crop
    assert near is not None
    np.testing.assert_allclose(near.base[:, 2], (-7, -6))
