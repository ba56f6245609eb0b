"""DNG of a denoised mosaic: the values come back, and everything that the source says is kept."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import rawpy
from numpy.typing import NDArray
from PIL import Image

from cycleisp.utils.orientation import ORIENTATIONS
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import read_raw, render_with_libraw
from cycleisp.utils.raw.dng.opcodes import bad_pixel_values, needs_same_units
from cycleisp.utils.raw.dng.source import DngSource, read_dng_source, unique_camera_model
from cycleisp.utils.raw.dng.tags import DngTags, read_tags
from cycleisp.utils.raw.dng.tiff_writer import SHORT, number_tag
from cycleisp.utils.raw.dng.writer import encode_dng, white_share
from tests.support import camera_files
from tests.support.camera_files import opcode_list, phone_tags, vignetted_scene, write_camera_raw, write_phone_dng
from tests.support.curves import bt709_encode
from tests.support.dng_layouts import write_tagged_dng
from tests.support.pictures import HALF_A_LEVEL, random_mosaic, write_dng

GAINS = np.array([2.0, 1.0, 1.6])  # of `write_dng`
XYZ2CAM = np.array(camera_files.XYZ2CAM).reshape(3, 3)
PATTERNS = pytest.mark.parametrize("pattern", bayer.PATTERNS)
ORDERS = pytest.mark.parametrize("order", ["<", ">"])


def copied(path: Path, linear: NDArray[np.float32] | None = None, note: str = "") -> Path:
    """Writes the DNG of a camera file as it is or with other values, and returns its path."""
    result = path.with_name(f"{path.stem}_result.dng")
    image = read_raw(path, clip=False)
    result.write_bytes(encode_dng(read_dng_source(path), image.mosaic if linear is None else linear, note))
    return result


def stored_values(path: Path) -> NDArray[np.uint16]:
    with rawpy.imread(str(path)) as raw:
        return raw.raw_image.copy()


def tags_of(path: Path) -> DngTags:
    tags = read_tags(path)
    assert tags is not None
    return tags


# ---------------------------------------------------------------- values


@PATTERNS
@pytest.mark.parametrize("size", [(32, 48), (31, 48), (32, 47), (33, 35), (400, 600)], ids=str)
def test_every_value_comes_back(tmp_path: Path, pattern: str, size: tuple[int, int]) -> None:
    path = write_dng(tmp_path / "a.dng", random_mosaic(*size), pattern, xyz2cam=XYZ2CAM)
    before, after = read_raw(path), read_raw(copied(path))
    assert after.pattern == pattern
    np.testing.assert_array_equal(after.mosaic, before.mosaic)
    np.testing.assert_allclose(after.white_balance, before.white_balance, rtol=1e-6)
    assert after.cam2rgb is not None and before.cam2rgb is not None
    np.testing.assert_allclose(after.cam2rgb, before.cam2rgb, atol=1e-6)


def test_values_between_the_levels_of_the_sensor_are_kept_to_16_bits(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", random_mosaic(32, 48))
    denoised = np.random.default_rng(0).uniform(0, 0.7, (32, 48)).astype(np.float32)
    after = read_raw(copied(path, denoised))
    np.testing.assert_allclose(after.mosaic, denoised, atol=2 * HALF_A_LEVEL)  # 1023 of 10 bits becomes 65472
    assert after.black_level.tolist() == [64 * 64] * 4 and after.white_level == 64 * 1023


def test_saturated_photosites_and_the_brightest_one_keep_their_values(tmp_path: Path) -> None:
    levels = random_mosaic(32, 48)
    levels[4:6, 4:6] = [[1023, 1023], [1060, 1050]]  # at white, and above it
    path = write_dng(tmp_path / "a.dng", levels)
    result = stored_values(copied(path, np.full((32, 48), 0.25, np.float32)))
    factor = 32  # 1060 * 64 would leave 16 bits
    assert result[4:6, 4:6].tolist() == [[1023 * factor, 1023 * factor], [1060 * factor, 1050 * factor]]
    assert result[0, 0] == round((64 + 0.25 * (1023 - 64)) * factor)


@pytest.mark.parametrize("denoised_peak", [0.8, 0.95])
@pytest.mark.parametrize("peak", [400, 900])
def test_libraw_finds_the_same_automatic_white_level(tmp_path: Path, peak: int, denoised_peak: float) -> None:
    """LibRaw takes a brightest photosite of 0.75 to 1 for white, which denoising would move."""
    levels = np.full((64, 64), 350, np.uint16)
    levels[20, 20] = peak
    path = write_dng(tmp_path / "a.dng", levels)
    denoised = np.full((64, 64), read_raw(path).mosaic[0, 0])
    denoised[20, 20] = denoised_peak
    rendered = []
    for file in (path, copied(path, denoised)):
        with rawpy.imread(str(file)) as raw:
            rendered.append(raw.postprocess(use_camera_wb=True, no_auto_bright=True).mean())
    assert rendered[1] == pytest.approx(rendered[0], rel=1e-3)


def test_values_beyond_the_ends_are_clipped(tmp_path: Path) -> None:
    levels = random_mosaic(32, 48)
    levels[10, 10] = 1023
    path = write_dng(tmp_path / "a.dng", levels)
    denoised = np.full((32, 48), 0.5, np.float32)
    denoised[:2, :2] = [[-7.0, -0.01], [1.0, 7.0]]
    result = copied(path, denoised)
    assert read_raw(result).mosaic[:2, :2].tolist() == [[0, 0], [1, 1]]
    assert stored_values(result)[1, 1] == 1023 * 64  # white, which is not more than white


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_mosaic_with_what_is_no_number_is_refused(tmp_path: Path, value: float) -> None:
    path = write_dng(tmp_path / "a.dng", random_mosaic(32, 48))
    with pytest.raises(ValueError, match="values that are no numbers"):
        copied(path, np.full((32, 48), value, np.float32))


def test_a_mosaic_of_another_size_is_refused(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", random_mosaic(32, 48))
    for shape in ((30, 48), (32, 50), (64, 96)):
        with pytest.raises(ValueError, match="visible area"):
            copied(path, np.zeros(shape, np.float32))


def test_what_is_not_visible_keeps_its_values_and_its_place(tmp_path: Path) -> None:
    levels = random_mosaic(40, 60)
    levels[:8], levels[:, :12] = 60, 61  # masked photosites
    path = write_dng(tmp_path / "a.dng", levels, "GRBG", active_area=(8, 12, 40, 60))
    result = copied(path, np.full((32, 48), 0.25, np.float32))
    values = stored_values(result)
    np.testing.assert_array_equal(values[:8, 12:], 60 * 64)
    np.testing.assert_array_equal(values[:, :12], 61 * 64)
    assert read_raw(result).pattern == "GRBG" and read_raw(result).mosaic.shape == (32, 48)
    assert tags_of(result).raw[50829].numbers == (8, 12, 40, 60)


BLACK_OF_MANY: dict[str, dict] = {
    "4x4": {50713: ("H", 2, (4, 4)), 50714: ("H", 16, tuple(range(64, 80)))},
    "3x2 rationals": {50713: ("H", 2, (3, 2)), 50714: ("2I", 6, tuple(x for n in range(6) for x in (650 + n, 10)))},
    "floating point": {50714: ("f", 1, 64.25)},
    "rows and columns": {
        50714: ("H", 1, 64),
        50715: ("2i", 48, tuple(x for n in range(48) for x in (n % 5 - 2, 1))),
        50716: ("2i", 32, tuple(x for n in range(32) for x in (n % 3, 2))),
    },
}


@ORDERS
@pytest.mark.parametrize("preview", [False, True], ids=["mosaic in IFD 0", "mosaic in a SubIFD"])
@pytest.mark.parametrize("kind", BLACK_OF_MANY)
def test_black_levels_of_many_sites_come_back(tmp_path: Path, kind: str, preview: bool, order: str) -> None:
    path = write_tagged_dng(tmp_path / "a.dng", random_mosaic(32, 48), BLACK_OF_MANY[kind], preview, byteorder=order)
    before, after = read_raw(path, clip=False), read_raw(copied(path), clip=False)
    np.testing.assert_allclose(after.mosaic, before.mosaic, atol=2 * HALF_A_LEVEL)
    np.testing.assert_allclose(after.black_level, 64 * before.black_level, rtol=1e-6)


def test_a_linearization_is_applied_once(tmp_path: Path) -> None:
    table = tuple(int(1023 * (code / 255) ** 2) for code in range(256))
    codes = np.random.default_rng(0).integers(64, 256, (32, 48)).astype(np.uint8)
    path = write_tagged_dng(tmp_path / "a.dng", codes, {50712: ("H", 256, table)})
    result = copied(path)
    assert 50712 in tags_of(path).raw and 50712 not in tags_of(result).raw
    np.testing.assert_array_equal(read_raw(result).mosaic, read_raw(path).mosaic)


def test_floating_point_comes_back(tmp_path: Path) -> None:
    """LibRaw scales such values to integers, so that the levels are LibRaw's."""
    values = np.random.default_rng(0).uniform(0.1, 0.9, (32, 48)).astype(np.float32)
    path = write_tagged_dng(tmp_path / "a.dng", values, {50714: ("H", 1, 0), 50717: ("H", 1, 1)})
    np.testing.assert_allclose(read_raw(copied(path)).mosaic, read_raw(path).mosaic, atol=2 * HALF_A_LEVEL)


