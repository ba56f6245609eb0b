"""TIFF structures: every tag comes back in both byte orders, no number overflows."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cycleisp.utils.raw.dng.tags import read_tiff_tags
from cycleisp.utils.raw.dng.tiff_writer import (
    BYTE,
    LONG,
    RATIONAL,
    SHORT,
    SRATIONAL,
    encode_ifds,
    number_tag,
    text_tag,
)

ORDERS = pytest.mark.parametrize("order", ["<", ">"])


@ORDERS
def test_main_exif_and_gps_tags_come_back(order: str) -> None:
    main = [text_tag(order, 272, "Model"), text_tag(order, 271, "M"), number_tag(order, 50714, SHORT, 1, 2, 3)]
    exif, gps = (
        [number_tag(order, 33434, RATIONAL, 0.02)],
        [text_tag(order, 1, "N"), number_tag(order, 2, RATIONAL, 46.5)],
    )
    tags = read_tiff_tags(io.BytesIO(encode_ifds(order, main, exif, gps, b"")))
    assert tags is not None and tags.byteorder == order
    assert {code: tag for code, tag in tags.ifd0.items() if code not in (34665, 34853)} == {
        tag.code: tag for tag in main
    }
    assert list(tags.exif.values()) == exif and list(tags.gps.values()) == gps


@ORDERS
def test_the_picture_is_where_other_readers_look_for_it(tmp_path: Path, order: str) -> None:
    picture = np.arange(48, dtype=np.uint16).reshape(6, 8)
    numbers = {256: 8, 257: 6, 258: 16, 259: 1, 262: 1, 277: 1, 278: 6, 279: 96}
    tags = [number_tag(order, code, LONG, value) for code, value in numbers.items()]
    content = encode_ifds(order, tags, [text_tag(order, 42036, "Lens")], [], picture.astype(f"{order}u2").tobytes())
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(content)), picture)
    assert Image.open(io.BytesIO(content)).getexif().get_ifd(34665)[42036] == "Lens"


@ORDERS
def test_a_preview_lies_in_a_subifd(order: str) -> None:
    picture, small = (np.arange(side * side, dtype=np.uint8).reshape(side, side) for side in (8, 5))
    layouts = []
    for kind, side in ((0, 8), (1, 5)):
        numbers = {254: kind, 256: side, 257: side, 258: 8, 259: 1, 262: 1, 277: 1, 278: side, 279: side * side}
        layouts.append([number_tag(order, code, LONG, value) for code, value in numbers.items()])
    content = encode_ifds(order, layouts[0], strip=picture.tobytes(), preview=(layouts[1], small.tobytes()))
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        (page,) = tiff.pages
        assert isinstance(page, tifffile.TiffPage) and page.pages is not None
        np.testing.assert_array_equal(page.asarray(), picture)
        np.testing.assert_array_equal(page.pages[0].asarray(), small)


@given(st.floats(allow_nan=False, allow_infinity=False), st.booleans())
def test_no_rational_overflows_and_each_is_as_near_as_it_can_be(value: float, signed: bool) -> None:
    """A matrix that is nearly singular has an inverse with huge values, for example."""
    (stored,) = number_tag("<", 1, SRATIONAL if signed else RATIONAL, value).numbers
    low, high = (-(2**31) + 1, 2**31 - 1) if signed else (0, 2**32 - 1)
    bounded = min(max(value, low), high)
    assert stored == pytest.approx(bounded, rel=1e-9, abs=1e-6) or abs(stored - bounded) <= 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="tag 50721 takes finite numbers"):
        number_tag("<", 50721, SRATIONAL, 1.0, value)


def test_integers_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="tag 50717 cannot hold"):
        number_tag("<", 50717, SHORT, 65536)
    with pytest.raises(ValueError, match="tag 7 cannot hold"):
        number_tag(">", 7, BYTE, -1)


def test_text_ends_where_it_ends() -> None:
    assert text_tag("<", 271, "Ma\0ker").text == "Maker"
    assert text_tag("<", 271, b"\xff\xfe").data == b"\xff\xfe\0"
