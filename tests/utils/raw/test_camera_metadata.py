"""What camera files say about themselves, in every layout: checked, and used where it is right."""

import logging
from pathlib import Path

import numpy as np
import pytest
import rawpy

from cycleisp.utils.orientation import ORIENTATIONS, upright
from cycleisp.utils.raw.camera_files import RawFileError, read_raw, render_with_libraw
from tests.support.dng_layouts import (
    ACTIVE_AREA,
    AS_SHOT_NEUTRAL,
    BLACK,
    BLACK_DELTA_H,
    BLACK_DELTA_V,
    BLACK_LEVEL,
    BLACK_REPEAT,
    COLOR_MATRIX,
    LINEARIZATION_TABLE,
    NOISE_PROFILE,
    ORIENTATION,
    WHITE,
    WHITE_LEVEL,
    Value,
    write_tagged_dng,
)

LEVELS = np.random.default_rng(0).integers(200, 900, (48, 64)).astype(np.uint16)
LAYOUTS = pytest.mark.parametrize("preview", [False, True], ids=["mosaic in IFD 0", "mosaic in a SubIFD"])
NO_NOISE_KNOWN = "it is not used"


def rationals(values: np.ndarray, denominator: int = 4) -> Value:
    parts = [part for value in values for part in (round(float(value) * denominator), denominator)]
    return "2i", len(values), tuple(parts)


# ---------------------------------------------------------------- orientation


@LAYOUTS
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_pictures_stand_as_libraw_shows_them_by_default(tmp_path: Path, orientation: int, preview: bool) -> None:
    path = write_tagged_dng(tmp_path / "a.dng", LEVELS, {ORIENTATION: ("H", 1, orientation)}, preview)
    image = read_raw(path)
    assert image.orientation == orientation
    with rawpy.imread(str(path)) as raw:
        options = {"use_camera_wb": True, "no_auto_bright": True, "adjust_maximum_thr": 0.0}
        shown = raw.postprocess(user_sat=WHITE - BLACK, **options)
    np.testing.assert_array_equal(upright(render_with_libraw(path), image.orientation), shown)


# ---------------------------------------------------------------- levels


@LAYOUTS
@pytest.mark.parametrize("repeat", [(1, 1), (1, 2), (2, 1), (2, 3), (4, 4), (3, 5), (8, 8)], ids=str)
@pytest.mark.parametrize("corner", [(0, 0), (2, 4), (3, 5)], ids=str)
def test_black_levels_repeat_from_the_corner_of_the_active_area(
    tmp_path: Path, repeat: tuple[int, int], corner: tuple[int, int], preview: bool
) -> None:
    """Without light, every site reads its own black level, so that the mosaic is 0 everywhere."""
    levels = BLACK + 7 * np.random.default_rng(1).permutation(repeat[0] * repeat[1]).reshape(repeat)
    height, width = LEVELS.shape
    rows, columns = np.indices(LEVELS.shape)
    dark = levels[(rows - corner[0]) % repeat[0], (columns - corner[1]) % repeat[1]].astype(np.uint16)
    tags: dict[int, Value | None] = {
        BLACK_REPEAT: ("H", 2, repeat),
        BLACK_LEVEL: ("H", levels.size, tuple(levels.flatten().tolist())),
        ACTIVE_AREA: ("H", 4, (*corner, height, width)),
    }
    path = write_tagged_dng(tmp_path / "a.dng", dark, tags, preview)
    assert not read_raw(path, clip=False).mosaic.any()
    if repeat == (4, 4) and corner == (0, 0):
        sites = [levels[row::2, column::2].mean() for row in (0, 1) for column in (0, 1)]
        assert read_raw(path).black_level.tolist() == [sites[0], sites[1], sites[3], sites[2]]


