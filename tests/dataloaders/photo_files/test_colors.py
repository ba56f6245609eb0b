"""The colours of photos' files: sRGB for networks and pairs, the file's own in results."""

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
from cycleisp.dataloaders.photo_files.colors import mean_the_same
from cycleisp.dataloaders.photos import PhotoError, decode_photo, decode_photo_and_metadata
from cycleisp.utils.color.icc import colors_of, profile_of_space, space_of_profile
from cycleisp.utils.color.spaces import ADOBE_RGB, DISPLAY_P3, SRGB
from cycleisp.utils.output.encoders import encode_photo
from cycleisp.utils.output.metadata import PhotoMetadata
from tests.support.pictures import PROFILE, encode_png, png_chunk, random_picture
from tests.support.profiles import PROFILES, SPACES, from_srgb, grey_profile, profile_chunk, table_profile

P3_SRGB_CURVE, P3_PQ = (png_chunk(b"cICP", bytes((12, transfer, 0, 1))) for transfer in (13, 16))
LINEAR = png_chunk(b"gAMA", struct.pack(">I", 100000))
PLAIN = png_chunk(b"gAMA", struct.pack(">I", 45455))
SRGB_PRIMARIES = png_chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
ADOBE_PRIMARIES = png_chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000))


@pytest.fixture(autouse=True)
def _warnings_are_said_again() -> None:
    stored.warn.cache_clear()


def with_pillow(picture: NDArray, kind: str, mode: str | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(picture)
    (image if mode is None else image.convert(mode)).save(buffer, kind, **options)
    return buffer.getvalue()


def as_tiff(picture: NDArray, profile: bytes) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, picture, photometric="rgb", metadata=None, iccprofile=profile)
    return buffer.getvalue()


def differ(first: NDArray, second: NDArray) -> bool:
    """Tells whether some value differs by more than 8 levels of 255."""
    return bool(levels_apart(first, second).max() > 8)


def levels_apart(first: NDArray, second: NDArray) -> NDArray:
    """Returns the differences in levels of 255."""
    return np.abs(first / np.iinfo(first.dtype).max - second / np.iinfo(second.dtype).max) * 255


def look_alike(first: NDArray, second: NDArray) -> bool:
    """Tells whether pictures are the same up to rounding, which is coarse in dark 8 bits."""
    apart = levels_apart(first, second)
    return (
        bool(apart.mean() < 1 and np.quantile(apart, 0.99) <= 5) if first.dtype == np.uint8 else bool(apart.max() < 1)
    )


FILES = {
    "png, 8 bit": (np.uint8, lambda picture, profile: encode_png(picture, profile_chunk(profile))),
    "png, 16 bit": (np.uint16, lambda picture, profile: encode_png(picture, profile_chunk(profile))),
    "webp": (np.uint8, lambda picture, profile: with_pillow(picture, "WEBP", lossless=True, icc_profile=profile)),
    "tiff, 8 bit": (np.uint8, as_tiff),
    "tiff, 16 bit": (np.uint16, as_tiff),
}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("kind", FILES)
def test_every_file_of_a_picture_is_the_same_in_srgb_and_keeps_its_colors_otherwise(kind: str, name: str) -> None:
    dtype, encode = FILES[kind]
    picture = random_picture(24, 32, dtype)
    values = from_srgb(picture, SPACES[name])
    content = encode(values, PROFILES[name])
    assert look_alike(decode_photo(content, Path("photo")), picture)
    kept, metadata = decode_photo_and_metadata(content, Path("photo"))
    np.testing.assert_array_equal(kept, values)
    assert metadata.icc_profile == PROFILES[name]


@pytest.mark.parametrize("kind", FILES)
def test_srgb_comes_back_exactly(kind: str) -> None:
    dtype, encode = FILES[kind]
    picture = random_picture(24, 32, dtype)
    np.testing.assert_array_equal(decode_photo(encode(picture, PROFILE), Path("photo")), picture)


