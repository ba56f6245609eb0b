"""DNG of a denoised mosaic: LibRaw reads the same values, and renders the right colours."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from cycleisp.utils.color import colorimetry
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import RawImage, read_raw, render_with_libraw
from cycleisp.utils.raw.dng import encode_dng
from tests.support.curves import bt709_encode

GAINS = np.array([2.0, 1.0, 1.6])
XYZ2CAM = np.array([[0.80, -0.20, -0.05], [-0.40, 1.20, 0.20], [-0.05, 0.15, 0.60]])
CAM2RGB = colorimetry.cam2rgb_from_xyz2cam(XYZ2CAM)
PATTERNS = pytest.mark.parametrize("pattern", bayer.PATTERNS)


def random_mosaic(height: int = 32, width: int = 48) -> NDArray[np.float32]:
    return np.random.default_rng(0).random((height, width), dtype=np.float32)


def mosaic_of(camera_rgb: tuple[float, float, float], pattern: str, height: int, width: int) -> NDArray[np.float32]:
    """Returns a flat field, with one level for each of R, G and B."""
    tile = np.reshape([camera_rgb["RGB".index(letter)] for letter in pattern], (2, 2))
    return np.tile(tile, (height // 2 + 1, width // 2 + 1))[:height, :width].astype(np.float32)


def saved(path: Path, mosaic: NDArray[np.float32], pattern: str = "RGGB", **options: object) -> Path:
    settings = {"white_balance": GAINS, "cam2rgb": CAM2RGB, **options}
    path.write_bytes(encode_dng(mosaic, pattern, **settings))  # type: ignore[arg-type]
    return path


def reopened(path: Path, *args: object, **options: object) -> RawImage:
    return read_raw(saved(path, *args, **options))  # type: ignore[arg-type]


# ---------------------------------------------------------------- round trip


@PATTERNS
@pytest.mark.parametrize("size", [(32, 48), (31, 48), (32, 47), (33, 35)], ids=str)
def test_mosaic_and_pattern_come_back(tmp_path: Path, pattern: str, size: tuple[int, int]) -> None:
    mosaic = random_mosaic(*size)
    image = reopened(tmp_path / "a.dng", mosaic, pattern)
    assert image.pattern == pattern
    np.testing.assert_allclose(image.mosaic, mosaic, atol=0.5 / 65535 + 1e-7)  # rounded to 16 bits


@PATTERNS
def test_white_balance_and_matrix_come_back(tmp_path: Path, pattern: str) -> None:
    image = reopened(tmp_path / "a.dng", random_mosaic(), pattern)
    np.testing.assert_allclose(image.white_balance, GAINS, rtol=1e-5)
    assert image.cam2rgb is not None
    np.testing.assert_allclose(image.cam2rgb, CAM2RGB, atol=1e-4)


@pytest.mark.parametrize(
    "gains", [(1.0, 1.0, 1.0), (0.7, 1.0, 3.2), (2.7182818, 1.0, 1.4142136), (8.0, 1.0, 0.3)], ids=str
)
def test_any_light_comes_back_and_the_matrix_with_it(tmp_path: Path, gains: tuple[float, float, float]) -> None:
    image = reopened(tmp_path / "a.dng", random_mosaic(), white_balance=np.array(gains))
    np.testing.assert_allclose(image.white_balance, gains, rtol=1e-5)
    assert image.cam2rgb is not None
    np.testing.assert_allclose(image.cam2rgb, CAM2RGB, atol=1e-4)


def test_a_second_round_trip_changes_nothing(tmp_path: Path) -> None:
    first = reopened(tmp_path / "a.dng", random_mosaic())
    again = reopened(
        tmp_path / "b.dng", first.mosaic, first.pattern, white_balance=first.white_balance, cam2rgb=first.cam2rgb
    )
    np.testing.assert_array_equal(again.mosaic, first.mosaic)
    np.testing.assert_allclose(again.white_balance, first.white_balance, rtol=1e-5)
    assert again.cam2rgb is not None and first.cam2rgb is not None
    np.testing.assert_allclose(again.cam2rgb, first.cam2rgb, atol=1e-5)


def test_black_and_white_are_the_ends_of_16_bits_and_what_leaves_them_is_clipped(tmp_path: Path) -> None:
    mosaic = random_mosaic()
    mosaic[:2, :2] = [[-0.5, 0.0], [1.0, 7.0]]
    image = reopened(tmp_path / "a.dng", mosaic)
    assert image.mosaic[:2, :2].tolist() == [[0, 0], [1, 1]]
    assert image.black_level.tolist() == [0] * 4 and image.white_level == 65535


def test_a_sensor_without_a_matrix_keeps_its_colours(tmp_path: Path) -> None:
    image = reopened(tmp_path / "a.dng", random_mosaic(), cam2rgb=None)
    assert image.cam2rgb is not None
    np.testing.assert_allclose(image.cam2rgb, np.eye(3), atol=1e-4)


# ---------------------------------------------------------------- rendering


@PATTERNS
@pytest.mark.parametrize("main", [0, 1, 2], ids=["red", "green", "blue"])
def test_a_red_patch_is_red(tmp_path: Path, pattern: str, main: int) -> None:
    """The white-balanced camera colour has one strong channel, and is rendered by hand."""
    balanced = np.full(3, 0.15)
    balanced[main] = 0.5
    levels = tuple(float(level) for level in balanced / (GAINS / GAINS.min()))
    path = saved(tmp_path / "a.dng", mosaic_of(levels, pattern, 32, 48), pattern)
    rendered = render_with_libraw(path)
    assert rendered.shape == (32, 48, 3)
    inside = rendered[4:-4, 4:-4].reshape(-1, 3)
    assert (inside.argmax(axis=1) == main).all()
    expected = 255 * bt709_encode(CAM2RGB @ balanced)
    assert np.abs(inside - expected).max() <= 1.5  # LibRaw rounds


@PATTERNS
def test_grey_is_grey(tmp_path: Path, pattern: str) -> None:
    levels = tuple(float(level) for level in 0.4 / GAINS)
    rendered = render_with_libraw(saved(tmp_path / "a.dng", mosaic_of(levels, pattern, 32, 48), pattern))
    inside = rendered[4:-4, 4:-4].reshape(-1, 3).astype(int)
    assert (np.ptp(inside, axis=1) <= 1).all()


def test_an_odd_sized_mosaic_can_be_rendered(tmp_path: Path) -> None:
    assert render_with_libraw(saved(tmp_path / "a.dng", random_mosaic(33, 47), "GBRG")).shape == (33, 47, 3)


# ---------------------------------------------------------------- what else a converter looks for


def test_tags_that_a_dng_must_have() -> None:
    content = encode_dng(random_mosaic(), "BGGR", GAINS, CAM2RGB, description="denoised, shot=0.01,read=0.0005")
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        (page,) = tiff.pages
        tags = {tag.code: tag.value for tag in page.tags}  # type: ignore[union-attr]
    assert tags[262] == 32803  # colour filter array
    assert tuple(tags[33421]) == (2, 2) and bytes(tags[33422]) == bytes((2, 1, 1, 0))
    assert bytes(tags[50706]) == bytes((1, 4, 0, 0)) and tags[50708]
    assert tags[50717] == 65535 and tags[50714] == 0
    assert tags[270] == "denoised, shot=0.01,read=0.0005"
    neutral = np.reshape(tags[50728], (3, 2))
    np.testing.assert_allclose(neutral[:, 0] / neutral[:, 1], 1 / GAINS, atol=1e-6)


def test_the_file_is_always_the_same() -> None:
    first, again = (encode_dng(random_mosaic(), "RGGB", GAINS, CAM2RGB) for _ in range(2))
    assert first == again


def test_an_unknown_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown Bayer pattern 'RGBG'"):
        encode_dng(random_mosaic(), "RGBG", GAINS, CAM2RGB)