def test_signal_above_black_levels_of_4x4_sites_has_no_pattern(tmp_path: Path) -> None:
    """Sites of one colour are equally sensitive: equal light gives equal values above black."""
    levels = np.arange(512, 640, 8).reshape(4, 4)
    flat = np.tile(levels, (12, 16)) + 5000
    tags: dict[int, Value | None] = {
        BLACK_REPEAT: ("H", 2, (4, 4)),
        BLACK_LEVEL: ("H", 16, tuple(levels.flatten().tolist())),
        WHITE_LEVEL: ("H", 1, 16383),
    }
    mosaic = read_raw(write_tagged_dng(tmp_path / "a.dng", flat.astype(np.uint16), tags)).mosaic
    for row, column in np.ndindex(2, 2):
        assert np.ptp(mosaic[row::2, column::2]) == 0
    assert mosaic.mean() == pytest.approx(5000 / (16383 - levels.mean()), rel=1e-4)


def test_black_levels_of_rows_and_columns_are_added(tmp_path: Path) -> None:
    height, width = LEVELS.shape
    of_rows, of_columns = np.arange(height) % 7 - 3.0, np.arange(width) % 11 / 4
    dark = BLACK + 8 + of_rows[:, None] + of_columns.round()
    tags = {BLACK_DELTA_V: rationals(of_rows + 8), BLACK_DELTA_H: rationals(of_columns.round())}
    path = write_tagged_dng(tmp_path / "a.dng", dark.astype(np.uint16), tags)
    np.testing.assert_allclose(read_raw(path, clip=False).mosaic, 0, atol=1e-7)


def test_levels_count_after_the_linearization_table(tmp_path: Path) -> None:
    table = np.minimum(2 * np.arange(1024) + 1, 2047)
    tags: dict[int, Value | None] = {
        LINEARIZATION_TABLE: ("H", 1024, tuple(table.tolist())),
        BLACK_LEVEL: ("H", 1, 129),
        WHITE_LEVEL: ("H", 1, 2047),
    }
    mosaic = read_raw(write_tagged_dng(tmp_path / "a.dng", LEVELS, tags)).mosaic
    np.testing.assert_allclose(mosaic, (table[LEVELS] - 129) / (2047 - 129), atol=1e-6)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({WHITE_LEVEL: ("H", 1, 0)}, "black level 64 is not below white level 0"),
        ({WHITE_LEVEL: ("H", 1, 50)}, "black level 64 is not below white level 50"),
        ({WHITE_LEVEL: ("I", 1, 4_000_000_000)}, r"white level 4e\+09 is impossible"),
        ({BLACK_LEVEL: ("I", 1, 2_000_000_000)}, r"black level 2e\+09 is not below white level 1023"),
        ({BLACK_LEVEL: ("2i", 1, (-64, 1))}, "black level -64 is impossible"),
        ({BLACK_LEVEL: ("2I", 1, (0, 0))}, "black level nan is impossible"),
    ],
    ids=str,
)
def test_impossible_levels_are_refused(tmp_path: Path, tags: dict[int, Value | None], message: str) -> None:
    with pytest.raises(RawFileError, match=rf"a\.dng: .*{message}"):
        read_raw(write_tagged_dng(tmp_path / "a.dng", LEVELS, tags))


# ---------------------------------------------------------------- colours


@pytest.mark.parametrize(
    "neutral",
    [("2I", 3, (0, 10, 10, 10, 6, 10)), ("2i", 3, (-5, 10, 10, 10, 6, 10)), ("2I", 3, (1, 10**9, 10, 10, 6, 10))],
    ids=["zero", "negative", "tiny"],
)
def test_an_impossible_white_balance_is_replaced_by_daylight(
    tmp_path: Path, neutral: Value, caplog: pytest.LogCaptureFixture
) -> None:
    silent = read_raw(write_tagged_dng(tmp_path / "silent.dng", LEVELS, {AS_SHOT_NEUTRAL: None}))
    assert not caplog.records
    image = read_raw(write_tagged_dng(tmp_path / "a.dng", LEVELS, {AS_SHOT_NEUTRAL: neutral}))
    assert "a.dng: its white balance" in caplog.text and "is impossible; daylight's is used" in caplog.text
    np.testing.assert_array_equal(image.white_balance, silent.white_balance)
    assert image.white_balance.min() > 0.2 and image.white_balance.max() < 5


