"""Camera files: fabricated DNGs with known values, and real ones where they are available."""

import csv
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from cycleisp.utils.color import colorimetry
from cycleisp.utils.errors import UserError
from cycleisp.utils.limits import MAX_PIXELS
from cycleisp.utils.output import preview
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import RAW_SUFFIXES, RawFileError, RawImage, read_raw, render_with_libraw
from tests.support.curves import bt709_encode
from tests.support.paths import shared
from tests.support.pictures import write_dng

BLACK, WHITE = 64, 1023
XYZ2CAM = np.array([[0.80, -0.20, -0.05], [-0.40, 1.20, 0.20], [-0.05, 0.15, 0.60]])
X_TRANS = "GGRGGBGGBGGRBRGRBGGGBGGRGGRGGBRBGBRG"
BOTH_READERS = pytest.mark.parametrize("read", [read_raw, render_with_libraw], ids=lambda read: read.__name__)
Reader = Callable[[Path], object]


def random_levels(height: int, width: int) -> NDArray[np.uint16]:
    """Returns sensor values from below black to above white."""
    return np.random.default_rng(0).integers(0, WHITE + 200, (height, width)).astype(np.uint16)


def tile_of(levels: dict[str, float], pattern: str, height: int, width: int) -> NDArray[np.uint16]:
    """Returns a flat field in sensor units, with one linear level for each of R, G and B."""
    tile = np.reshape([levels[letter] for letter in pattern], (2, 2))
    field = np.tile(tile, (height // 2 + 1, width // 2 + 1))[:height, :width]
    return np.round(BLACK + field * (WHITE - BLACK)).astype(np.uint16)


def rendered_by_hand(image: RawImage, camera_rgb: NDArray) -> NDArray:
    """Renders by the textbook, 0 ... 255.

    The steps are white balance (smallest gain 1), clipping, colour matrix and BT.709 curve.
    """
    assert image.cam2rgb is not None
    balanced = np.clip(camera_rgb * (image.white_balance / image.white_balance.min()), 0, 1)
    return 255 * bt709_encode(colorimetry.apply_matrix(balanced, image.cam2rgb))


# ---------------------------------------------------------------- the mosaic


@pytest.mark.parametrize("pattern", bayer.PATTERNS)
@pytest.mark.parametrize("size", [(32, 48), (31, 48), (32, 47), (33, 35)], ids=str)
def test_known_levels_become_exact_linear_values(tmp_path: Path, pattern: str, size: tuple[int, int]) -> None:
    levels = random_levels(*size)
    image = read_raw(write_dng(tmp_path / "a.dng", levels, pattern, black=BLACK, white=WHITE))
    expected = np.clip((levels - float(BLACK)) / (WHITE - BLACK), 0, 1)
    assert image.pattern == pattern
    assert image.mosaic.dtype == np.float32
    np.testing.assert_allclose(image.mosaic, expected, atol=1e-7)
    assert image.mosaic.min() == 0 and image.mosaic.max() == 1  # both ends occur, and are clipped


@pytest.mark.parametrize("pattern", bayer.PATTERNS)
def test_the_pattern_says_where_the_colours_are(tmp_path: Path, pattern: str) -> None:
    levels = {"R": 0.2, "G": 0.5, "B": 0.8}
    image = read_raw(write_dng(tmp_path / "a.dng", tile_of(levels, pattern, 33, 35), pattern))
    rows, columns = bayer.rggb_window(*image.mosaic.shape, image.pattern)
    window = image.mosaic[rows, columns]
    for site, letter in enumerate("RGGB"):
        plane = window[site // 2 :: 2, site % 2 :: 2]
        np.testing.assert_allclose(plane, levels[letter], atol=1 / (WHITE - BLACK))


@pytest.mark.parametrize("pattern", bayer.PATTERNS)
def test_each_site_of_the_tile_may_have_its_own_black_level(tmp_path: Path, pattern: str) -> None:
    levels, black = random_levels(32, 48), (10, 20, 30, 40)
    image = read_raw(write_dng(tmp_path / "a.dng", levels, pattern, black=black, white=WHITE))
    black_map = np.tile(np.reshape(black, (2, 2)), (16, 24))
    np.testing.assert_allclose(image.mosaic, np.clip((levels - black_map) / (WHITE - black_map), 0, 1), atol=1e-7)
    by_color = dict(zip("RGB", image.black_level[:3], strict=True))
    assert by_color["R"] == black[pattern.index("R")] and by_color["B"] == black[pattern.index("B")]
    assert {by_color["G"], image.black_level[3]} == {black[site] for site in range(4) if pattern[site] == "G"}


@pytest.mark.parametrize("pattern", bayer.PATTERNS)
@pytest.mark.parametrize("corner", [(2, 4), (1, 0), (0, 1), (3, 5)], ids=str)
def test_the_pattern_is_that_of_the_visible_part(tmp_path: Path, pattern: str, corner: tuple[int, int]) -> None:
    """Masked borders are left out.

    LibRaw may leave out another line, which must not shift the colours.
    """
    levels, (top, left) = {"R": 0.2, "G": 0.5, "B": 0.8}, corner
    field = np.zeros((48, 64), np.uint16)
    field[top:, left:] = tile_of(levels, pattern, 48 - top, 64 - left)
    area = (top, left, 48, 64)
    path = write_dng(tmp_path / "a.dng", field, pattern, neutral=(1.0, 1.0, 1.0), xyz2cam=XYZ2CAM, active_area=area)
    image, rendered = read_raw(path), render_with_libraw(path)
    height, width = image.mosaic.shape
    assert 48 - top - 2 <= height <= 48 - top and 64 - left - 2 <= width <= 64 - left
    expected = (tile_of(levels, image.pattern, height, width) - float(BLACK)) / (WHITE - BLACK)
    np.testing.assert_allclose(image.mosaic, expected, atol=1e-7)
    assert rendered.shape == (height, width, 3)
    flat = rendered_by_hand(image, np.array([levels[letter] for letter in "RGB"]))
    assert np.abs(rendered[8:-8, 8:-8] - flat).max() <= 1.5


# ---------------------------------------------------------------- what the file says about it


def test_a_bare_file_says_little(tmp_path: Path) -> None:
    image = read_raw(write_dng(tmp_path / "a.dng", random_levels(32, 48), black=BLACK, white=WHITE))
    assert image.black_level.tolist() == [BLACK] * 4
    assert image.white_level == WHITE
    assert image.cam2rgb is None
    assert image.noise_profile is None
    assert image.iso is None


def test_a_path_may_be_a_string_with_spaces_and_umlauts(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "Grüße 1.dng", random_levels(32, 48))
    assert np.array_equal(read_raw(str(path)).mosaic, read_raw(path).mosaic)
    assert np.array_equal(render_with_libraw(str(path)), render_with_libraw(path))


@pytest.mark.parametrize("neutral", [(0.5, 1.0, 0.625), (1.0, 0.5, 0.8), (1.0, 1.0, 1.0)], ids=str)
def test_white_balance_makes_the_neutral_of_the_file_grey(tmp_path: Path, neutral: tuple[float, float, float]) -> None:
    image = read_raw(write_dng(tmp_path / "a.dng", random_levels(32, 48), neutral=neutral))
    assert image.white_balance[1] == 1
    np.testing.assert_allclose(image.white_balance * neutral, neutral[1], rtol=1e-4)


def test_cam2rgb_comes_from_the_colour_matrix(tmp_path: Path) -> None:
    image = read_raw(write_dng(tmp_path / "a.dng", random_levels(32, 48), xyz2cam=XYZ2CAM))
    assert image.cam2rgb is not None
    np.testing.assert_allclose(image.cam2rgb, colorimetry.cam2rgb_from_xyz2cam(XYZ2CAM), atol=2e-4)
    np.testing.assert_allclose(image.cam2rgb.sum(axis=1), 1, atol=1e-4)


@pytest.mark.parametrize("profile", [[1e-3, 1e-6], [1e-3, 1e-6, 2e-3, 2e-6, 3e-3, 3e-6]], ids=["one", "per colour"])
@pytest.mark.parametrize("name", ["a.dng", "A.DNG"])
def test_noise_profile_tag_is_read_exactly(tmp_path: Path, name: str, profile: list[float]) -> None:
    image = read_raw(write_dng(tmp_path / name, random_levels(32, 48), noise_profile=profile))
    assert image.noise_profile is not None
    assert image.noise_profile.tolist() == np.reshape(profile, (-1, 2)).tolist()


def test_a_noise_profile_of_the_wrong_length_does_not_spoil_the_picture(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", random_levels(32, 48), noise_profile=[1e-3, 1e-6, 2e-3])
    assert read_raw(path).noise_profile is None


def test_suffixes_are_lower_case_with_a_dot() -> None:
    assert {".dng", ".cr2", ".nef", ".arw"} <= RAW_SUFFIXES
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in RAW_SUFFIXES)


# ---------------------------------------------------------------- LibRaw's rendering


@pytest.mark.parametrize("pattern", bayer.PATTERNS)
@pytest.mark.parametrize("size", [(32, 48), (33, 35)], ids=str)
def test_rendering_has_the_size_of_the_mosaic(tmp_path: Path, pattern: str, size: tuple[int, int]) -> None:
    rendered = render_with_libraw(write_dng(tmp_path / "a.dng", random_levels(*size), pattern))
    assert rendered.shape == (*size, 3) and rendered.dtype == np.uint8


@pytest.mark.parametrize("level", [0.02, 0.1, 0.4, 0.8, 0.97, 1.0])
@pytest.mark.parametrize("neutral", [(0.5, 1.0, 0.625), (1.0, 1.0, 1.0), (1.0, 0.5, 0.8)], ids=str)
def test_a_flat_field_renders_as_computed_by_hand(
    tmp_path: Path, level: float, neutral: tuple[float, float, float]
) -> None:
    """Neither automatic brightness nor the brightest pixel changes the scale, at any level."""
    field = tile_of(dict.fromkeys("RGB", level), "RGGB", 32, 48)
    path = write_dng(tmp_path / "a.dng", field, neutral=neutral, xyz2cam=XYZ2CAM)
    image, rendered = read_raw(path), render_with_libraw(path)
    expected = rendered_by_hand(image, np.full(3, image.mosaic[0, 0]))
    assert np.abs(rendered - expected).max() <= 1.5


@pytest.mark.parametrize("black", [0, 64, 512])
def test_rendering_takes_white_from_the_file_whatever_the_black_level(tmp_path: Path, black: int) -> None:
    field = np.full((32, 48), round(black + 0.9 * (WHITE - black)), np.uint16)
    path = write_dng(tmp_path / "a.dng", field, black=black, neutral=(1.0, 1.0, 1.0), xyz2cam=XYZ2CAM)
    expected = rendered_by_hand(read_raw(path), np.full(3, 0.9))
    assert np.abs(render_with_libraw(path) - expected).max() <= 1.5


@pytest.mark.parametrize("pattern", bayer.PATTERNS)
def test_grey_in_front_of_the_camera_is_grey_in_the_rendering(tmp_path: Path, pattern: str) -> None:
    neutral = (0.5, 1.0, 0.625)
    field = tile_of({letter: 0.6 * part for letter, part in zip("RGB", neutral, strict=True)}, pattern, 32, 48)
    rendered = render_with_libraw(write_dng(tmp_path / "a.dng", field, pattern, neutral=neutral, xyz2cam=XYZ2CAM))
    assert np.abs(rendered - 255 * bt709_encode(np.array(0.6))).max() <= 1.5


@pytest.mark.parametrize("pattern", bayer.PATTERNS)
def test_rendering_is_aligned_with_the_mosaic_to_the_pixel(tmp_path: Path, pattern: str) -> None:
    """A bright rectangle has its four edges at the same rows and columns in both."""
    levels = np.full((48, 64), BLACK + 20, np.uint16)
    levels[13:30, 22:47] = 800
    path = write_dng(tmp_path / "a.dng", levels, pattern, neutral=(1.0, 1.0, 1.0), xyz2cam=XYZ2CAM)
    bright = read_raw(path).mosaic > 0.4
    assert np.array_equal(bright, levels == 800)
    rendered = render_with_libraw(path)[..., 1].astype(float)
    middle = (rendered.min() + rendered.max()) / 2
    assert np.array_equal(np.flatnonzero(rendered[21] > middle), np.arange(22, 47))
    assert np.array_equal(np.flatnonzero(rendered[:, 34] > middle), np.arange(13, 30))


# ---------------------------------------------------------------- files that cannot be used


@BOTH_READERS
def test_x_trans_is_refused_as_no_bayer_sensor(tmp_path: Path, read: Reader) -> None:
    path = write_dng(tmp_path / "fuji.dng", random_levels(36, 48), X_TRANS)
    with pytest.raises(RawFileError, match=r"fuji\.dng: expected a Bayer sensor.*X-Trans"):
        read(path)


@BOTH_READERS
def test_whole_colours_are_refused_as_no_mosaic(tmp_path: Path, read: Reader) -> None:
    tags = [(271, "s", 0, "Fabricated", False), (272, "s", 0, "Camera", False)]
    tags.append((50706, "B", 4, bytes([1, 4, 0, 0]), False))
    path = tmp_path / "linear.dng"
    colors = np.zeros((32, 48, 3), np.uint16)  # newer releases of tifffile take them for pages unless told
    tifffile.imwrite(path, colors, photometric=34892, planarconfig="contig", metadata=None, extratags=tags)
    with pytest.raises(RawFileError, match=r"linear\.dng: expected one value per photosite"):
        read(path)


@BOTH_READERS
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, read: Reader, share: float) -> None:
    whole = write_dng(tmp_path / "whole.dng", random_levels(64, 64)).read_bytes()
    path = tmp_path / "cut.dng"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(RawFileError, match=r"cut\.dng: LibRaw cannot read it"):
        read(path)


@BOTH_READERS
@pytest.mark.parametrize(
    "content", [b"", b"II*\0", b"no picture at all\n" * 100, np.random.default_rng(0).bytes(5000)], ids=len
)
def test_what_is_no_camera_file_is_refused(tmp_path: Path, read: Reader, content: bytes) -> None:
    path = tmp_path / "garbage.nef"
    path.write_bytes(content)
    with pytest.raises(RawFileError, match=r"garbage\.nef: LibRaw cannot read it"):
        read(path)


@BOTH_READERS
def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path, read: Reader) -> None:
    for path in (tmp_path / "absent.dng", tmp_path):
        with pytest.raises(RawFileError, match=f"{path.name}: no such file"):
            read(path)


@BOTH_READERS
def test_a_white_level_that_is_not_above_black_is_refused(tmp_path: Path, read: Reader) -> None:
    path = write_dng(tmp_path / "a.dng", random_levels(32, 48), black=1023, white=1023)
    with pytest.raises(RawFileError, match=r"a\.dng: black level 1023 is not below white level 1023"):
        read(path)


@BOTH_READERS
def test_a_monochrome_file_is_called_so(tmp_path: Path, read: Reader) -> None:
    path = tmp_path / "mono.dng"
    tags = [(50706, "B", 4, bytes([1, 4, 0, 0]), False), (50708, "s", 0, "Fabricated Monochrome", False)]
    tifffile.imwrite(path, random_levels(32, 48), photometric=1, metadata=None, extratags=tags)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["PhotometricInterpretation"].overwrite(34892)  # type: ignore[union-attr]  # LinearRaw
    with pytest.raises(RawFileError, match=r"mono\.dng: expected a Bayer mosaic, this file is monochrome"):
        read(path)


@BOTH_READERS
def test_a_size_beyond_the_limit_is_refused_before_it_is_unpacked(
    tmp_path: Path, read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_dng(tmp_path / "a.dng", random_levels(32, 48))
    monkeypatch.setenv(MAX_PIXELS, str(32 * 48))
    read(path)
    monkeypatch.setenv(MAX_PIXELS, str(32 * 48 - 1))
    with pytest.raises(RawFileError, match=rf"a\.dng: 48x32 are more than 1,535 pixels; .*{MAX_PIXELS}"):
        read(path)


@BOTH_READERS
def test_a_size_that_the_file_cannot_hold_is_refused_before_it_is_allocated(tmp_path: Path, read: Reader) -> None:
    """Compressed files may claim any size: here 900 megapixels in a few kilobytes."""
    path = write_dng(tmp_path / "a.dng", random_levels(32, 48))
    with tifffile.TiffFile(path, mode="r+") as file:
        for name, value in (("ImageWidth", 30000), ("ImageLength", 30000), ("RowsPerStrip", 30000), ("Compression", 8)):
            file.pages[0].tags[name].overwrite(value)  # type: ignore[union-attr]
    with pytest.raises(RawFileError, match=r"a\.dng: claims 30000x30000 pixels, more than its [\d,]+ bytes can hold"):
        read(path)


def test_a_name_that_is_not_utf_8_opens(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", random_levels(32, 48))
    odd = tmp_path / os.fsdecode(b"caf\xe9.dng")
    try:
        odd.write_bytes(path.read_bytes())
    except OSError:
        pytest.skip("this file system has names in UTF-8 only")
    np.testing.assert_array_equal(read_raw(odd).mosaic, read_raw(path).mosaic)


def test_a_real_file_that_is_cut_off_is_refused_where_libraw_would_make_half_of_it_grey(tmp_path: Path) -> None:
    content = shared("data/raw/noisy/sony_a7r3_iso3200.arw").read_bytes()
    path = tmp_path / "cut.arw"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(RawFileError, match=r"cut\.arw: LibRaw cannot read it as a whole \([\d,]+ bytes are missing"):
        read_raw(path)


def test_a_refused_file_is_a_user_error() -> None:
    assert issubclass(RawFileError, UserError)


# ---------------------------------------------------------------- real camera files


@pytest.fixture
def real_files() -> dict[Path, str]:
    """Returns camera files, and the Bayer pattern that the list of sources states for each."""
    listing = shared("data/SOURCES.tsv")
    with listing.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return {
        listing.parent / row["path"]: row["bayer"] for row in rows if Path(row["path"]).suffix.lower() in RAW_SUFFIXES
    }


def test_every_real_file_opens_with_the_pattern_of_its_source(real_files: dict[Path, str]) -> None:
    assert real_files
    for path, pattern in real_files.items():
        image = read_raw(path)
        assert image.pattern == pattern, path.name
        assert image.mosaic.min() >= 0 and image.mosaic.max() <= 1, path.name
        assert 0.001 < image.mosaic.mean() < 0.9, path.name  # a picture, neither black nor burnt out
        assert image.white_balance[1] == 1 and (image.white_balance > 0.3).all(), path.name
        assert image.cam2rgb is not None, path.name
        np.testing.assert_allclose(image.cam2rgb.sum(axis=1), 1, atol=0.01, err_msg=path.name)


@pytest.mark.parametrize("name", ["digicam_S40_CRW_0117.CRW", "a7r4_cliff_1.dng", "gopro_hero6.dng"])
def test_libraw_renders_what_the_classical_pipeline_does(real_files: dict[Path, str], name: str) -> None:
    """Both are averaged over 8 x 8 pixels, since demosaicking differs.

    A shift, or another curve or scale, would still be seen.
    """
    path = next(path for path in real_files if path.name == name)
    image, rendered = read_raw(path), render_with_libraw(path)
    classical = rendered_by_hand(image, preview.demosaic_bilinear(image.mosaic, image.pattern))
    difference = cv2.blur(rendered.astype(np.float32), (8, 8)) - cv2.blur(classical.astype(np.float32), (8, 8))
    assert 10 * np.log10(255**2 / np.mean(difference**2)) >= 39


@pytest.mark.parametrize("name", ["a7r4_river_1.dng", "gopro_hero6.dng"])
def test_noise_profile_of_a_real_file_is_of_a_plausible_size(real_files: dict[Path, str], name: str) -> None:
    """Variances at ISO 100 on the [0, 1] scale."""
    profile = read_raw(next(path for path in real_files if path.name == name)).noise_profile
    assert profile is not None and profile.shape[1] == 2
    assert (profile[:, 0] > 1e-6).all() and (profile[:, 0] < 1e-2).all()
    assert (np.abs(profile[:, 1]) < 1e-4).all()