def test_jpegs_of_three_spaces_look_alike() -> None:
    smooth = np.asarray(Image.fromarray(random_picture(12, 16)).resize((96, 72), Image.Resampling.BICUBIC))
    options: dict[str, Any] = {"quality": 100, "subsampling": 0}
    plain = decode_photo(with_pillow(smooth, "JPEG", **options), Path("srgb.jpg"))
    for name in ("Adobe RGB", "Display P3"):
        content = with_pillow(from_srgb(smooth, SPACES[name]), "JPEG", icc_profile=PROFILES[name], **options)
        assert np.abs(decode_photo(content, Path("wide.jpg")).astype(int) - plain).mean() < 2  # before: 10 and more


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("chunks", "name"),
    [
        (P3_SRGB_CURVE, "Display P3"),
        (P3_SRGB_CURVE + profile_chunk(PROFILES["Adobe RGB"]), "Display P3"),  # cICP comes first
        (profile_chunk(PROFILES["Adobe RGB"]) + LINEAR, "Adobe RGB"),
        (png_chunk(b"gAMA", struct.pack(">I", 45470)) + ADOBE_PRIMARIES, None),
        (png_chunk(b"sRGB", b"\0") + LINEAR + ADOBE_PRIMARIES, "sRGB"),
        (PLAIN + SRGB_PRIMARIES, "sRGB"),
        (PLAIN, "sRGB"),
        (SRGB_PRIMARIES, "sRGB"),
        (LINEAR + SRGB_PRIMARIES, None),
    ],
)
def test_chunks_count_in_their_order(chunks: bytes, name: str | None, dtype: type) -> None:
    picture = random_picture(24, 32, dtype)
    values = picture if name in (None, "sRGB") else from_srgb(picture, SPACES[name])
    shown = decode_photo(encode_png(values, chunks), Path("photo.png"))
    if name == "sRGB":
        np.testing.assert_array_equal(shown, picture)
    elif name is None:
        assert differ(shown, picture)
    else:
        assert look_alike(shown, picture)