@pytest.mark.parametrize("smallest", [0.0, 1e-6])
def test_a_matrix_that_cannot_be_inverted_counts_as_none(
    tmp_path: Path, smallest: float, caplog: pytest.LogCaptureFixture
) -> None:
    matrix = np.ones((3, 3)) + smallest * np.diag([0, 1, 2])
    tags = {COLOR_MATRIX: rationals(matrix.flatten(), 1_000_000)}
    assert read_raw(write_tagged_dng(tmp_path / "a.dng", LEVELS, tags)).cam2rgb is None
    assert "a.dng: its colour matrix cannot be inverted" in caplog.text


# ---------------------------------------------------------------- noise


@pytest.mark.parametrize("byteorder", "<>")
@LAYOUTS
@pytest.mark.parametrize("profile", [(0.01, 4e-4), (0.01, 4e-4, 0.02, 5e-4, 0.03, 6e-4)], ids=len)
def test_the_noise_profile_is_found_in_the_ifd_of_the_mosaic(
    tmp_path: Path, profile: tuple[float, ...], preview: bool, byteorder: str
) -> None:
    tags: dict[int, Value | None] = {NOISE_PROFILE: ("d", len(profile), profile)}
    image = read_raw(write_tagged_dng(tmp_path / "a.dng", LEVELS, tags, preview, byteorder=byteorder))
    assert image.noise_profile is not None
    assert image.noise_profile.flatten().tolist() == list(profile)
    assert image.plane_noise is not None
    shot, read = image.plane_noise
    assert shot == ((0.01, 0.02, 0.02, 0.03) if len(profile) == 6 else (0.01,) * 4)
    assert read == ((4e-4, 5e-4, 5e-4, 6e-4) if len(profile) == 6 else (4e-4,) * 4)


def test_the_profile_of_the_mosaic_counts_before_that_of_the_preview(tmp_path: Path) -> None:
    main: Value = ("d", 2, (0.5, 0.5))
    tags: dict[int, Value | None] = {NOISE_PROFILE: ("d", 2, (0.01, 4e-4))}
    both = read_raw(write_tagged_dng(tmp_path / "a.dng", LEVELS, tags, True, in_ifd0={NOISE_PROFILE: main}))
    assert both.noise_profile is not None and both.noise_profile.tolist() == [[0.01, 4e-4]]
    one = read_raw(write_tagged_dng(tmp_path / "b.dng", LEVELS, {}, True, in_ifd0={NOISE_PROFILE: main}))
    assert one.noise_profile is not None and one.noise_profile.tolist() == [[0.5, 0.5]]


def test_the_profile_is_found_whatever_the_name_of_the_file(tmp_path: Path) -> None:
    tags: dict[int, Value | None] = {NOISE_PROFILE: ("d", 2, (0.01, 4e-4))}
    for name in ("a.TIF", "without_suffix"):
        assert read_raw(write_tagged_dng(tmp_path / name, LEVELS, tags, True)).noise_profile is not None


@pytest.mark.parametrize(
    "profile",
    [(-0.01, 4e-4), (0.01, -4e-4), (np.nan, 1e-4), (0.01, np.inf), (0.0, 0.0), (1e-320, 0.0), (2.0, 1e-4), (0.01,)],
    ids=str,
)
@LAYOUTS
def test_an_impossible_noise_profile_is_left_out_and_said(
    tmp_path: Path, profile: tuple[float, ...], preview: bool, caplog: pytest.LogCaptureFixture
) -> None:
    tags: dict[int, Value | None] = {NOISE_PROFILE: ("d", len(profile), profile)}
    image = read_raw(write_tagged_dng(tmp_path / "a.dng", LEVELS, tags, preview))
    assert image.noise_profile is None and image.plane_noise is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(f"{tmp_path / 'a.dng'}: its NoiseProfile ")
    assert record.getMessage().endswith(NO_NOISE_KNOWN)
