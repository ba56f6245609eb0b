"""PNG that other programs read: pixels of both depths, EXIF and colour profile come back."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from cycleisp.utils.output.png import PhotoMetadata, encode_png
from tests.support.pictures import random_picture

DEPTHS = pytest.mark.parametrize("dtype", [np.uint8, np.uint16], ids=["8 bit", "16 bit"])
METADATA = {
    "nothing": PhotoMetadata(),
    "exif": PhotoMetadata(exif=Image.Exif().tobytes().removeprefix(b"Exif\0\0")),
    "profile": PhotoMetadata(icc_profile=b"any bytes \x00\xff" * 100),
    "both": PhotoMetadata(exif=b"II*\0\x08\0\0\0\0\0\0\0\0\0", icc_profile=bytes(range(256))),
}


def exif_of(camera: str) -> bytes:
    exif = Image.Exif()
    exif[272], exif[274] = camera, 1  # Model; orientation upright
    return exif.tobytes().removeprefix(b"Exif\0\0")


def opened_by_opencv(png: bytes) -> NDArray:
    bgr = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert bgr is not None
    return bgr[..., ::-1]


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    """Returns kind and content of every chunk, after checking signature, lengths and checksums."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    position, found = 8, []
    while position < len(png):
        (length,) = struct.unpack(">I", png[position : position + 4])
        kind, content = png[position + 4 : position + 8], png[position + 8 : position + 8 + length]
        (checksum,) = struct.unpack(">I", png[position + 8 + length : position + 12 + length])
        assert checksum == zlib.crc32(kind + content), kind
        found.append((kind, content))
        position += 12 + length
    return found


@DEPTHS
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (24, 33)], ids=str)
@pytest.mark.parametrize("metadata", METADATA.values(), ids=METADATA)
def test_pixels_come_back_exactly(dtype: type, size: tuple[int, int], metadata: PhotoMetadata) -> None:
    photo = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (*size, 3)).astype(dtype)
    png = encode_png(photo, metadata)
    decoded = opened_by_opencv(png)
    assert decoded.dtype == dtype
    np.testing.assert_array_equal(decoded, photo)
    with Image.open(io.BytesIO(png)) as opened:
        assert opened.format == "PNG" and opened.mode == "RGB" and opened.size == size[::-1]
        expected = photo if dtype == np.uint8 else photo // 256  # Pillow reads the high byte of 16 bit colour
        np.testing.assert_array_equal(np.asarray(opened), expected)


@DEPTHS
def test_red_is_red(dtype: type) -> None:
    photo = np.zeros((2, 2, 3), dtype)
    photo[..., 0] = np.iinfo(dtype).max
    with Image.open(io.BytesIO(encode_png(photo))) as opened:
        assert opened.getpixel((0, 0)) == (255, 0, 0)


@DEPTHS
def test_exif_and_profile_come_back(dtype: type) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    metadata = PhotoMetadata(exif=exif_of("Fabricated Camera"), icc_profile=profile)
    with Image.open(io.BytesIO(encode_png(random_picture(8, 9, dtype), metadata))) as opened:
        opened.load()
        assert opened.getexif()[272] == "Fabricated Camera" and opened.getexif()[274] == 1
        assert opened.info["icc_profile"] == profile


def test_each_comes_alone_and_without_metadata_there_is_none() -> None:
    photo = random_picture(8, 9)
    for metadata, expected in (
        (None, set()),
        (PhotoMetadata(), set()),
        (PhotoMetadata(exif=exif_of("A")), {b"eXIf"}),
        (PhotoMetadata(icc_profile=b"profile"), {b"iCCP"}),
    ):
        kinds = {kind for kind, _ in chunks(encode_png(photo, metadata))}
        assert kinds & {b"eXIf", b"iCCP"} == expected


def test_the_file_is_a_png_by_the_letter() -> None:
    """Checksums hold, the profile lies before the pixels, and EXIF lacks the prefix of JPEG."""
    exif, profile = exif_of("A"), b"profile" * 30
    found = chunks(encode_png(random_picture(40, 50, np.uint16), PhotoMetadata(exif, profile)))
    kinds = [kind for kind, _ in found]
    assert kinds[0] == b"IHDR" and kinds[-1] == b"IEND"
    assert kinds.index(b"iCCP") < kinds.index(b"IDAT") and kinds.count(b"eXIf") == kinds.count(b"iCCP") == 1
    content = dict(found)
    assert content[b"eXIf"] == exif and exif[:2] in (b"II", b"MM")
    name, compressed = content[b"iCCP"].split(b"\0", 1)
    assert 1 <= len(name) <= 79 and compressed[0] == 0  # compression method: zlib
    assert zlib.decompress(compressed[1:]) == profile


def test_a_view_that_is_not_contiguous_is_encoded_as_it_looks() -> None:
    photo = random_picture(12, 16)
    for view in (photo[::2, ::2], photo[:, ::-1], photo.transpose(1, 0, 2), np.rot90(photo)):
        np.testing.assert_array_equal(opened_by_opencv(encode_png(view)), view)


def test_the_photo_is_left_alone_and_the_file_is_always_the_same() -> None:
    photo = random_picture(12, 16)
    before = photo.copy()
    assert encode_png(photo) == encode_png(photo)
    np.testing.assert_array_equal(photo, before)