# ---------------------------------------------------------------- what the source says


KEPT = (
    271, 272, 274, 305, 306, 315, 700, 33421, 33422, 33432, 50706, 50707, 50708, 50713, 50718, 50719, 50720, 50721,
    50722, 50727, 50728, 50730, 50734, 50778, 50779, 50827, 50936, 50940, 51008, 51009, 51022, 51109, 51125,
)  # fmt: skip


@ORDERS
def test_a_phones_dng_keeps_all_that_develops_it(tmp_path: Path, order: str) -> None:
    path = write_phone_dng(tmp_path / "a.dng", order)
    result = copied(path, note="denoised")
    before, after = tags_of(path), tags_of(result)
    assert after.byteorder == order
    for code in KEPT:
        assert after.ifd0[code] == before.ifd0[code], code
    assert after.gps == before.gps
    exif = {code: tag for code, tag in before.exif.items() if code != camera_files.MAKER_NOTE}
    assert after.exif == exif
    assert after.ifd0[50714].numbers == tuple(4 * level for level in before.ifd0[50714].numbers)
    assert after.ifd0[50717].numbers == (4 * camera_files.WHITE,)


def test_what_is_no_longer_true_is_left_out(tmp_path: Path) -> None:
    levels, gains = vignetted_scene(64, 64)
    wrong = {50781: b"u" * 16, 50828: b"the noisy file", 50972: b"d" * 16, 51111: b"d" * 16}
    tags = phone_tags("<", 64, 64, gains)
    tags += [camera_files.Tag(code, 1, len(content), content, "<") for code, content in wrong.items()]
    after = tags_of(copied(camera_files.write_raw(tmp_path / "a.dng", levels, tags))).ifd0
    assert not {*wrong, camera_files.NOISE_PROFILE} & set(after)
    assert after[50935].numbers == (1,)  # NoiseReductionApplied
    assert camera_files.MAKER_NOTE not in tags_of(tmp_path / "a_result.dng").exif


