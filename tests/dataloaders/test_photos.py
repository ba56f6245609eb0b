"""Photos as users have them: found, named, read exactly, or refused with a reason."""

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

from cycleisp.dataloaders import photos
from cycleisp.dataloaders.photo_store import PhotoStore
from cycleisp.dataloaders.photos import PhotoError, decode_photo, photo_metadata, read_photo
from cycleisp.dataloaders.sources import find_sources
from cycleisp.utils.output.png import PhotoMetadata
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
    write_png,
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


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


COLOR_8, COLOR_16 = random_picture(18, 26, np.uint8), random_picture(18, 26, np.uint16)
GREY_8, GREY_16 = COLOR_8[..., 0], COLOR_16[..., 0]


# ---------------------------------------------------------------- finding


def names_of(*inputs: Path, raw: bool = True) -> list[str]:
    return [source.name for source in find_sources(inputs, raw=raw)]


def test_a_single_file_is_named_by_its_stem(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "holiday.v2.jpg")
    assert names_of(tmp_path / "a" / "holiday.v2.jpg") == ["holiday.v2"]


def test_a_file_in_a_folder_is_named_by_its_path_below_it(tmp_path: Path) -> None:
    touch(tmp_path / "deep" / "er" / "été 1.v2.JPG", tmp_path / "top.tiff")
    assert names_of(tmp_path) == ["deep/er/été 1.v2", "top"]


def test_all_suffixes_of_photos_are_found_in_any_case_and_nothing_else(tmp_path: Path) -> None:
    wanted = ["a.jpg", "b.JPEG", "c.png", "d.WebP", "e.tif", "f.TIFF"]
    touch(*(tmp_path / name for name in (*wanted, "notes.txt", ".g.png.part", "h.gif", "png")))
    touch(tmp_path / "folder.png" / "inside.txt")
    assert [source.path.name for source in find_sources([tmp_path])] == wanted


def test_camera_files_are_found_unless_left_out(tmp_path: Path) -> None:
    touch(tmp_path / "a.png", tmp_path / "b.NEF", tmp_path / "c.dng")
    assert [source.space for source in find_sources([tmp_path])] == ["srgb", "raw", "raw"]
    assert names_of(tmp_path, raw=False) == ["a"]


def test_sources_are_sorted_by_name_whatever_the_order_of_the_inputs(tmp_path: Path) -> None:
    touch(*(tmp_path / folder / f"{letter}.png" for folder, letter in ("xb", "xa", "yc")))
    forward, backward = find_sources([tmp_path / "x", tmp_path / "y"]), find_sources([tmp_path / "y", tmp_path / "x"])
    assert forward == backward
    assert [source.name for source in forward] == ["a", "b", "c"]


def test_same_names_of_two_folders_are_numbered(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "1.jpg", tmp_path / "b" / "1.jpg")
    sources = find_sources([tmp_path / "a", tmp_path / "b"])
    assert [(source.name, source.path.parent.name) for source in sources] == [("1", "a"), ("1-2", "b")]


def test_a_number_never_takes_a_name_that_a_file_has(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("1.jpg", "1.png", "1.tif", "1-2.jpg", "1-2.png")))
    names = names_of(tmp_path)
    assert len(set(names)) == 5


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="nowhere: no such file or folder"):
        find_sources([tmp_path / "nowhere"])


@pytest.mark.parametrize("content", [(), ("notes.txt",), ("empty/notes.txt",)])
def test_a_folder_without_photos_is_named_with_the_suffixes_looked_for(tmp_path: Path, content: tuple[str]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    touch(*(folder / name for name in content))
    with pytest.raises(PhotoError, match=r"folder: no photo in this folder; looked for .*\.jpg.*\.png"):
        find_sources([folder])


def test_a_folder_of_camera_files_holds_no_photo_where_these_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path / "a.dng")
    with pytest.raises(PhotoError, match="no photo"):
        find_sources([tmp_path], raw=False)


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
    assert set(tags) <= photos.ABOUT_THE_PICTURE
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
        b"no picture",
        b"",
    ],
    ids=["png", "jpeg", "orientation", "damaged exif", "damaged profile", "no picture", "empty"],
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
        photo_metadata(with_flipped_bytes(WITH_METADATA[kind], rng, reach=300))


def test_a_profile_of_grey_does_not_go_with_pixels_that_became_rgb() -> None:
    """PNG forbids it, and viewers refuse or ignore such a profile."""
    assert photo_metadata(with_pillow(GREY_8, "JPEG", icc_profile=GREY_PROFILE)).icc_profile is None