def test_linear_values_are_encoded() -> None:
    linear = np.array([[0, 1000, 10000, 65535]], np.uint16).repeat(2, axis=0)[..., None].repeat(3, axis=2)
    shown = decode_photo(encode_png(linear, LINEAR), Path("photo.png"))[0, :, 0] / 65535
    np.testing.assert_allclose(shown, [0, 0.1307, 0.4285, 1], atol=2e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("chunks", [P3_PQ, P3_SRGB_CURVE, LINEAR + SRGB_PRIMARIES, LINEAR, ADOBE_PRIMARIES])
def test_own_colors_keep_pixels_and_chunks(chunks: bytes, dtype: type) -> None:
    picture = random_picture(24, 32, dtype)
    kept, metadata = decode_photo_and_metadata(encode_png(picture, chunks), Path("photo.png"))
    np.testing.assert_array_equal(kept, picture)
    assert b"".join(png_chunk(*chunk) for chunk in metadata.color_chunks) == chunks


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_does_not_pass_for_srgb(transfer: int) -> None:
    content = encode_png(random_picture(8, 8), png_chunk(b"cICP", bytes((9, transfer, 0, 1))))
    with pytest.raises(PhotoError, match=r"hdr\.png: has colours of HDR.*convert"):
        decode_photo(content, Path("hdr.png"))


@pytest.mark.parametrize(
    "chunks",
    [
        profile_chunk(b"no profile" * 30),
        png_chunk(b"iCCP", b"name\0\0garbage"),
        profile_chunk(grey_profile(1.8)),
        png_chunk(b"cICP", bytes((2, 2, 0, 1))),
        png_chunk(b"cICP", bytes((1, 13, 0, 0))),
        png_chunk(b"cICP", b"\1"),
        png_chunk(b"gAMA", bytes(4)),
        png_chunk(b"cHRM", bytes(32)),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_cannot_be_used_is_warned_of(chunks: bytes, dtype: type, caplog: pytest.LogCaptureFixture) -> None:
    picture = random_picture(8, 8, dtype)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(decode_photo(encode_png(picture, chunks), Path("odd.png")), picture)
        decode_photo(encode_png(picture, chunks), Path("odd.png"))
    (message,) = caplog.messages  # once
    assert message.startswith("odd.png: ") and message.endswith("count as sRGB")


def test_a_deep_photo_with_a_profile_of_tables_is_refused_in_words() -> None:
    chunks = profile_chunk(table_profile("RGB "))
    assert decode_photo(encode_png(random_picture(8, 8), chunks), Path("a.png")).shape == (8, 8, 3)
    with pytest.raises(PhotoError, match=r"a\.png: its colour profile has tables.*convert it to sRGB"):
        decode_photo(encode_png(random_picture(8, 8, np.uint16), chunks), Path("a.png"))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_with_a_profile_of_grey_becomes_srgb_in_both(dtype: type) -> None:
    grey = random_picture(24, 32, dtype)[..., 0]
    content = encode_png(grey, profile_chunk(grey_profile(1.8)))
    shown = decode_photo(content, Path("grey.png"))
    assert differ(shown, grey[..., None].repeat(3, axis=2))
    assert (shown == shown[..., :1]).all()
    kept, metadata = decode_photo_and_metadata(content, Path("grey.png"))
    np.testing.assert_array_equal(kept, shown)
    assert metadata.icc_profile is None


def dcf_exif(adobe: str) -> Image.Exif:
    """Returns EXIF as cameras write it for Adobe RGB: by the index of DCF, or by ColorSpace."""
    exif = Image.Exif()
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    if adobe == "ColorSpace":
        inner[ExifTags.Base.ColorSpace] = 2
    else:
        inner.update({ExifTags.Base.ColorSpace: 65535, ExifTags.IFD.Interop: {1: adobe, 2: b"0100"}})
    return exif


@pytest.mark.parametrize(("said", "is_adobe"), [("R03", True), ("ColorSpace", True), ("R98", False)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_adobe_rgb_in_exif_counts(said: str, is_adobe: bool, kind: str) -> None:
    if kind == "TIFF":  # Pillow leaves DCF's index out of a TIFF
        content = encode_photo(random_picture(24, 32), PhotoMetadata(dcf_exif(said).tobytes()[6:]), "tiff")
    else:
        content = with_pillow(random_picture(24, 32), kind, exif=dcf_exif(said).tobytes())
    plain = decode_photo(with_pillow(random_picture(24, 32), kind), Path("plain"))
    shown = decode_photo(content, Path("photo"))
    assert np.array_equal(shown, plain) != is_adobe
    kept, metadata = decode_photo_and_metadata(content, Path("photo"))
    np.testing.assert_array_equal(kept, plain)
    assert (metadata.icc_profile is not None) == is_adobe
    if metadata.icc_profile:
        np.testing.assert_allclose(space_of_profile(metadata.icc_profile).to_xyz, ADOBE_RGB.to_xyz, atol=2e-5)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_inks_become_srgb_by_their_profile(kind: str) -> None:
    options: dict[str, Any] = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[:8, :8], inks[8:, 8:] = (0, 255, 255, 0), (0, 0, 0, 255)
    buffer = io.BytesIO()
    Image.fromarray(inks, "CMYK").save(buffer, kind, icc_profile=table_profile(), **options)
    shown = decode_photo(buffer.getvalue(), Path("inks"))
    for place, color in (((2, 2), (255, 0, 0)), ((13, 13), (0, 0, 0)), ((2, 13), (255, 255, 255))):
        assert np.abs(shown[place].astype(int) - color).max() <= 8
    kept, metadata = decode_photo_and_metadata(buffer.getvalue(), Path("inks"))
    np.testing.assert_array_equal(kept, shown)
    assert metadata.icc_profile is None


@pytest.mark.parametrize("profile", [None, PROFILE, b"garbage" * 30])
def test_inks_without_their_profile_are_refused_in_words(profile: bytes | None) -> None:
    content = with_pillow(random_picture(16, 16), "JPEG", "CMYK", **({"icc_profile": profile} if profile else {}))
    for read in (decode_photo, decode_photo_and_metadata):
        with pytest.raises(PhotoError, match=r"inks\.jpg: is CMYK.*convert it to sRGB"):
            read(content, Path("inks.jpg"))


def test_primaries_of_a_tiff_count() -> None:
    def tagged(green: tuple[int, int]) -> bytes:
        primaries = [value for number in (64, 33, *green, 15, 6) for value in (number, 100)]
        tags = [(318, "2I", 2, [3127, 10000, 329, 1000], True), (319, "2I", 6, primaries, True)]
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, random_picture(24, 32), photometric="rgb", metadata=None, extratags=tags)
        return buffer.getvalue()

    np.testing.assert_array_equal(decode_photo(tagged((30, 60)), Path("srgb.tif")), random_picture(24, 32))
    assert differ(decode_photo(tagged((21, 71)), Path("wide.tif")), random_picture(24, 32))


def test_the_helpers_of_these_tests_make_what_they_say() -> None:
    assert [colors_of(profile) for profile in (grey_profile(2.2), table_profile())] == ["GRAY", "CMYK"]


SRGB_IN_WORDS = {
    "nothing": PhotoMetadata(),
    "a profile of LittleCMS": PhotoMetadata(icc_profile=PROFILE),
    "a profile of ours": PhotoMetadata(icc_profile=profile_of_space(SRGB)),
    "cICP": PhotoMetadata(color_chunks=((b"cICP", bytes((1, 13, 0, 1))),)),
    "gAMA": PhotoMetadata(color_chunks=((b"gAMA", struct.pack(">I", 45455)),)),
}
P3_IN_WORDS = {
    "a profile": PhotoMetadata(icc_profile=profile_of_space(DISPLAY_P3)),
    "cICP": PhotoMetadata(color_chunks=((b"cICP", bytes((12, 13, 0, 1))),)),
}
HDR = PhotoMetadata(color_chunks=((b"cICP", bytes((12, 16, 0, 1))),))


def test_metadata_are_compared_by_their_colors() -> None:
    for same in (SRGB_IN_WORDS, P3_IN_WORDS):
        for one in same.values():
            assert all(mean_the_same(one, other) for other in same.values())
    for one in SRGB_IN_WORDS.values():
        assert not any(mean_the_same(one, other) for other in [*P3_IN_WORDS.values(), HDR])
    assert mean_the_same(HDR, HDR)
    assert not mean_the_same(PhotoMetadata(icc_profile=b"damaged"), PhotoMetadata())