def test_tags_of_the_picture_and_of_the_file_meet_in_one_ifd(tmp_path: Path) -> None:
    gains = opcode_list((9, camera_files.gain_map(64, 64, np.ones((3, 3), np.float32))))
    path = write_tagged_dng(
        tmp_path / "a.dng",
        random_mosaic(64, 64),
        {51009: ("B", len(gains), gains), 50829: ("H", 4, (2, 4, 62, 64))},
        preview=True,
        in_ifd0={271: ("s", 0, "Maker"), 272: ("s", 0, "Model"), 50730: ("2i", 1, (3, 2)), 50971: ("s", 0, "a date")},
    )
    after = tags_of(copied(path))
    assert after.raw is after.ifd0
    assert after.ifd0[51009].data == gains and after.ifd0[50730].numbers == (1.5,)
    assert (after.ifd0[271].text, after.ifd0[272].text) == ("Maker", "Model")
    assert 50971 not in after.ifd0  # of the preview, which the result lacks


def jpeg(mode: str) -> bytes:
    content = io.BytesIO()
    Image.linear_gradient("L").resize((160, 120)).convert(mode).save(content, "JPEG")
    return content.getvalue()


@ORDERS
def test_the_preview_of_the_camera_is_kept(tmp_path: Path, order: str) -> None:
    """RawTherapee's default takes the tone curve from it."""
    levels, gains = vignetted_scene(64, 96)
    tags = phone_tags(order, 64, 96, gains)
    path = camera_files.write_raw(tmp_path / "a.dng", levels, tags, order, preview=jpeg("RGB"))
    before, after = (rawpy.imread(str(file)) for file in (path, copied(path)))
    assert before.extract_thumb().format == rawpy.ThumbFormat.JPEG
    assert after.extract_thumb().data == before.extract_thumb().data
    np.testing.assert_array_equal(after.raw_image, 4 * before.raw_image)


