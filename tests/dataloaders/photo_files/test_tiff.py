"""TIFF of every depth, and which of its pictures is the photo."""

import io
import logging
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import ExifTags, Image

from cycleisp.dataloaders.photo_files import stored
from cycleisp.dataloaders.photos import PhotoError, decode_photo, decode_photo_and_metadata, read_photo
from cycleisp.utils.orientation import upright
from tests.support.paths import shared
from tests.support.pictures import ORIENTATION, PROFILE, random_picture


def as_tiff(picture: NDArray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    kind = "rgb" if picture.ndim == 3 else "minisblack"
    tifffile.imwrite(buffer, picture, **{"photometric": kind, "metadata": None, **options})
    return buffer.getvalue()


def packed(values: NDArray, bits: int) -> bytes:
    """Returns values (H, ...) as a stream of bits in which every row begins with a byte."""
    rows = values.reshape(len(values), -1).astype(np.uint32)
    stream = (rows[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(stream.reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()


def tiff_of_bits(values: NDArray, bits: int, order: str = "<", big: bool = False, **changed: Any) -> bytes:
    """Returns a TIFF of any depth, written by the letter of its specification."""
    samples = 1 if values.ndim == 2 else values.shape[2]
    strip = packed(values, bits)
    code, room = ("Q", 8) if big else ("I", 4)
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}H", 43 if big else 42)
    head += struct.pack(f"{order}HHQ", 8, 0, 16) if big else struct.pack(f"{order}I", 8)
    tags = {
        256: (4, [values.shape[1]]),
        257: (4, [values.shape[0]]),
        258: (3, [bits] * samples),
        259: (3, [1]),
        262: (3, [2 if samples >= 3 else 1]),
        273: (16 if big else 4, [0]),
        274: (3, [1]),
        277: (3, [samples]),
        278: (4, [values.shape[0]]),
        279: (16 if big else 4, [len(strip)]),
    }
    tags |= {int(tag[1:]): content for tag, content in changed.items()}
    size = {3: "H", 4: "I", 16: "Q"}
    beyond = len(head) + (8 if big else 2) + len(tags) * (12 + 2 * (room - 4)) + room
    extra = b""
    entries = b""
    for tag, (kind, numbers) in sorted(tags.items()):
        content = struct.pack(f"{order}{len(numbers)}{size[kind]}", *numbers)
        if len(content) > room:
            content, extra = struct.pack(f"{order}{code}", beyond + len(extra)), extra + content
        entries += struct.pack(f"{order}HH{code}", tag, kind, len(numbers)) + content.ljust(room, b"\0")
    place = entries.index(struct.pack(f"{order}HH", 273, 16 if big else 4)) + 4 + room
    start = struct.pack(f"{order}{code}", beyond + len(extra))
    entries = entries[:place] + start + entries[place + room :]
    return head + struct.pack(f"{order}{'Q' if big else 'H'}", len(tags)) + entries + bytes(room) + extra + strip


def values_of(bits: int, *shape: int) -> NDArray[np.uint16]:
    values = np.random.default_rng(0).integers(0, 2**bits, shape).astype(np.uint16)
    values.flat[:2] = 0, 2**bits - 1
    return values


@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 3), (6, 8, 3)], ids=str)
@pytest.mark.parametrize("bits", [9, 10, 11, 12, 13, 14, 15, 16])
@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True), (">", True)])
def test_every_depth_is_scaled_so_that_white_stays_white(bits: int, shape: tuple, order: str, big: bool) -> None:
    values = values_of(bits, *shape)
    if bits == 16 and order == "<":
        content = tiff_of_bits(values.byteswap(), bits, order, big)  # whole bytes follow the order of the file
    else:
        content = tiff_of_bits(values, bits, order, big)
    photo = decode_photo(content, Path("deep.tif"))
    expected = np.rint(values * (65535 / (2**bits - 1))).astype(np.uint16)
    assert photo.dtype == np.uint16 and photo.min() == 0 and photo.max() == 65535
    np.testing.assert_array_equal(photo, expected if len(shape) == 3 else expected[..., None].repeat(3, axis=2))


