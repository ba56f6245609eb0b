"""Laying a camera's JPEG onto the mosaic's picture: known places are found, others are refused."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cycleisp.utils.camera_jpeg.registration import Registration, RegistrationError, grid, look_up, register
from cycleisp.utils.camera_jpeg.tile_shifts import tile_shifts
from tests.support.camera_jpegs import HEIGHT, WIDTH, Geometry, camera_jpeg, dead_leaves


def grey(picture: NDArray) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def plain(seed: int = 0) -> NDArray[np.uint8]:
    """Returns the picture of a scene as a converter without taste renders it."""
    linear = dead_leaves(seed=seed)
    noisy = linear + np.random.default_rng(seed).normal(0, 0.004, linear.shape).astype(np.float32)
    return grey(np.rint(255 * np.clip(noisy, 0, 1) ** (1 / 2.2)).astype(np.uint8))


def smooth(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1.0), np.float32)


def errors(found: Registration, geometry: Geometry) -> NDArray[np.float64]:
    """Returns by how many pixels places of the mosaic are missed, where the JPEG shows them."""
    places = grid(range(0, HEIGHT, 4), range(0, WIDTH, 4))
    there = found.warp(places)
    inside = ((there >= 0) & (there <= (geometry.width - 1, geometry.height - 1))).all(axis=-1)
    return np.asarray(np.linalg.norm(geometry.source(there) - places, axis=-1)[inside])


@pytest.mark.parametrize(("top", "left"), [(0, 0), (4, 8), (3, 11)])
def test_a_crop_is_found_to_the_pixel(top: int, left: int) -> None:
    geometry = Geometry(top=top, left=left)
    found = register(plain(), grey(camera_jpeg(dead_leaves(), geometry)))
    assert found.warp.whole_crop is not None
    assert errors(found, geometry).max() < 1e-6
    assert found.typical_error < 0.2


@pytest.mark.parametrize("barrel", [0.03, -0.02])
def test_the_correction_of_a_lens_is_found(barrel: float) -> None:
    """At the corners it is about five pixels."""
    geometry = Geometry(barrel=barrel)
    found = register(plain(), grey(camera_jpeg(dead_leaves(), geometry)))
    assert np.median(errors(found, geometry)) < 0.1
    assert np.quantile(errors(found, geometry), 0.99) < 0.5


@pytest.mark.parametrize("turned", [lambda image: np.rot90(image), lambda image: image[:, ::-1]])
def test_a_turned_and_a_mirrored_jpeg_are_brought_back(turned: object) -> None:
    jpeg = grey(camera_jpeg(dead_leaves(), Geometry()))
    found = register(plain(), np.ascontiguousarray(turned(jpeg)))  # type: ignore[operator]
    brought = look_up(np.ascontiguousarray(turned(jpeg)), found.warp, slice(4, 180), slice(8, 240))  # type: ignore[operator]
    np.testing.assert_array_equal(brought, jpeg[:176, :232])


def test_another_scene_is_refused() -> None:
    with pytest.raises(RegistrationError, match=r"only [0-9]+ features agree .* shows something else"):
        register(plain(), grey(camera_jpeg(dead_leaves(seed=5), Geometry())))


def test_a_picture_without_detail_is_refused() -> None:
    with pytest.raises(RegistrationError, match="only 0 features"):
        register(plain(), np.full((HEIGHT, WIDTH), 90, np.uint8))


def test_a_picture_of_which_a_part_differs_is_refused() -> None:
    jpeg = grey(camera_jpeg(dead_leaves(), Geometry()))
    jpeg[100:, 140:] = grey(camera_jpeg(dead_leaves(seed=5), Geometry()))[100:, 140:]
    with pytest.raises(RegistrationError, match="cannot be aligned"):
        register(plain(), jpeg)


def test_small_pictures_are_refused() -> None:
    with pytest.raises(RegistrationError, match="fewer than 96 pixels"):
        register(plain()[:80], plain())


def test_tiles_are_measured_to_a_fraction_of_a_pixel_whatever_the_contrast() -> None:
    picture = smooth(plain())
    matrix = np.array([[1, 0, 1.5], [0, 1, -0.75]])
    moved = np.asarray(cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC), np.float32)
    tiles = tile_shifts(picture, 0.6 * moved + 30, moved, side=32, reach=4, across=8)
    assert len(tiles.shifts) > 20
    np.testing.assert_allclose(np.median(tiles.shifts, axis=0), (1.5, -0.75), atol=0.05)
    assert np.linalg.norm(tiles.shifts - (1.5, -0.75), axis=1).max() < 0.3


def test_flat_tiles_are_left_out_and_strange_ones_are_lost() -> None:
    picture = smooth(plain())
    other = picture.copy()
    other[:, :64] = 100  # flat
    other[96:, 160:] = picture[95::-1, 160:]  # something else
    tiles = tile_shifts(picture, other, other, side=32, reach=4, across=8)
    for centres in (tiles.centres, tiles.lost):
        assert (centres[:, 0] > 48).all()  # half of 32 beside the last flat column
    strange = (tiles.lost > (175, 111)).all(axis=1)
    assert strange.sum() >= 2
    assert not (tiles.centres > (175, 111)).all(axis=1).any()
