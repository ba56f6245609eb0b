"""Pictures stand upright, whatever their orientation, as Pillow shows them."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from cycleisp.utils.orientation import ORIENTATIONS, as_stored, exchanges_sides, upright

STORED = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_pictures_stand_as_pillow_shows_them(orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    file = io.BytesIO()
    Image.fromarray(STORED).save(file, "PNG", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(file)))
    shown = upright(STORED, orientation)
    np.testing.assert_array_equal(shown, expected)
    assert shown.flags.c_contiguous
    assert (shown.shape != STORED.shape) == exchanges_sides(orientation)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("stored", [STORED, STORED[..., 0].astype(np.float32)])
def test_turning_back_gives_the_stored_picture(orientation: int, stored: np.ndarray) -> None:
    np.testing.assert_array_equal(as_stored(upright(stored, orientation), orientation), stored)


@pytest.mark.parametrize("orientation", [0, 9, -1, 65535])
def test_an_orientation_that_does_not_exist_counts_as_upright(orientation: int) -> None:
    np.testing.assert_array_equal(upright(STORED, orientation), STORED)
    np.testing.assert_array_equal(as_stored(STORED, orientation), STORED)