# ---------------------------------------------------------------- a training set


def numbered_photo(path: Path, height: int, width: int) -> Path:
    """Writes a photo whose red tells the row, and whose blue tells the column."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0], picture[..., 2] = np.arange(height)[:, None], np.arange(width)
    return write_png(path, picture)


def test_a_drawn_square_is_a_piece_of_a_photo(tmp_path: Path) -> None:
    store = PhotoStore([numbered_photo(tmp_path / "a.png", 40, 60)])
    rng = np.random.default_rng(0)
    corners = set()
    for _ in range(400):
        square = np.round(store.draw(rng, 36) * 255).astype(int)
        top, left = square[0, 0, 0], square[0, 0, 2]
        np.testing.assert_array_equal(square[..., 0], np.arange(top, top + 36)[:, None].repeat(36, axis=1))
        np.testing.assert_array_equal(square[..., 2], np.arange(left, left + 36)[None].repeat(36, axis=0))
        corners.add((top, left))
    assert {top for top, _ in corners} == set(range(5))  # every offset comes, the last one included
    assert {left for _, left in corners} == set(range(25))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_drawn_square_has_the_size_and_range_asked_for(dtype: type, photo_file: Callable[..., Path]) -> None:
    store = PhotoStore([photo_file("a.png", 30, 40, dtype)])
    square = store.draw(np.random.default_rng(0), 16)
    assert square.shape == (16, 16, 3)
    assert square.dtype == np.float32
    assert 0 <= square.min() < square.max() <= 1


def test_the_generator_alone_decides_what_is_drawn(photo_file: Callable[..., Path]) -> None:
    paths = [photo_file(f"set/{seed}.png", 24, 32, seed=seed) for seed in range(4)]
    fresh, used = PhotoStore([paths[0].parent]), PhotoStore([paths[0].parent], cache_bytes=1)
    used.draw(np.random.default_rng(9), 8)
    squares = [[store.draw(np.random.default_rng(seed), 8) for seed in range(6)] for store in (fresh, used)]
    np.testing.assert_array_equal(*squares)
    assert len({square.tobytes() for square in squares[0]}) == 6


@pytest.mark.parametrize(("height", "width"), [(10, 30), (30, 10), (5, 5), (2, 90)])
def test_photos_too_small_for_a_square_are_enlarged(tmp_path: Path, height: int, width: int) -> None:
    picture = np.full((height, width, 3), (200, 100, 50), np.uint8)
    store = PhotoStore([write_png(tmp_path / "small.png", picture)])
    square = store.draw(np.random.default_rng(0), 32)
    assert square.shape == (32, 32, 3)
    np.testing.assert_allclose(square * 255, np.broadcast_to([200, 100, 50], square.shape), atol=1e-3)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns a list that gets the names of the files that are really read."""
    seen: list[str] = []

    def read(path: Path) -> NDArray:
        seen.append(path.stem)
        return read_photo(path)

    monkeypatch.setattr(photos, "read_photo", read)
    return seen


def test_photos_used_last_stay_in_memory_up_to_the_limit(photo_file: Callable[..., Path], reads: list[str]) -> None:
    paths = [photo_file(f"set/{letter}.png", 10, 10) for letter in "abc"]
    store = PhotoStore([paths[0].parent], cache_bytes=2 * 10 * 10 * 3)
    a, b, c = range(3)
    for index in (a, b, a, c, a, b):  # c pushes b out, which was used before a
        store[index]
    assert reads == ["a", "b", "c", "b"]


def test_a_photo_above_the_limit_is_served_and_kept_alone(photo_file: Callable[..., Path], reads: list[str]) -> None:
    paths = [photo_file(f"set/{letter}.png", 10, 10) for letter in "ab"]
    store = PhotoStore([paths[0].parent], cache_bytes=1)
    for index in (0, 0, 1, 0):
        assert store[index].shape == (10, 10, 3)
    assert reads == ["a", "b", "a"]


def test_a_training_set_leaves_camera_files_out(photo_file: Callable[..., Path]) -> None:
    folder = photo_file("set/a.png").parent
    touch(folder / "b.dng")
    assert len(PhotoStore([folder])) == 1


def test_a_bad_photo_of_a_training_set_is_named_when_drawn(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(PhotoError, match=r"bad\.png"):
        PhotoStore([tmp_path]).draw(np.random.default_rng(0), 8)