@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 3)], ids=str)
@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True), (">", True)])
def test_few_bits_fill_the_range_of_8(bits: int, shape: tuple, order: str, big: bool) -> None:
    values = values_of(bits, *shape)
    photo = decode_photo(tiff_of_bits(values, bits, order, big), Path("shallow.tif"))
    expected = (values * (255 // (2**bits - 1))).astype(np.uint8)
    assert photo.dtype == np.uint8
    np.testing.assert_array_equal(photo, expected if len(shape) == 3 else expected[..., None].repeat(3, axis=2))


def test_a_deep_tiff_stands_upright() -> None:
    values = values_of(12, 6, 10, 3)
    scaled = np.rint(values * (65535 / 4095)).astype(np.uint16)
    for turn in range(1, 9):
        content = tiff_of_bits(values, 12, t274=(3, [turn]))
        photo = decode_photo(content, Path("turned.tif"))
        np.testing.assert_array_equal(photo, upright(scaled, turn))


@pytest.mark.parametrize(
    ("name", "whitest"),
    [
        ("12bit.cropped.rgb.tiff", 27),
        ("12bit.cropped.tiff", 27),
        ("seq-1c-12b-47c39b31.tiff", 255),
        ("seq-3c-12b-contig-e6f40b4a.tiff", 767),
    ],
)
def test_files_of_12_bits_that_others_have_made(name: str, whitest: int) -> None:
    assert read_photo(shared(f"cases/bits-12-tiff/{name}")).max() == round(whitest * 65535 / 4095)


COLOR_16 = random_picture(37, 45, np.uint16)
LAYOUTS: dict[str, dict[str, Any]] = {
    "strips": {"rowsperstrip": 5},
    "tiles": {"tile": (16, 32)},
    "tiles, deflate, differences": {"tile": (16, 32), "compression": "zlib", "predictor": True},
    "strips, deflate": {"rowsperstrip": 5, "compression": "zlib"},
    "BigTIFF, deflate": {"bigtiff": True, "compression": "zlib"},
    "BigTIFF, big-endian, tiles": {"bigtiff": True, "byteorder": ">", "tile": (16, 16)},
    "big-endian, differences": {"byteorder": ">", "compression": "zlib", "predictor": True},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("apart", [False, True], ids=["together", "planes apart"])
def test_every_layout_gives_the_same_16_bits(layout: str, apart: bool) -> None:
    options = LAYOUTS[layout] | ({"planarconfig": "separate"} if apart else {})
    stored_as = np.ascontiguousarray(COLOR_16.transpose(2, 0, 1)) if apart else COLOR_16
    np.testing.assert_array_equal(decode_photo(as_tiff(stored_as, **options), Path("a.tif")), COLOR_16)


def test_lzw_of_16_bits_is_read() -> None:
    """Pillow writes LZW of grey alone."""
    buffer = io.BytesIO()
    Image.fromarray(COLOR_16[..., 0]).save(buffer, "TIFF", compression="tiff_lzw")
    np.testing.assert_array_equal(decode_photo(buffer.getvalue(), Path("a.tif"))[..., 1], COLOR_16[..., 0])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_bigtiff_is_read(dtype: type, order: str) -> None:
    picture = random_picture(20, 30, dtype)
    photo, metadata = decode_photo_and_metadata(
        as_tiff(picture, bigtiff=True, byteorder=order, iccprofile=PROFILE, description="A tree"), Path("big.tif")
    )
    np.testing.assert_array_equal(photo, picture)
    assert metadata.icc_profile == PROFILE
    if order == ">":  # of which Pillow reads no EXIF data; a warning says so
        return
    assert metadata.exif is not None
    tags = Image.Exif()
    tags.load(metadata.exif)
    assert tags[ExifTags.Base.ImageDescription] == "A tree"


NUMBERS = {
    "32 bit integers": (COLOR_16.astype(np.uint32), "32 bits"),
    "16 bit signed": ((COLOR_16 // 2).astype(np.int16), "signed integers of 16 bits"),
    "floats": ((COLOR_16 / 65535).astype(np.float32), "floating point values of 32 bits"),
    "half floats": ((COLOR_16 / 65535).astype(np.float16), "floating point values of 16 bits"),
    "double floats": (COLOR_16 / 65535, "floating point values of 64 bits"),
    "complex": ((COLOR_16[..., 0] / 65535).astype(np.complex64), "complex numbers"),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_other_numbers_are_refused_by_name(kind: str) -> None:
    picture, words = NUMBERS[kind]
    with pytest.raises(PhotoError, match=rf"a\.tif: holds {words}.*8 or 16 bit"):
        decode_photo(as_tiff(picture), Path("a.tif"))


def test_alpha_of_deep_pictures() -> None:
    alpha = np.full((*COLOR_16.shape[:2], 1), 65535, np.uint16)
    with_alpha = np.concatenate([COLOR_16, alpha], axis=2)
    content = as_tiff(with_alpha, extrasamples=["unassalpha"])
    np.testing.assert_array_equal(decode_photo(content, Path("a.tif")), COLOR_16)
    with_alpha[3, 4, 3] = 65534
    with pytest.raises(PhotoError, match="alpha"):
        decode_photo(as_tiff(with_alpha, extrasamples=["unassalpha"]), Path("a.tif"))


# ---------------------------------------------------------------- which picture


def pages(*pictures: tuple[NDArray, dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as tiff:
        for picture, options in pictures:
            tiff.write(picture, photometric="rgb", metadata=None, **options)
    return buffer.getvalue()


REDUCED = {"subfiletype": 1}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("case", ["thumbnail, then photo", "photo in a directory below", "thumbnail without mark"])
def test_a_thumbnail_does_not_pass_for_the_photo(case: str, dtype: type) -> None:
    photo = random_picture(60, 80, dtype)
    small = np.ascontiguousarray(photo[::5, ::5])
    turned = {"extratags": [(ORIENTATION, "H", 1, 6, True)]}
    content = {
        "thumbnail, then photo": pages((small, REDUCED), (photo, turned)),
        "photo in a directory below": pages((small, REDUCED | {"subifds": 1} | turned), (photo, {})),
        "thumbnail without mark": pages((small, {}), (photo, turned)),
    }[case]
    np.testing.assert_array_equal(decode_photo(content, Path("a.tif")), upright(photo, 6))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_reduced_copies_behind_the_photo_do_not_count(dtype: type, caplog: pytest.LogCaptureFixture) -> None:
    photo = random_picture(60, 80, dtype)
    small = np.ascontiguousarray(photo[::2, ::2])
    for content in (
        pages((photo, {"subifds": 1}), (small, REDUCED)),
        pages((photo, {}), (small, REDUCED)),
        pages((photo, {}), (small, {})),
    ):
        np.testing.assert_array_equal(decode_photo(content, Path("a.tif")), photo)
    assert not caplog.messages


def test_the_first_of_several_pages_is_taken_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    stored.warn.cache_clear()
    first, second = random_picture(30, 40), random_picture(30, 40, seed=1)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(decode_photo(pages((first, {}), (second, {})), Path("scan.tif")), first)
    assert caplog.messages == ["scan.tif: holds 2 pictures; the first one is taken"]


def test_reduced_copies_alone_are_refused() -> None:
    with pytest.raises(PhotoError, match=r"a\.tif: holds reduced copies"):
        decode_photo(pages((random_picture(30, 40), REDUCED)), Path("a.tif"))
