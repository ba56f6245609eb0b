"""Contact sheets and pictures of differences."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cycleisp.utils.output.contact_sheet import contact_sheet, difference_picture

RED = (200, 10, 30)  # unlike ink, paper and anything between


def red_picture(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), RED, np.uint8)


def red_box(sheet: NDArray[np.uint8]) -> tuple[int, int]:
    """Returns height and width of the exactly red pixels, which must form a full rectangle."""
    rows, columns = np.nonzero((sheet == RED).all(axis=2))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert rows.size == height * width
    return int(height), int(width)


def test_a_small_picture_is_shown_pixel_by_pixel() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    sheet = contact_sheet([[("", picture)]], cell=100)
    windows = np.lib.stride_tricks.sliding_window_view(sheet, picture.shape)[:, :, 0]
    assert (windows == picture).all(axis=(2, 3, 4)).sum() == 1
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((40, 60), (40, 60)),
        ((400, 200), (100, 50)),
        ((200, 400), (50, 100)),
        ((100, 100), (100, 100)),
        ((3, 900), (1, 100)),
    ],
    ids=str,
)
def test_a_large_picture_is_scaled_down_to_fit(size: tuple[int, int], shown: tuple[int, int]) -> None:
    assert red_box(contact_sheet([[("caption", red_picture(*size))]], cell=100)) == shown


def test_the_sheet_holds_all_columns_and_rows() -> None:
    picture = red_picture(50, 80)
    areas = {}
    for rows, columns in ((1, 1), (1, 3), (2, 3)):
        sheet = contact_sheet([[("caption", picture)] * columns] * rows, cell=100)
        assert sheet.shape[0] >= rows * 50 and sheet.shape[1] >= columns * 100
        areas[rows, columns] = sheet.shape
        assert (sheet == RED).all(axis=2).sum() == rows * columns * 50 * 80  # none covers another
    assert areas[1, 1][0] == areas[1, 3][0] < areas[2, 3][0]
    assert areas[1, 1][1] < areas[1, 3][1] == areas[2, 3][1]


def test_rows_may_differ_in_length() -> None:
    picture = red_picture(50, 80)
    sheet = contact_sheet([[("one", picture)], [("two", picture)] * 3], cell=100)
    assert (sheet == RED).all(axis=2).sum() == 4 * 50 * 80


def test_a_caption_is_written_outside_the_picture() -> None:
    bare, captioned = (contact_sheet([[(text, red_picture(50, 80))]], cell=100) for text in ("", "clean"))
    assert bare.shape == captioned.shape
    assert (captioned.min(axis=2) < 100).sum() > (bare.min(axis=2) < 100).sum()
    assert red_box(captioned) == red_box(bare) == (50, 80)


def test_sixteen_bit_pictures_are_shown_in_eight() -> None:
    deep = np.asarray(red_picture(50, 80), np.uint16) * 256 + 128
    assert np.array_equal(contact_sheet([[("", deep)]]), contact_sheet([[("", red_picture(50, 80))]]))


def test_pictures_may_be_views() -> None:
    """Mirrored pictures, and those with red and blue exchanged, have negative strides."""
    picture = np.ascontiguousarray(red_picture(50, 80)[..., ::-1])
    assert red_box(contact_sheet([[("", picture[::-1, :, ::-1])]], cell=100)) == (50, 80)


@pytest.mark.parametrize("rows", [[], [[]], [[], []]], ids=str)
def test_no_picture_at_all_is_refused(rows: list[list[tuple[str, NDArray]]]) -> None:
    with pytest.raises(ValueError, match="at least one picture"):
        contact_sheet(rows)


@pytest.mark.parametrize("empty_first", [True, False])
def test_an_empty_row_beside_a_full_one_is_no_reason_to_refuse(empty_first: bool) -> None:
    full = [("", red_picture(50, 80))]
    sheet = contact_sheet([[], full] if empty_first else [full, []], cell=100)
    assert red_box(sheet) == (50, 80)


# ---------------------------------------------------------------- differences


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_no_difference_is_middle_grey(dtype: type[np.unsignedinteger]) -> None:
    picture = np.full((4, 4, 3), 100, dtype)
    difference = difference_picture(picture, picture)
    assert difference.dtype == np.uint8
    assert np.isin(difference, (127, 128)).all()


@pytest.mark.parametrize(
    ("dtype", "first", "second", "gain", "expected"),
    [
        (np.uint8, 100, 110, 4.0, 127.5 + 40),
        (np.uint8, 110, 100, 4.0, 127.5 - 40),  # unsigned integers do not wrap round
        (np.uint8, 0, 255, 4.0, 255),
        (np.uint8, 255, 0, 4.0, 0),
        (np.uint8, 100, 110, 1.0, 127.5 + 10),
        (np.uint16, 0, 65535 // 16, 4.0, 127.5 + 255 / 4),
        (np.uint16, 65535 // 16, 0, 4.0, 127.5 - 255 / 4),
    ],
)
def test_a_difference_is_amplified_around_grey(
    dtype: type[np.unsignedinteger], first: int, second: int, gain: float, expected: float
) -> None:
    pictures = (np.full((2, 2, 3), value, dtype) for value in (first, second))
    assert np.abs(difference_picture(*pictures, gain=gain) - expected).max() <= 0.51
