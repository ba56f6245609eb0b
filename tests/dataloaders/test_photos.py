"""Photos as users have them: found, named, read exactly, or refused with a reason."""

import contextlib
import io
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import ExifTags, Image

from cycleisp.dataloaders.photo_files.tiff import ABOUT_THE_PICTURE
from cycleisp.dataloaders.photos import PhotoError, decode_photo, decode_photo_and_metadata, read_photo
from cycleisp.utils.output.metadata import PhotoMetadata
from tests.support.pictures import (
    EXPOSURE_TIME,
    ISO,
    MAKER_NOTE,
    ORIENTATION,
    PROFILE,
    camera_exif,
    encode_png,
    orientation_exif,
    png_chunk,
    random_picture,
)


def with_pillow(picture: NDArray, kind: str, mode: str | None = None, **options: Any) -> bytes:
    """Returns a picture in a format of Pillow's, converted to `mode` first."""
    image = Image.fromarray(picture)
    buffer = io.BytesIO()
    (image if mode is None else image.convert(mode)).save(buffer, kind, **options)
    return buffer.getvalue()


def as_tiff(picture: NDArray, photometric: str = "rgb", **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, picture, photometric=photometric, metadata=None, **options)
    return buffer.getvalue()


def planes_apart(picture: NDArray, turn: int = 1) -> bytes:
    """Returns a TIFF that stores R, G and B one after the other, as Photoshop can."""
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
    return as_tiff(planes, planarconfig="separate", extratags=[(ORIENTATION, "H", 1, turn, True)])


COLOR_8, COLOR_16 = random_picture(18, 26, np.uint8), random_picture(18, 26, np.uint16)
GREY_8, GREY_16 = COLOR_8[..., 0], COLOR_16[..., 0]


# ---------------------------------------------------------------- reading

EXACT = {
    "png, 8 bit": (encode_png(COLOR_8), COLOR_8),
    "png, 16 bit": (encode_png(COLOR_16), COLOR_16),
    "webp, lossless": (with_pillow(COLOR_8, "WEBP", lossless=True), COLOR_8),
    "tiff, 8 bit": (as_tiff(COLOR_8), COLOR_8),
    "tiff, 8 bit, lzw": (with_pillow(COLOR_8, "TIFF", compression="tiff_lzw"), COLOR_8),
    "tiff, 8 bit, planes apart": (planes_apart(COLOR_8), COLOR_8),
    "tiff, 16 bit": (as_tiff(COLOR_16), COLOR_16),
    "tiff, 16 bit, big-endian": (as_tiff(COLOR_16, byteorder=">"), COLOR_16),
    "tiff, 16 bit, deflate": (as_tiff(COLOR_16, compression="zlib", predictor=True), COLOR_16),
    "tiff, 16 bit, tiles": (as_tiff(COLOR_16, tile=(16, 16)), COLOR_16),
    "tiff, 16 bit, planes apart": (planes_apart(COLOR_16), COLOR_16),
}
GREY = {
    "png, 8 bit": (encode_png(GREY_8), GREY_8),
    "png, 16 bit": (encode_png(GREY_16), GREY_16),
    "png, 1 bit": (with_pillow(255 * (GREY_8 > 127).astype(np.uint8), "PNG", "1"), 255 * (GREY_8 > 127)),
    "tiff, 8 bit": (as_tiff(GREY_8, "minisblack"), GREY_8),
    "tiff, 16 bit": (as_tiff(GREY_16, "minisblack"), GREY_16),
    "tiff, 16 bit, big-endian": (as_tiff(GREY_16, "minisblack", byteorder=">"), GREY_16),
    "tiff, 8 bit, white is zero": (as_tiff(255 - GREY_8, "miniswhite"), GREY_8),
    "tiff, 16 bit, white is zero": (as_tiff(65535 - GREY_16, "miniswhite"), GREY_16),
}