def test_a_damaged_preview_is_left_out(tmp_path: Path) -> None:
    levels, gains = vignetted_scene(64, 96)
    content = jpeg("RGB")
    path = camera_files.write_raw(tmp_path / "a.dng", levels, phone_tags("<", 64, 96, gains), preview=content)
    stored = path.read_bytes()
    place = stored.index(content)
    path.write_bytes(stored[:place] + bytes(len(content)) + stored[place + len(content) :])
    assert read_dng_source(path).preview == b""
    np.testing.assert_array_equal(read_raw(copied(path)).mosaic, read_raw(path).mosaic)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_orientation_is_that_of_the_source(tmp_path: Path, orientation: int) -> None:
    path = write_tagged_dng(tmp_path / "a.dng", random_mosaic(32, 48), {274: ("H", 1, orientation)})
    result = copied(path)
    assert tags_of(result).ifd0[274].numbers == (orientation,)
    assert read_raw(result).orientation == orientation


def test_the_note_is_stored_and_does_not_replace_a_description(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", random_mosaic(32, 48))
    tags = tags_of(copied(path, note="denoised, shot=0.01")).ifd0
    assert tags[11].text == tags[270].text == "denoised, shot=0.01"
    path = write_tagged_dng(tmp_path / "b.dng", random_mosaic(32, 48), {270: ("s", 0, "my cat")})
    tags = tags_of(copied(path, note="denoised")).ifd0
    assert (tags[11].text, tags[270].text) == ("denoised", "my cat")


def test_the_file_is_always_the_same(tmp_path: Path) -> None:
    path = write_phone_dng(tmp_path / "a.dng")
    assert copied(path).read_bytes() == copied(path).read_bytes()


def test_large_mosaics_are_compressed_and_small_ones_are_large_enough_for_rawtherapee(tmp_path: Path) -> None:
    large, small = (write_dng(tmp_path / f"{side}.dng", random_mosaic(side, side)) for side in (512, 256))
    assert tags_of(copied(large)).raw[259].numbers == (7,)
    assert copied(large).stat().st_size < 0.9 * 2 * 512**2
    assert tags_of(copied(small)).raw[259].numbers == (1,)
    assert copied(small).stat().st_size > 100_000


# ---------------------------------------------------------------- opcodes of list 1


def test_which_opcodes_bind_the_units() -> None:
    places = opcode_list((5, struct.pack(">4I", 0, 0, 0, 0)), (9, b"gains"), (14, b"warp"))
    assert not needs_same_units(places) and not needs_same_units(b"") and not needs_same_units(b"\0\0\1")
    assert needs_same_units(opcode_list((9, b""), (7, b"a table of values")))
    assert needs_same_units(opcode_list((77, b"unknown")))
    assert bad_pixel_values(opcode_list((4, struct.pack(">2I", 9, 0)), (4, b"cut"))) == [9]


def test_marked_photosites_stay_marked_and_no_other_becomes_so(tmp_path: Path) -> None:
    """FixBadPixelsConstant names a stored value, which a denoiser may return elsewhere."""
    levels = random_mosaic(32, 48)
    levels[7, 9] = 64
    mark = opcode_list((4, struct.pack(">2I", 64, 0)))
    path = write_tagged_dng(tmp_path / "a.dng", levels, {51008: ("B", len(mark), mark)})
    denoised = np.full((32, 48), 0.25, np.float32)
    denoised[20, 20] = 0  # black, 64
    values = stored_values(copied(path, denoised))
    assert values[7, 9] == 64 and values[20, 20] == 65
    assert (values == 64).sum() == 1 and values[0, 0] == round(64 + 0.25 * 959)  # in the sensor's own units


# ---------------------------------------------------------------- files that are no DNG


@ORDERS
def test_a_camera_of_its_own_format_is_named_and_described(tmp_path: Path, order: str) -> None:
    levels = np.random.default_rng(0).integers(600, 16000, (300, 400)).astype(np.uint16)
    path = write_camera_raw(tmp_path / "a.arw", levels, order)
    result = copied(path)
    tags = tags_of(result)
    assert [tags.ifd0[code].text for code in (271, 272, 50708)] == ["SONY", "ILCE-7RM3", "Sony ILCE-7RM3"]
    assert tags.exif[42036].text == "A Lens 24-70mm" and camera_files.MAKER_NOTE not in tags.exif
    assert tags.ifd0[50735].text == "SN 123" and tags.ifd0[50736].numbers == pytest.approx((24, 70, 2.8, 4))
    assert tags.gps[2].numbers == (46, 30, 12.5)
    assert tags.ifd0[50778].numbers == (21,) and tags.ifd0[50827].text == "a.arw"
    before, after = read_raw(path), read_raw(result)
    np.testing.assert_array_equal(after.mosaic, before.mosaic)
    assert before.cam2rgb is not None and after.cam2rgb is not None
    np.testing.assert_allclose(after.cam2rgb, before.cam2rgb, atol=1e-6)
    np.testing.assert_array_equal(stored_values(result), 4 * levels)


def test_a_camera_that_does_not_say_its_name_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_camera_raw(tmp_path / "a.raw", random_mosaic(300, 400), camera=None)
    result = copied(path)
    assert "a.raw: does not say its camera" in caplog.text
    np.testing.assert_allclose(read_raw(result).mosaic, read_raw(path).mosaic, atol=HALF_A_LEVEL)


@pytest.mark.parametrize(
    ("make", "model", "name"),
    [
        ("SONY", "ILCE-7RM3", "Sony ILCE-7RM3"),
        ("NIKON CORPORATION", "NIKON D5000", "Nikon D5000"),
        ("Canon", "Canon EOS R5", "Canon EOS R5"),
        ("OLYMPUS IMAGING CORP.", "E-M1", "Olympus E-M1"),
        ("FUJIFILM", "X-T100", "Fujifilm X-T100"),
        ("", "X", "X"),
        ("Maker", "", "Maker"),
        ("", "", "Unknown"),
    ],
)
def test_cameras_have_the_names_by_which_profiles_are_found(make: str, model: str, name: str) -> None:
    assert unique_camera_model(make, model) == name


def test_white_below_the_files_white_level_is_told_to_the_rendering(tmp_path: Path) -> None:
    """Sony files state a level of saturation which converters do not take for white."""
    path = write_camera_raw(tmp_path / "a.arw", random_mosaic(300, 400))
    source = read_dng_source(path)
    assert white_share(source) == 1
    low = DngSource(**{**vars(source), "white": 15360.0})
    assert white_share(low) == pytest.approx(15360 / 16383)
    low.ifd0[50717] = number_tag("<", 50717, SHORT, 15360)
    assert white_share(low) == 1


# ---------------------------------------------------------------- rendering


def flat_field(camera_rgb: tuple[float, ...], pattern: str, height: int, width: int) -> NDArray[np.float32]:
    """Returns a linear mosaic with one level for each of R, G and B."""
    tile = np.reshape([camera_rgb["RGB".index(letter)] for letter in pattern], (2, 2))
    return np.tile(tile, (height // 2 + 1, width // 2 + 1))[:height, :width].astype(np.float32)


@PATTERNS
@pytest.mark.parametrize("main", [0, 1, 2], ids=["red", "green", "blue"])
def test_a_red_patch_is_red(tmp_path: Path, pattern: str, main: int) -> None:
    """The white-balanced camera colour has one strong channel, and is rendered by hand."""
    path = write_dng(tmp_path / "a.dng", np.full((32, 48), 300, np.uint16), pattern, xyz2cam=XYZ2CAM)
    balanced = np.full(3, 0.15)
    balanced[main] = 0.5
    levels = tuple(float(level) for level in balanced / (GAINS / GAINS.min()))
    rendered = render_with_libraw(copied(path, flat_field(levels, pattern, 32, 48)))
    inside = rendered[4:-4, 4:-4].reshape(-1, 3)
    assert (inside.argmax(axis=1) == main).all()
    cam2rgb = read_raw(path).cam2rgb
    assert cam2rgb is not None
    assert np.abs(inside - 255 * bt709_encode(cam2rgb @ balanced)).max() <= 1.5  # LibRaw rounds
