"""PNG, TIFF and JPEG of photos: the pixels, EXIF and colours that other programs find in them."""

import io
import logging
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image

from cycleisp.utils.color.icc import space_of_profile
from cycleisp.utils.color.spaces import DISPLAY_P3
from cycleisp.utils.output.encoders import encode_photo
from cycleisp.utils.output.metadata import PhotoMetadata
from tests.support.pictures import ISO, camera_exif, random_picture
from tests.support.profiles import PROFILES

EXIF = camera_exif(turn=1).tobytes().removeprefix(b"Exif\0\0")
METADATA = PhotoMetadata(EXIF, PROFILES["Adobe RGB"])
DEPTHS = pytest.mark.parametrize("dtype", [np.uint8, np.uint16], ids=["8 bit", "16 bit"])
P3 = (b"cICP", bytes((12, 13, 0, 1)))


@DEPTHS
@pytest.mark.parametrize("size", [(2, 2), (24, 33), (700, 400)], ids=str)
def test_a_tiff_keeps_every_value(dtype: type, size: tuple[int, int]) -> None:
    photo = random_picture(*size, dtype)
    content = encode_photo(photo, METADATA, "tiff")
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(content)), photo)
    assert len(content) < 2 * photo.nbytes + 2000
    assert encode_photo(photo, None, "tiff") == encode_photo(photo, None, "tiff")


@DEPTHS
@pytest.mark.parametrize("kind", ["png", "tiff", "jpeg"])
def test_exif_and_profile_come_back(kind: str, dtype: type) -> None:
    content = encode_photo(random_picture(24, 32, dtype), METADATA, kind)
    if kind == "tiff" and dtype == np.uint16:  # Pillow opens no such TIFF
        with tifffile.TiffFile(io.BytesIO(content)) as tiff:
            tags = tiff.pages.first.tags
            assert tags["Make"].value == "Maker" and tags["ExifTag"].value["ISOSpeedRatings"] == 800
            assert tags["InterColorProfile"].value == METADATA.icc_profile
        return
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == kind.upper()
        exif = image.getexif()
        assert exif[ExifTags.Base.Make] == "Maker"
        assert exif.get_ifd(ExifTags.IFD.Exif)[ISO] == 800
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"
        assert image.info["icc_profile"] == METADATA.icc_profile


def test_a_jpeg_has_all_its_colors_and_rounds_16_bits(caplog: pytest.LogCaptureFixture) -> None:
    photo = random_picture(40, 48, np.uint16)
    with caplog.at_level(logging.INFO):
        content = encode_photo(photo, None, "jpeg", quality=100)
    assert "8 bits" in caplog.text
    with Image.open(io.BytesIO(content)) as image:
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}  # type: ignore[attr-defined]  # 4:4:4
        assert np.abs(np.asarray(image).astype(int) - np.rint(photo / 257)).max() <= 4
    assert len(encode_photo(photo, None, "jpeg", quality=30)) < len(content)


@pytest.mark.parametrize("kind", ["tiff", "jpeg"])
def test_chunks_become_a_profile_where_there_are_none(kind: str) -> None:
    content = encode_photo(random_picture(8, 8), PhotoMetadata(color_chunks=(P3,)), kind)
    with Image.open(io.BytesIO(content)) as image:
        np.testing.assert_allclose(space_of_profile(image.info["icc_profile"]).to_xyz, DISPLAY_P3.to_xyz, atol=2e-5)


@pytest.mark.parametrize("kind", ["tiff", "jpeg"])
def test_codes_of_colors_count_more_than_a_profile_beside_them(kind: str) -> None:
    metadata = PhotoMetadata(icc_profile=PROFILES["Adobe RGB"], color_chunks=(P3,))
    with Image.open(io.BytesIO(encode_photo(random_picture(8, 8), metadata, kind))) as image:
        np.testing.assert_allclose(space_of_profile(image.info["icc_profile"]).to_xyz, DISPLAY_P3.to_xyz, atol=2e-5)
    hdr = PhotoMetadata(icc_profile=PROFILES["Adobe RGB"], color_chunks=((b"cICP", bytes((9, 16, 0, 1))),))
    with Image.open(io.BytesIO(encode_photo(random_picture(8, 8), hdr, kind))) as image:
        assert image.info["icc_profile"] == hdr.icc_profile  # what viewers that know no HDR take in the PNG, too


def test_hdr_that_only_a_png_keeps_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    metadata = PhotoMetadata(color_chunks=((b"cICP", bytes((9, 16, 0, 1))),))
    encode_photo(random_picture(8, 8), metadata, "png")
    assert not caplog.messages
    encode_photo(random_picture(8, 8), metadata, "jpeg")
    assert "HDR" in caplog.text


def test_warnings_name_the_photo(caplog: pytest.LogCaptureFixture) -> None:
    hdr = PhotoMetadata(bytes(70000), color_chunks=((b"cICP", bytes((9, 16, 0, 1))),))
    with caplog.at_level(logging.INFO):
        encode_photo(random_picture(8, 8, np.uint16), hdr, "jpeg", source=Path("holiday/a\n.png"))
    assert len(caplog.messages) == 3  # of colours, of rounding, of EXIF data
    assert all(message.startswith("holiday/a\\n.png: ") for message in caplog.messages)


def test_chunks_stand_before_the_pixels_of_a_png() -> None:
    gamma = (b"gAMA", struct.pack(">I", 100000))
    png = encode_photo(random_picture(8, 8), PhotoMetadata(color_chunks=(P3, gamma)))
    assert png.index(b"cICP") < png.index(b"gAMA") < png.index(b"IDAT")


def test_what_does_not_fit_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="65500"):
        encode_photo(np.zeros((1, 65501, 3), np.uint8), None, "jpeg")
    with pytest.raises(ValueError, match="quality"):
        encode_photo(random_picture(8, 8), None, "jpeg", quality=0)
    with pytest.raises(ValueError, match="png, tiff or jpeg"):
        encode_photo(random_picture(8, 8), None, "gif")