@pytest.mark.parametrize("kind", EXACT)
def test_lossless_formats_keep_every_value_and_the_order_of_colors(kind: str, tmp_path: Path) -> None:
    content, expected = EXACT[kind]
    (tmp_path / "photo").write_bytes(content)
    photo = read_photo(tmp_path / "photo")
    assert photo.dtype == expected.dtype
    np.testing.assert_array_equal(photo, expected)


@pytest.mark.parametrize("kind", GREY)
def test_grey_photos_get_three_equal_channels(kind: str) -> None:
    content, expected = GREY[kind]
    np.testing.assert_array_equal(decode_photo(content, Path("grey")), np.repeat(expected[..., None], 3, axis=2))


def quadrants(height: int = 32, width: int = 48) -> NDArray[np.uint8]:
    """Returns red and green over blue and grey.

    This is flat enough for lossy formats, and differs in all eight orientations.
    """
    picture = np.empty((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = (220, 30, 30)
    picture[: height // 2, width // 2 :] = (30, 220, 30)
    picture[height // 2 :, : width // 2] = (30, 30, 220)
    picture[height // 2 :, width // 2 :] = (128, 128, 128)
    return picture


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_formats_keep_colors_about(kind: str) -> None:
    photo = decode_photo(with_pillow(quadrants(), kind, quality=95), Path("lossy"))
    assert photo.dtype == np.uint8
    assert np.abs(photo.astype(int) - quadrants()).mean() < 6


def test_a_grey_jpeg_gets_three_equal_channels() -> None:
    photo = decode_photo(with_pillow(GREY_8, "JPEG"), Path("grey.jpg"))
    assert photo.shape == (18, 26, 3)
    assert (photo == photo[..., :1]).all()


def test_a_palette_is_looked_up() -> None:
    buffer = io.BytesIO()
    Image.fromarray(quadrants()).quantize(4, Image.Quantize.MEDIANCUT).save(buffer, "PNG")
    np.testing.assert_array_equal(decode_photo(buffer.getvalue(), Path("palette.png")), quadrants())


# EXIF orientation: what undoes it, so that the picture stands upright
UPRIGHT: dict[int, Callable[[NDArray], NDArray]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}
TURNED: dict[str, Callable[[int], tuple[bytes, NDArray]]] = {
    "png, 8 bit": lambda turn: (with_pillow(COLOR_8, "PNG", exif=orientation_exif(turn)), COLOR_8),
    "png, 16 bit": lambda turn: (
        encode_png(COLOR_16, png_chunk(b"eXIf", orientation_exif(turn).tobytes()[6:])),
        COLOR_16,
    ),
    "webp": lambda turn: (with_pillow(COLOR_8, "WEBP", lossless=True, exif=orientation_exif(turn)), COLOR_8),
    "tiff, 8 bit": lambda turn: (as_tiff(COLOR_8, extratags=[(ORIENTATION, "H", 1, turn, True)]), COLOR_8),
    "tiff, 16 bit": lambda turn: (as_tiff(COLOR_16, extratags=[(ORIENTATION, "H", 1, turn, True)]), COLOR_16),
    "tiff, 8 bit, planes apart": lambda turn: (planes_apart(COLOR_8, turn), COLOR_8),
    "tiff, 16 bit, planes apart": lambda turn: (planes_apart(COLOR_16, turn), COLOR_16),
    "tiff, 16 bit, grey": lambda turn: (
        as_tiff(GREY_16, "minisblack", extratags=[(ORIENTATION, "H", 1, turn, True)]),
        np.repeat(GREY_16[..., None], 3, axis=2),
    ),
}


@pytest.mark.parametrize("turn", UPRIGHT)
@pytest.mark.parametrize("kind", TURNED)
def test_photos_stand_upright(kind: str, turn: int) -> None:
    content, stored = TURNED[kind](turn)
    np.testing.assert_array_equal(decode_photo(content, Path("turned")), UPRIGHT[turn](stored))


@pytest.mark.parametrize("turn", UPRIGHT)
def test_jpegs_stand_upright(turn: int) -> None:
    photo = decode_photo(with_pillow(quadrants(), "JPEG", quality=95, exif=orientation_exif(turn)), Path("turned.jpg"))
    expected = UPRIGHT[turn](quadrants())
    assert photo.shape == expected.shape
    assert np.abs(photo.astype(int) - expected).mean() < 6


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_two_by_two_pixels_are_enough(dtype: type) -> None:
    assert decode_photo(encode_png(np.zeros((2, 2, 3), dtype)), Path("small")).shape == (2, 2, 3)


# ---------------------------------------------------------------- refusing


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def damaged_in_the_middle(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(255 - value for value in content[middle : middle + 8]) + content[middle + 8 :]


RGBA_8, RGBA_16 = np.dstack([COLOR_8, GREY_8]), np.dstack([COLOR_16, GREY_16])
FLOATS = (COLOR_16 / 65535).astype(np.float32)
BAD = {  # what is wrong -> file, words to find in the message
    "truncated.jpg": (half(with_pillow(COLOR_8, "JPEG")), "truncated|damaged"),
    "truncated.png": (half(encode_png(COLOR_8)), "truncated|damaged"),
    "truncated-16-bit.png": (half(encode_png(COLOR_16)), "truncated|damaged"),
    "truncated.webp": (half(with_pillow(COLOR_8, "WEBP")), "truncated|damaged"),
    "truncated-lossless.webp": (half(with_pillow(COLOR_8, "WEBP", lossless=True)), "truncated|damaged"),
    "truncated.tif": (half(as_tiff(COLOR_8)), "truncated|damaged"),
    "truncated-16-bit.tif": (half(as_tiff(COLOR_16)), "truncated|damaged"),
    "corrupt.png": (damaged_in_the_middle(encode_png(COLOR_8)), "damaged"),
    "corrupt-16-bit.png": (damaged_in_the_middle(encode_png(COLOR_16)), "damaged"),
    "corrupt.jpg": (with_pillow(COLOR_8, "JPEG")[:30] + bytes(range(256)), "damaged"),
    "corrupt.webp": (with_pillow(COLOR_8, "WEBP")[:20] + bytes(range(256)), "damaged"),
    "empty.png": (b"", "empty"),
    "text.png": (b"this is no picture\n" * 10, "not a JPEG, PNG, WebP or TIFF"),
    "rgba.png": (encode_png(RGBA_8), "alpha"),
    "rgba-16-bit.png": (encode_png(RGBA_16), "alpha"),
    "rgba.webp": (with_pillow(RGBA_8, "WEBP", lossless=True), "alpha"),
    "rgba-16-bit.tif": (as_tiff(RGBA_16, extrasamples=["unassalpha"]), "alpha"),
    "transparent-palette.png": (with_pillow(RGBA_8, "PNG", "P", transparency=0), "alpha"),
    "grey-and-alpha.png": (encode_png(RGBA_8[..., :2].copy()), "alpha"),
    "grey-and-alpha-16-bit.png": (encode_png(RGBA_16[..., :2].copy()), "alpha"),
    "cmyk.jpg": (with_pillow(COLOR_8, "JPEG", "CMYK"), "CMYK"),
    "cmyk.tif": (as_tiff(RGBA_8, "separated"), "CMYK"),
    "lab.tif": (as_tiff(COLOR_8, "cielab"), "LAB"),
    "float-grey.tif": (as_tiff(FLOATS[..., 0], "minisblack"), "floating point"),
    "float-color.tif": (as_tiff(FLOATS), "floating point"),
    "32-bit.tif": (as_tiff(COLOR_16[..., 0].astype(np.uint32), "minisblack"), "8 or 16 bit"),
    "one-pixel.png": (encode_png(np.zeros((1, 1, 3), np.uint8)), "1x1 pixels"),
    "one-pixel-16-bit.png": (encode_png(np.zeros((1, 1, 3), np.uint16)), "1x1 pixels"),
    "one-line.png": (encode_png(np.zeros((1, 9, 3), np.uint8)), "9x1 pixels"),
}
ADVICE = r"\b(flatten|convert|save|export|copy|get|download|replace|make|remove|leave|cut|crop|enlarge|use|give)\b"


def refusal(folder: Path, name: str) -> str:
    """Returns what read_photo says about the bad file `name`."""
    (folder / name).write_bytes(BAD[name][0])
    with pytest.raises(PhotoError) as refused:
        read_photo(folder / name)
    return str(refused.value)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_by_name_with_the_reason(name: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, name)
    assert message.startswith(f"{tmp_path / name}: ")
    assert "\n" not in message
    reason = message.removeprefix(f"{tmp_path / name}: ")
    assert re.search(BAD[name][1], reason), reason


@pytest.mark.parametrize("name", BAD)
def test_the_refusal_of_a_bad_file_says_what_to_do(name: str, tmp_path: Path) -> None:
    reason = refusal(tmp_path, name).removeprefix(f"{tmp_path / name}: ")
    assert re.search(ADVICE, reason), reason


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"gone\.png: cannot be read"):
        read_photo(tmp_path / "gone.png")
    with pytest.raises(PhotoError, match="cannot be read"):
        read_photo(tmp_path)


WHOLE = {
    "jpg": with_pillow(COLOR_8, "JPEG"),
    "png": encode_png(COLOR_8),
    "png, 16 bit": encode_png(COLOR_16),
    "webp": with_pillow(COLOR_8, "WEBP"),
    "webp, lossless": with_pillow(COLOR_8, "WEBP", lossless=True),
    "tiff": as_tiff(COLOR_8),
    "tiff, 16 bit": as_tiff(COLOR_16),
    "tiff, 16 bit, deflate": as_tiff(COLOR_16, compression="zlib"),
}


def with_flipped_bytes(content: bytes, rng: np.random.Generator, reach: int) -> bytes:
    """Returns `content` with three of its first `reach` bytes drawn anew."""
    flipped = bytearray(content)
    for position in rng.integers(reach, size=3):
        flipped[position] = rng.integers(256)
    return bytes(flipped)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", WHOLE)
def test_a_photo_that_lacks_a_part_of_its_picture_is_refused_wherever_it_was_cut(kind: str) -> None:
    content = WHOLE[kind]
    # A PNG ends with checksums and an empty chunk, without which the picture is still whole.
    for length in np.linspace(1, len(content) - 30, 25).astype(int):
        with pytest.raises(PhotoError):
            decode_photo(content[:length], Path("cut"))


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", WHOLE)
def test_flipped_bytes_never_raise_anything_but_a_photo_error(kind: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        content = with_flipped_bytes(WHOLE[kind], rng, reach=len(WHOLE[kind]) if rng.random() < 0.5 else 200)
        try:
            photo = decode_photo(content, Path("flipped"))
        except PhotoError:
            continue
        assert photo.ndim == 3
        assert photo.shape[2] == 3


# ---------------------------------------------------------------- metadata

GREY_PROFILE = PROFILE[:16] + b"GRAY" + PROFILE[20:]


def photo_metadata(content: bytes) -> PhotoMetadata:
    return decode_photo_and_metadata(content, Path("photo"))[1]


def loaded(exif_bytes: bytes | None) -> Image.Exif:
    assert exif_bytes is not None
    assert exif_bytes[:4] in (b"II*\0", b"MM\0*")  # as a PNG holds it, without JPEG's prefix
    tags = Image.Exif()
    tags.load(exif_bytes)
    return tags


def tiff_with_exif() -> bytes:
    """Returns a TIFF with Exif and GPS sub-IFDs, which Pillow writes if it has read them."""
    tags = Image.Exif()
    tags.load(camera_exif().tobytes())
    return with_pillow(COLOR_8, "TIFF", exif=tags)


WITH_METADATA = {
    "jpeg": with_pillow(COLOR_8, "JPEG", exif=camera_exif(), icc_profile=PROFILE),
    "webp": with_pillow(COLOR_8, "WEBP", exif=camera_exif(), icc_profile=PROFILE),
    "png, 8 bit": with_pillow(COLOR_8, "PNG", exif=camera_exif(), icc_profile=PROFILE),
    "png, 16 bit": encode_png(
        COLOR_16,
        png_chunk(b"iCCP", b"name\0\0" + zlib.compress(PROFILE)) + png_chunk(b"eXIf", camera_exif().tobytes()[6:]),
    ),
}


@pytest.mark.parametrize("kind", WITH_METADATA)
def test_metadata_keep_all_but_the_orientation(kind: str) -> None:
    metadata = photo_metadata(WITH_METADATA[kind])
    tags = loaded(metadata.exif)
    assert metadata.icc_profile == PROFILE
    assert (tags[ExifTags.Base.Make], tags[ExifTags.Base.DateTime]) == ("Maker", "2024:01:02 03:04:05")
    assert ORIENTATION not in tags
    assert tags.get_ifd(ExifTags.IFD.Exif) == {EXPOSURE_TIME: (1, 250), ISO: 800, MAKER_NOTE: b"secret"}
    assert tags.get_ifd(ExifTags.IFD.GPSInfo) == {1: "N", 2: (48.0, 12.0, 3.5)}


def test_metadata_of_a_tiff_are_about_the_picture_not_the_file() -> None:
    private = [(ORIENTATION, "H", 1, 6, True), (50000, "s", 0, "private", True), (315, "s", 0, "Artist", True)]
    content = as_tiff(COLOR_16, description="A tree", software="Editor", iccprofile=PROFILE, extratags=private)
    metadata = photo_metadata(content)
    tags = loaded(metadata.exif)
    assert metadata.icc_profile == PROFILE
    assert tags[ExifTags.Base.ImageDescription] == "A tree"
    assert (tags[ExifTags.Base.Software], tags[ExifTags.Base.Artist]) == ("Editor", "Artist")
    assert set(tags) <= ABOUT_THE_PICTURE
    assert not set(tags) & {256, 257, 258, 259, 262, 273, 277, 278, 279, ORIENTATION, 50000}


def test_the_exposure_in_a_tiff_is_kept() -> None:
    tags = loaded(photo_metadata(tiff_with_exif()).exif)
    assert tags.get_ifd(ExifTags.IFD.Exif)[ISO] == 800
    assert tags.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"


@pytest.mark.parametrize(
    "content",
    [
        encode_png(COLOR_8),
        with_pillow(COLOR_8, "JPEG"),
        with_pillow(COLOR_8, "PNG", exif=orientation_exif(6)),  # an orientation alone, undone
        encode_png(COLOR_8, png_chunk(b"eXIf", b"II*\0" + b"\xff" * 20)),
        encode_png(COLOR_16, png_chunk(b"iCCP", b"name\0\0garbage")),
    ],
    ids=["png", "jpeg", "orientation", "damaged exif", "damaged profile"],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_or_damaged_metadata_count_as_none(content: bytes) -> None:
    assert photo_metadata(content) == PhotoMetadata()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_exif_costs_neither_picture_nor_profile() -> None:
    whole = camera_exif().tobytes()
    for length in range(6, len(whole), 7):
        content = with_pillow(COLOR_8, "JPEG", exif=whole[:length], icc_profile=PROFILE)
        assert photo_metadata(content).icc_profile == PROFILE
        assert decode_photo(content, Path("photo.jpg")).size == COLOR_8.size


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", WITH_METADATA)
def test_metadata_of_flipped_bytes_never_raise(kind: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        with contextlib.suppress(PhotoError):
            photo_metadata(with_flipped_bytes(WITH_METADATA[kind], rng, reach=300))


def test_a_profile_of_grey_does_not_go_with_pixels_that_became_rgb() -> None:
    """PNG forbids it, and viewers refuse or ignore such a profile."""
    assert photo_metadata(with_pillow(GREY_8, "JPEG", icc_profile=GREY_PROFILE)).icc_profile is None
