"""Alignment: views are warped to their true places, whatever their colours."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from cycleisp.utils.color.alignment import align_view
from cycleisp.utils.color.color_change import ColorChange

HEIGHT, WIDTH = 240, 320


def scene() -> NDArray[np.float32]:
    """Returns a photo larger than a view, so that views can be cut out of it."""
    photo = cv2.resize(data.astronaut(), (400, 400), interpolation=cv2.INTER_AREA)
    return photo.astype(np.float32) / 255


def view(top: float, left: float, degrees: float = 0.0, zoom: float = 1.0) -> NDArray[np.float32]:
    matrix = cv2.getRotationMatrix2D((WIDTH / 2 + left, HEIGHT / 2 + top), degrees, zoom)
    matrix[:, 2] -= (left, top)
    return cv2.warpAffine(scene(), matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)


CHANGES = {
    "none": ColorChange(),
    "warm": ColorChange((1.5, 1.0, 0.7)),
    "tone": ColorChange(gamma=0.75, contrast=0.5),
    "hue": ColorChange(saturation=1.4, hue=25.0),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("place", [(40, 40, 0, 1), (45, 58, 0, 1), (70, 20, 0, 1), (40, 40, 6, 1), (44, 36, -3, 1.1)])
def test_a_view_comes_back_to_the_reference(place: tuple[float, float, float, float], name: str) -> None:
    reference, other = view(40, 40), CHANGES[name].apply(view(*place))
    truth = CHANGES[name].apply(reference)
    aligned, seen = align_view(other, reference)
    assert aligned.shape == reference.shape and seen.shape == reference.shape[:2]
    assert seen.mean() > 0.6
    before, after = (np.abs(image - truth)[seen] for image in (other, aligned))
    assert after.mean() < 0.02  # what is left is the blur of looking up between pixels
    if place != (40, 40, 0, 1):
        assert after.mean() < 0.25 * before.mean()


def test_what_lies_outside_the_view_is_not_trusted() -> None:
    _, seen = align_view(view(40, 75), view(40, 5))
    assert seen[:, :60].mean() < 0.1  # 70 columns to the left are in the reference alone
    assert seen[:, 100:].mean() > 0.8


def test_what_is_hidden_is_not_trusted() -> None:
    reference, other = view(40, 40), view(40, 50)
    other[80:140, 120:200] = 0.5 + 0.3 * np.random.default_rng(0).standard_normal((60, 80, 3)).clip(-1, 1)
    _, seen = align_view(other, reference)
    hidden, around = seen[90:130, 140:200], np.delete(seen, np.s_[70:150], axis=0)
    assert hidden.mean() < 0.5 * around.mean()


def picture(name: str) -> NDArray[np.float32]:
    image = np.atleast_3d(getattr(data, name)())[..., :3]
    image = np.broadcast_to(image, (*image.shape[:2], 3))
    return cv2.resize(np.ascontiguousarray(image), (512, 384), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


@pytest.mark.parametrize(
    ("other", "reference"),
    [("coffee", "astronaut"), ("clock", "grass"), ("astronaut", "camera"), ("rocket", "brick"), ("clock", "chelsea")],
)
def test_views_of_other_scenes_are_trusted_nowhere(other: str, reference: str) -> None:
    """Views of different scenes must not be aligned.

    Many features of one picture may resemble a single feature of the other, which is no shrinking
    of the scene to a point.
    """
    _, seen = align_view(picture(other), picture(reference))
    assert seen.mean() < 0.05


def test_the_view_may_have_another_size() -> None:
    reference = view(40, 40)
    other = cv2.resize(scene()[30:, 50:], (500, 480), interpolation=cv2.INTER_LINEAR)
    aligned, seen = align_view(other, reference)
    assert aligned.shape == reference.shape and seen.mean() > 0.6
    assert np.abs(aligned - reference)[seen].mean() < 0.02


@pytest.mark.parametrize("shape", [(2, 2), (31, 200), (64, 80)])
def test_small_and_flat_pictures_give_nothing_to_hold_on_to(shape: tuple[int, int]) -> None:
    flat = np.full((*shape, 3), 0.4, np.float32)
    aligned, seen = align_view(flat[:, : max(2, shape[1] // 2)], flat)
    np.testing.assert_allclose(aligned, flat, atol=1e-6)
    assert not seen.any()


def test_the_same_views_give_the_same_result() -> None:
    first, again = (align_view(view(50, 60), view(40, 40)) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
