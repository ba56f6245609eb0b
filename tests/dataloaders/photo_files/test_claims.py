"""Sizes that files claim, formats that are not opened, and what is said of them."""

import io
import struct
import sys
import tracemalloc
import zlib
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from cycleisp.dataloaders.photos import PhotoError, decode_photo
from tests.support.pictures import PROFILE, encode_png, png_chunk, random_picture


def png_that_claims(width: int, height: int, bits: int, chunks: bytes = b"", data: bytes = bytes(100)) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunks + png_chunk(b"IDAT", zlib.compress(data)) + png_chunk(b"IEND", b"")


def tiff_that_claims(dtype: type, changed: dict[int, int], **options: Any) -> bytes:
    """Returns a TIFF of 40x50 pixels with other numbers in some of its tags."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, random_picture(40, 50, dtype), photometric="rgb", metadata=None, **options)
    content = bytearray(buffer.getvalue())
    with tifffile.TiffFile(io.BytesIO(buffer.getvalue())) as tiff:
        for tag, number in changed.items():
            found = tiff.pages.first.tags[tag]
            struct.pack_into("<H" if found.dtype == 3 else "<I", content, found.valueoffset, number)
    return bytes(content)


def with_pillow(kind: str, **options: Any) -> bytearray:
    buffer = io.BytesIO()
    Image.fromarray(random_picture(40, 50)).save(buffer, kind, **options)
    return bytearray(buffer.getvalue())


def jpeg_that_claims(side: int) -> bytes:
    content = with_pillow("JPEG")
    struct.pack_into(">HH", content, content.index(b"\xff\xc0") + 5, side, side)
    return bytes(content)


def webp_that_claims(side: int) -> bytes:
    """Returns a WebP whose canvas is larger than its picture."""
    content = with_pillow("WEBP", icc_profile=PROFILE)
    content[24:30] = (side - 1).to_bytes(3, "little") * 2
    return bytes(content)


LARGE = {256: 30000, 257: 30000}
CLAIMS = {
    "png, 60000x60000": png_that_claims(60000, 60000, 16),
    "png, 16 bit": png_that_claims(30000, 30000, 16),
    "png, 8 bit": png_that_claims(30000, 30000, 8),
    "png, 2^31": png_that_claims(2**31 - 1, 2**31 - 1, 16),
    "jpeg": jpeg_that_claims(20000),
    "jpeg, 65500": jpeg_that_claims(65500),
    "webp": webp_that_claims(16383),
    "webp, 2^24": webp_that_claims(2**24),
    "tiff, 8 bit": tiff_that_claims(np.uint8, LARGE),
    "tiff, 16 bit": tiff_that_claims(np.uint16, LARGE),
    "tiff, deflate": tiff_that_claims(np.uint16, LARGE, compression="zlib"),
    "tiff, samples": tiff_that_claims(np.uint16, {277: 60000}, compression="zlib"),
    "tiff, tiles": tiff_that_claims(np.uint16, {322: 65520, 323: 65520}, tile=(16, 16)),
    "tiff, tiles of 8 bit": tiff_that_claims(np.uint8, {322: 65520, 323: 65520}, tile=(16, 16)),
}


@pytest.mark.parametrize("kind", CLAIMS)
def test_a_claim_costs_no_memory(kind: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(PhotoError, match=r"claim|more than|damaged"):
            decode_photo(CLAIMS[kind], Path("photo"))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


BOMB = zlib.compress(bytes(64 << 20), 9)
BOMBS = {
    "text": png_chunk(b"zTXt", b"Comment\0\0" + BOMB),
    "international text": png_chunk(b"iTXt", b"Comment\0\1\0\0\0" + BOMB),
    "profile": png_chunk(b"iCCP", b"name\0\0" + BOMB),
    "old EXIF": png_chunk(b"zTXt", b"Raw profile type exif\0\0" + BOMB),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_chunk_that_inflates_without_end_costs_little(kind: str) -> None:
    picture = random_picture(8, 8)
    tracemalloc.start()
    try:
        np.testing.assert_array_equal(decode_photo(encode_png(picture, BOMBS[kind]), Path("photo.png")), picture)
        assert tracemalloc.get_traced_memory()[1] < 48 << 20
    finally:
        tracemalloc.stop()


def test_the_limit_is_the_projects_own_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode_png(random_picture(40, 50))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow refuses 200 and more
    assert decode_photo(content, Path("a.png")).shape == (40, 50, 3)
    assert Image.MAX_IMAGE_PIXELS == 100
    monkeypatch.setenv("CYCLEISP_MAX_PIXELS", "1999")
    with pytest.raises(PhotoError, match=r"a\.png: 50x40 are more than 1,999 pixels; set .*CYCLEISP_MAX_PIXELS"):
        decode_photo(content, Path("a.png"))
    monkeypatch.setenv("CYCLEISP_MAX_PIXELS", "2000")
    assert decode_photo(content, Path("a.png")).shape == (40, 50, 3)


def test_threads_leave_pillows_limit_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    start, shapes = Barrier(8), list[tuple[int, ...]]()

    def read() -> None:
        start.wait()
        shapes.extend(decode_photo(bytes(with_pillow("WEBP")), Path("a.webp")).shape for _ in range(10))

    threads = [Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shapes == [(40, 50, 3)] * 80 and Image.MAX_IMAGE_PIXELS == 100


# ---------------------------------------------------------------- formats

OTHERS = {
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "PostScript"),
    "GIF": (bytes(with_pillow("GIF")), "GIF"),
    "BMP": (bytes(with_pillow("BMP")), "BMP"),
    "JPEG 2000": (bytes(with_pillow("JPEG2000")), "JPEG 2000"),
    "PDF": (bytes(with_pillow("PDF")), "PDF"),
    "web page": (b"<!DOCTYPE html><html>", "web page"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_formats_are_refused_by_name_and_never_opened(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("opened")

    monkeypatch.setattr(Image, "open", opened)
    monkeypatch.setattr("subprocess.Popen", opened)
    content, words = OTHERS[kind]
    with pytest.raises(PhotoError, match=rf"a\.png: is .*{words}.*not a JPEG, PNG, WebP or TIFF"):
        decode_photo(content, Path("a.png"))


def test_the_main_picture_of_a_phones_two_is_read() -> None:
    first, second = (Image.fromarray(random_picture(40, 50, seed=seed)) for seed in range(2))
    alone, both = io.BytesIO(), io.BytesIO()
    first.save(alone, "JPEG", quality=95)
    first.save(both, "MPO", quality=95, save_all=True, append_images=[second])
    np.testing.assert_array_equal(
        decode_photo(both.getvalue(), Path("a.jpg")), decode_photo(alone.getvalue(), Path("a.jpg"))
    )


def test_an_animation_is_refused_as_webp_and_its_first_picture_taken_as_png() -> None:
    first, second = (Image.fromarray(random_picture(40, 50, seed=seed)) for seed in range(2))
    webp, png = io.BytesIO(), io.BytesIO()
    first.save(webp, "WEBP", save_all=True, append_images=[second], lossless=True)
    first.save(png, "PNG", save_all=True, append_images=[second])
    with pytest.raises(PhotoError, match=r"a\.webp: is an animation"):
        decode_photo(webp.getvalue(), Path("a.webp"))
    np.testing.assert_array_equal(decode_photo(png.getvalue(), Path("a.png")), np.asarray(first))


OPAQUE = np.dstack([random_picture(20, 30), np.full((20, 30), 255, np.uint8)])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("grey", [False, True])
def test_opaque_alpha_is_dropped_and_other_refused(dtype: type, grey: bool) -> None:
    picture = OPAQUE.astype(dtype) * (257 if dtype == np.uint16 else 1)
    picture = picture[..., 2:] if grey else picture
    expected = picture[..., :-1].repeat(3, axis=2) if grey else picture[..., :3]
    np.testing.assert_array_equal(decode_photo(encode_png(picture), Path("a.png")), expected)
    picture = picture.copy()
    picture[3, 4, -1] -= 1
    with pytest.raises(PhotoError, match="alpha channel; flatten"):
        decode_photo(encode_png(picture), Path("a.png"))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("grey", [False, True], ids=["RGB", "grey"])
@pytest.mark.parametrize(("used", "refused"), [(True, True), (False, False)])
def test_a_transparent_color_counts_where_it_is_used(used: bool, refused: bool, grey: bool, dtype: type) -> None:
    picture = random_picture(20, 30, dtype)
    stored = picture[..., 0] if grey else picture
    unused = np.setdiff1d(np.arange(256), picture)[:1] if grey else np.array([1, 2, 3])
    color = np.atleast_1d(stored[5, 6] if used else unused)
    content = encode_png(stored, png_chunk(b"tRNS", struct.pack(f">{len(color)}H", *map(int, color))))
    if refused:
        with pytest.raises(PhotoError, match="alpha"):
            decode_photo(content, Path("a.png"))
    else:
        np.testing.assert_array_equal(decode_photo(content, Path("a.png")), picture[..., [0] * 3] if grey else picture)


# ---------------------------------------------------------------- HEIC and AVIF


def test_an_avif_is_read() -> None:
    pytest.importorskip("PIL.AvifImagePlugin", reason="this Pillow reads no AVIF by itself; 11.3 does")
    buffer = io.BytesIO()
    try:
        Image.fromarray(random_picture(40, 50)).save(buffer, "AVIF", quality=95)
    except KeyError:
        pytest.skip("this Pillow writes no AVIF")
    photo = decode_photo(buffer.getvalue(), Path("a.jpg"))  # by content, whatever its name
    assert np.abs(photo.astype(int) - random_picture(40, 50)).mean() < 8


def test_a_heic_without_its_decoder_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    content = struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(100)
    with pytest.raises(PhotoError, match=r"a\.heic: is a HEIC.*pip install 'cycleisp\[heif\]'"):
        decode_photo(content, Path("a.heic"))


@pytest.mark.parametrize("bits", [8, 10])
def test_a_heic_is_read_with_its_depth(bits: int) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra heif is not installed")
    buffer = io.BytesIO()
    flat = np.full((64, 64, 3), (200, 100, 50), np.uint8 if bits == 8 else np.uint16)
    flat = flat * (1 if bits == 8 else 257)
    made = pillow_heif.from_bytes("RGB" if bits == 8 else "RGB;16", (64, 64), flat.tobytes())
    exif = Image.Exif()
    exif[274] = 6
    made.save(buffer, quality=95, exif=exif.tobytes())
    photos = [decode_photo(buffer.getvalue(), Path("a.heic")) for _ in range(20)]
    for photo in photos:  # the first ones are still whole when others have been read
        assert photo.dtype == flat.dtype and photo.shape == (64, 64, 3)
        assert np.abs(photo.astype(int) - flat).max() <= 6 * (1 if bits == 8 else 257)
