"""Hot and dead photosites: repaired, and neither stars nor texture nor noise with them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import erf

from cycleisp.utils.errors import UserError
from cycleisp.utils.raw.bayer import PATTERNS
from cycleisp.utils.raw.hot_pixels import hot_pixels_of, read_listed, repair_found, repair_listed
from tests.support.pictures import random_picture

SIDE = 256
SHOT, READ = np.full(4, 1e-3), np.full(4, 1e-5)
BALANCE = np.array([2.0, 1.0, 1.6])
ONES = np.ones(3)


def noisy(clean: NDArray, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (clean + rng.standard_normal(clean.shape) * np.sqrt(SHOT[0] * clean + READ[0])).astype(np.float32)


def places(count: int, seed: int = 1) -> tuple[NDArray, NDArray]:
    """Returns places no two of which are neighbours of one colour."""
    rng = np.random.default_rng(seed)
    cells = rng.permutation((SIDE // 8) ** 2)[:count]
    return (cells // (SIDE // 8)) * 8 + rng.integers(3, 5, count), (cells % (SIDE // 8)) * 8 + rng.integers(3, 5, count)


def test_noise_alone_has_no_hot_pixels() -> None:
    ramp = np.linspace(0, 1, SIDE) * np.ones((SIDE, 1))
    for seed in range(4):
        mosaic = noisy(ramp, seed)
        repaired, mask = repair_found(mosaic, "RGGB", SHOT, READ, ONES)
        assert not mask.any() and repaired is mosaic


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("signal", [0.01, 0.2])
def test_hot_pixels_of_forty_deviations_are_found_and_replaced(pattern: str, signal: float) -> None:
    """All but one in a hundred, and nothing else; repaired, they are as their neighbours."""
    clean = np.full((SIDE, SIDE), signal)
    at = places(200)
    mosaic = noisy(clean)
    mosaic[at] += 40 * np.sqrt(SHOT[0] * signal + READ[0])
    repaired, mask = repair_found(mosaic, pattern, SHOT, READ, ONES)
    assert mask[at].mean() >= 0.99 and mask.sum() == mask[at].sum()
    deviation = np.sqrt(SHOT[0] * signal + READ[0])
    assert np.abs(repaired[mask] - signal).max() < 4 * deviation * 1.26  # the median of eight has 0.44 deviations
    assert np.array_equal(repaired[~mask], mosaic[~mask])


def test_dead_pixels_are_found() -> None:
    at = places(200)
    mosaic = (0.5 + (noisy(np.full((SIDE, SIDE), 0.5)) - 0.5) / 2).astype(np.float32)  # the level is 44 deviations
    mosaic[at] = 0.0
    repaired, mask = repair_found(mosaic, "RGGB", SHOT / 4, READ / 4, ONES)
    assert mask[at].mean() >= 0.99 and mask.sum() == mask[at].sum()
    assert repaired.min() > 0.3


@pytest.mark.parametrize("pattern", ["RGGB", "GBRG"])
@pytest.mark.parametrize("width", [0.8, 1.0, 1.5, 2.5])
@pytest.mark.parametrize("peak", [0.06, 0.2, 0.9])
def test_stars_stay(pattern: str, width: float, peak: float) -> None:
    """White stars whose light is that wide at half its height, anywhere between photosites.

    The sensor's colours are not balanced. At most one star in two hundred is taken for a hot pixel.
    """
    sites = np.array([["RGB".index(letter) for letter in row] for row in (pattern[:2], pattern[2:])])
    gains = np.tile(1 / BALANCE[sites], (SIDE // 2, SIDE // 2))
    rows, columns = places(400)
    rng = np.random.default_rng(2)
    scale = width / 2.355 * np.sqrt(2)
    sky = np.full((SIDE, SIDE), 0.005)
    grid = np.arange(-4, 5)
    for row, column, down, right in zip(rows, columns, *rng.uniform(-0.5, 0.5, (2, 400)), strict=True):
        along, across = (  # the light that falls on each photosite, as a share of all of it
            (erf((grid + 0.5 - centre) / scale) - erf((grid - 0.5 - centre) / scale)) / 2 for centre in (down, right)
        )
        spot = peak * np.outer(along, across)
        part = np.s_[max(row - 4, 0) : row + 5, max(column - 4, 0) : column + 5]
        sky[part] += spot[max(4 - row, 0) :, max(4 - column, 0) :][: sky[part].shape[0], : sky[part].shape[1]]
    _, mask = repair_found(noisy(sky * gains), pattern, SHOT, READ, BALANCE)
    assert mask.sum() <= 2


@pytest.mark.parametrize("seed", range(2))
def test_texture_stays(seed: int) -> None:
    """A picture with texture as fine as photosites, seen through a lens, at the lowest noise."""
    grain = np.random.default_rng(seed).random((SIDE, SIDE)) ** 4
    picture = cv2.GaussianBlur(grain + random_picture(SIDE, SIDE, seed=seed)[..., 1] / 255, (0, 0), 0.45) / 2
    rng = np.random.default_rng(seed)
    mosaic = (picture + rng.standard_normal(picture.shape) * 1e-4).astype(np.float32)
    _, mask = repair_found(mosaic, "RGGB", np.full(4, 1e-6), np.full(4, 1e-9), ONES)
    assert mask.sum() <= 1


def test_a_tiny_picture_is_left_alone() -> None:
    mosaic = np.ones((8, 8), np.float32)
    assert not repair_found(mosaic, "RGGB", SHOT, READ, ONES)[1].any()


# ---------------------------------------------------------------- lists


def camera_file(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


LISTED = "iso: {{100: {{shot_noise: 1.e-4, read_noise: 1.e-6}}}}\ncalibration: {}\n"


def test_listed_pixels_of_all_settings_are_repaired_where_they_stick_out(tmp_path: Path) -> None:
    text = LISTED.format(
        "{100: {mosaic: [64, 96], hot_pixels: [[10, 12], [0, 0]]}, 800: {mosaic: [64, 96], hot_pixels: [[63, 95]]}}"
    )
    listed = read_listed(camera_file(tmp_path / "camera.yaml", text))
    mosaic = noisy(np.full((64, 96), 0.2))
    mosaic[10, 12], mosaic[0, 0], mosaic[63, 95] = 0.5, 0.4, np.median(mosaic[57::2, 89::2])
    repaired, mask = repair_listed(mosaic, listed, Path("x.dng"))
    assert list(zip(*np.nonzero(mask), strict=True)) == [(0, 0), (10, 12)]
    assert np.abs(repaired[mask] - 0.2).max() < 0.05


def test_dead_pixels_of_the_list_are_repaired_also_side_by_side(tmp_path: Path) -> None:
    text = LISTED.format("{100: {mosaic: [64, 96], dead_pixels: [[10, 12], [10, 14], [63, 95]]}}")
    listed = read_listed(camera_file(tmp_path / "camera.yaml", text))
    mosaic = noisy(np.full((64, 96), 0.2))
    mosaic[10, 12], mosaic[10, 14], mosaic[63, 95] = 0.0, 0.001, 0.0
    repaired, mask = repair_listed(mosaic, listed, Path("x.dng"))
    assert list(zip(*np.nonzero(mask), strict=True)) == [(10, 12), (10, 14), (63, 95)]
    assert np.abs(repaired[mask] - 0.2).max() < 0.05


def test_a_photosite_whose_neighbours_are_all_listed_stays(tmp_path: Path) -> None:
    block = [[row, column] for row in (8, 10, 12) for column in (8, 10, 12)]
    text = LISTED.format(f"{{100: {{mosaic: [64, 96], hot_pixels: {block}}}}}")
    mosaic = noisy(np.full((64, 96), 0.2))
    for row, column in block:
        mosaic[row, column] = 0.9
    repaired, mask = repair_listed(mosaic, read_listed(camera_file(tmp_path / "camera.yaml", text)), Path("x.dng"))
    assert mask.sum() == 8 and not mask[10, 10]
    assert repaired[10, 10] == mosaic[10, 10]
    assert np.isfinite(repaired).all()


def test_a_list_of_another_camera_is_refused(tmp_path: Path) -> None:
    listed = read_listed(
        camera_file(tmp_path / "c.yaml", LISTED.format("{100: {mosaic: [64, 96], hot_pixels: [[1, 2]]}}"))
    )
    with pytest.raises(UserError, match=r"x\.dng: has 64x64 photosites, the hot pixels in .*c\.yaml are of 96x64"):
        repair_listed(np.zeros((64, 64), np.float32), listed, Path("x.dng"))


@pytest.mark.parametrize("text", ["{}", "{100: {gain: 1}}", "[1, 2]"])
def test_a_file_without_a_list_says_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="lists no hot pixels"):
        read_listed(camera_file(tmp_path / "c.yaml", LISTED.format(text)))


def test_a_damaged_list_says_so(tmp_path: Path) -> None:
    path = camera_file(tmp_path / "c.yaml", LISTED.format("{100: {mosaic: [64, 96], hot_pixels: [[1, x]]}}"))
    with pytest.raises(UserError, match="is damaged"):
        read_listed(path)


@pytest.mark.parametrize("text", ["yes", "0", "camera"])
def test_an_unknown_option_is_named(text: str) -> None:
    with pytest.raises(UserError, match=f"--hot-pixels {text}: expected auto, off"):
        hot_pixels_of(text)
