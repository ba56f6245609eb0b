"""Tables of colours: known changes, noise, outliers, regions without data, and photos."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import ndimage

from cycleisp.utils.color import color_lut
from cycleisp.utils.color.color_change import ColorChange
from cycleisp.utils.color.color_lut import ColorLut, average_luts, fit_color_lut
from tests.support.color_luts import identity_lut, read_cube

DTYPES = (np.uint8, np.uint16, np.float32)
SATURATION_06 = ColorChange(saturation=0.6)  # affine, and no colour leaves the range: what is left is the fit's error
# The change, then the mean and the largest error in 8-bit levels allowed for colours of the whole
# cube, clipped in both pictures, and for colours from 0.1 to 0.9. All but saturation and hue bend
# within a cell of the table near black.
CHANGES = {
    "gains": (ColorChange(gains=(1.2, 1.0, 0.8)), (0.10, 7), (0.01, 0.2)),
    "clipping gains": (ColorChange(gains=(1.8, 1.2, 0.9)), (0.25, 8), (0.12, 8)),
    "gamma 0.8": (ColorChange(gamma=0.8), (0.20, 5), (0.05, 1.5)),
    "gamma 1.3": (ColorChange(gamma=1.3), (0.20, 6), (0.06, 1.5)),
    "more saturation": (ColorChange(saturation=1.4), (0.02, 0.5), (0.01, 0.3)),
    "less saturation": (SATURATION_06, (0.01, 0.1), (0.01, 0.1)),
    "hue": (ColorChange(hue=20.0), (0.01, 0.3), (0.01, 0.1)),
    "all": (ColorChange((1.2, 1.0, 0.85), 0.8, 0.0, 1.2, 10.0), (0.25, 9), (0.10, 3)),
}


def smooth_colors(low: float = 0.0, high: float = 1.0, seed: int = 0, rows: int = 100) -> NDArray[np.float32]:
    """Returns the colours (200 rows, 3) of a random smooth picture, in [low, high].

    A few percent of them are clipped to the ends.
    """
    noise = np.random.default_rng(seed).standard_normal((rows, 200, 3))
    picture = ndimage.gaussian_filter(noise, (12, 12, 0))
    picture = np.clip(0.45 + 0.22 * (picture - picture.mean()) / picture.std(), 0, 1)
    return (low + (high - low) * picture).reshape(-1, 3).astype(np.float32)


def apply_to(lut: ColorLut, colors: NDArray) -> NDArray[np.float32]:
    return lut.apply(np.asarray(colors, dtype=np.float32)[None])[0]


def levels(lut: ColorLut, source: NDArray, wanted: NDArray) -> NDArray:
    """Returns the sizes (n, 3) of the errors in 8-bit levels."""
    return 255 * np.abs(apply_to(lut, source) - wanted)


def random_lut(size: int, seed: int = 0) -> ColorLut:
    return ColorLut(np.random.default_rng(seed).uniform(0, 1, (size, size, size, 3)).astype(np.float32))


def random_photo(height: int, width: int, dtype: type, seed: int = 0) -> NDArray:
    generator = np.random.default_rng(seed)
    if dtype is np.float32:
        return generator.uniform(0, 1, (height, width, 3)).astype(np.float32)
    return generator.integers(0, np.iinfo(dtype).max, (height, width, 3), dtype=dtype, endpoint=True)


def steps_along_own_axis(lut: ColorLut) -> NDArray:
    """Returns how much each colour of the table grows from node to node of the same colour.

    The steps are given as slopes; the identity has 1.
    """
    size = len(lut.nodes)
    return np.stack([np.diff(lut.nodes[..., axis], axis=axis).ravel() for axis in range(3)]) * (size - 1)


# ---------------------------------------------------------------- fit: known changes


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("inner", [False, True], ids=["whole range", "inner range"])
def test_a_known_change_is_found_again(name: str, inner: bool) -> None:
    change, whole_range, inner_range = CHANGES[name]
    mean, largest = inner_range if inner else whole_range
    source = smooth_colors(0.1, 0.9) if inner else smooth_colors()
    errors = levels(fit_color_lut(source, change.apply(source)), source, change.apply(source))
    assert errors.mean() < mean
    assert errors.max() < largest


def test_no_change_gives_the_identity_exactly() -> None:
    colors = smooth_colors()
    np.testing.assert_array_equal(fit_color_lut(colors, colors).nodes, identity_lut().nodes)


@pytest.mark.parametrize("size", [2, 5, 33])
def test_tables_of_any_size(size: int) -> None:
    """A linear change needs no more than the corners; a larger table is not smoother or rougher."""
    source = smooth_colors()
    wanted = SATURATION_06.apply(source)
    lut = fit_color_lut(source, wanted, size=size)
    assert lut.nodes.shape == (size, size, size, 3)
    assert levels(lut, source, wanted).max() < 0.2


def test_a_curved_change_needs_nodes_and_gets_closer_with_more() -> None:
    source = smooth_colors(0.1, 0.9)
    wanted = ColorChange(contrast=0.6).apply(source)
    coarse, usual, fine = (levels(fit_color_lut(source, wanted, size=size), source, wanted) for size in (5, 17, 33))
    assert coarse.mean() > 2 * usual.mean() > 2 * fine.mean()


def test_colours_clipped_in_the_target_say_this_or_beyond() -> None:
    """Exposure by 1.5 in encoded values clips what is above 2/3; the table is straight below."""
    source = smooth_colors()
    lut = fit_color_lut(source, np.clip(1.5 * source, 0, 1))
    assert levels(lut, source, np.clip(1.5 * source, 0, 1)).max() < 1
    np.testing.assert_allclose(lut.nodes[-1, -1, -1], 1.5, atol=0.02)


# ---------------------------------------------------------------- fit: noise, outliers, weights


def test_noise_is_averaged_out() -> None:
    """Least squares with K free numbers leaves sigma sqrt(K / n) of noise sigma in n colours.

    A table with nothing to smooth it has K = all nodes around the colours and leaves some 0.2
    sigma; an affine map has 4, 0.014 sigma. The smooth table must come close to the second: a third
    of the first, and 0.06 sigma.
    """
    source = smooth_colors(0.2, 0.8)
    wanted, sigma = SATURATION_06.apply(source), 0.05
    noisy = wanted + sigma * np.random.default_rng(1).standard_normal(source.shape)
    assert noisy.min() > 0 and noisy.max() < 1  # nothing clipped, which would shift the mean
    touched = np.unique(color_lut._corners(source.astype(np.float64), 17).indices).size
    error = np.sqrt(np.mean((apply_to(fit_color_lut(source, noisy), source) - wanted) ** 2))
    assert error < sigma * np.sqrt(touched / len(source)) / 3
    assert error < 0.06 * sigma


def test_more_colours_leave_less_noise() -> None:
    errors = []
    for rows in (25, 400):
        source = smooth_colors(0.2, 0.8, rows=rows)
        noisy = np.clip(source + 0.05 * np.random.default_rng(2).standard_normal(source.shape), 0, 1)
        errors.append(levels(fit_color_lut(source, noisy), source, source).mean())
    assert errors[1] < 0.6 * errors[0]


@pytest.mark.parametrize("name", ["less saturation", "gamma 0.8", "all"])
def test_gross_outliers_hardly_matter(name: str) -> None:
    """5 % of the targets are random colours.

    Plain least squares would be drawn by 5 % of their distance, which is 4 levels.
    """
    change = CHANGES[name][0]
    source = smooth_colors(0.1, 0.9)
    wanted = change.apply(source)
    spoilt, generator = wanted.copy(), np.random.default_rng(3)
    wrong = generator.random(len(source)) < 0.05
    spoilt[wrong] = generator.random((wrong.sum(), 3))
    assert levels(fit_color_lut(source, spoilt), source, wanted).mean() < 0.3
    spoilt[wrong] = (1, 0, 1)  # all to one side
    assert levels(fit_color_lut(source, spoilt), source, wanted).mean() < 1


def test_colours_without_weight_do_not_count() -> None:
    source = smooth_colors()
    wanted = SATURATION_06.apply(source)
    spoilt, weights = wanted.copy(), np.ones(len(source))
    spoilt[::2], weights[::2] = (0, 1, 0), 0
    np.testing.assert_allclose(
        fit_color_lut(source, spoilt, weights).nodes, fit_color_lut(source[1::2], wanted[1::2]).nodes, atol=1e-6
    )


def test_a_weight_of_two_is_the_colour_given_twice() -> None:
    source = smooth_colors(rows=20)
    noisy = np.clip(source + 0.05 * np.random.default_rng(4).standard_normal(source.shape), 0, 1)
    weights = np.ones(len(source))
    weights[:1000] = 2
    twice = [np.concatenate([colors, colors[:1000]]) for colors in (source, noisy)]
    np.testing.assert_allclose(fit_color_lut(*twice).nodes, fit_color_lut(source, noisy, weights).nodes, atol=1e-3)


def test_order_and_number_of_colours_do_not_matter() -> None:
    source = smooth_colors(rows=40)
    noisy = np.clip(source**0.8 + 0.05 * np.random.default_rng(5).standard_normal(source.shape), 0, 1)
    nodes = fit_color_lut(source, noisy).nodes
    order = np.random.default_rng(6).permutation(len(source))
    np.testing.assert_allclose(fit_color_lut(source[order], noisy[order]).nodes, nodes, atol=1e-3)
    np.testing.assert_allclose(fit_color_lut(np.tile(source, (3, 1)), np.tile(noisy, (3, 1))).nodes, nodes, atol=1e-3)
    np.testing.assert_allclose(fit_color_lut(source, noisy, np.full(len(source), 1e-6)).nodes, nodes, atol=1e-3)


# ---------------------------------------------------------------- fit: little to go by


def test_rare_colours_count_beside_a_sky() -> None:
    """95 % of the colours are one sky blue, whose noise must not hide how the other 5 % change."""
    change = CHANGES["all"][0]
    few = smooth_colors(0.1, 0.9)[::20]
    source = np.concatenate([np.tile(np.float32([0.45, 0.6, 0.8]), (19 * len(few), 1)), few])
    noisy = change.apply(source) + 0.02 * np.random.default_rng(7).standard_normal(source.shape)
    lut = fit_color_lut(source, np.clip(noisy, 0, 1))
    assert levels(lut, source[:1], change.apply(source[:1])).max() < 1
    assert levels(lut, few, change.apply(few)).mean() < 0.02 * 255 / 3


def test_grey_colours_say_nothing_about_colourfulness() -> None:
    """Grey g becomes 0.7 g + (0.2, 0.1, 0).

    Any colour moves like the grey of its own mean, and keeps its distance from it.
    """
    grey = np.linspace(0, 1, 500)[:, None].repeat(3, axis=1)
    offset = np.array([0.2, 0.1, 0.0])
    lut = fit_color_lut(grey, 0.7 * grey + offset)
    assert levels(lut, grey, 0.7 * grey + offset).max() < 0.1
    colors = smooth_colors(0.3, 0.7)
    np.testing.assert_allclose(apply_to(lut, colors), colors - 0.3 * colors.mean(1, keepdims=True) + offset, atol=0.005)


def test_noise_on_grey_colours_is_not_taken_for_colour() -> None:
    generator = np.random.default_rng(8)
    grey = np.linspace(0.1, 0.9, 5000)[:, None] + 0.003 * generator.standard_normal((5000, 3))
    lut = fit_color_lut(grey, np.clip(0.8 * grey + 0.1 + 0.03 * generator.standard_normal(grey.shape), 0, 1))
    colors = smooth_colors(0.2, 0.8)
    wanted = colors + 0.1 - 0.2 * colors.mean(1, keepdims=True)
    assert levels(lut, colors, wanted).mean() < 4
    assert steps_along_own_axis(lut).min() > 0.5


@pytest.mark.parametrize("count", [4, 3000])
def test_one_colour_moves_all_by_as_much(count: int) -> None:
    source, target = np.float32([0.5, 0.4, 0.3]), np.float32([0.45, 0.42, 0.4])
    lut = fit_color_lut(np.tile(source, (count, 1)), np.tile(target, (count, 1)))
    np.testing.assert_allclose(
        lut.nodes - identity_lut().nodes, np.broadcast_to(target - source, (17, 17, 17, 3)), atol=1e-4
    )


def test_a_noisy_wall_moves_all_alike() -> None:
    """Colours that differ by 1 % tell no slope: the table must not turn their noise into one."""
    generator = np.random.default_rng(9)
    source = 0.5 + 0.005 * generator.standard_normal((5000, 3))
    lut = fit_color_lut(source, source + 0.1 + 0.03 * generator.standard_normal(source.shape))
    np.testing.assert_allclose(lut.nodes - identity_lut().nodes, 0.1, atol=0.1)
    slopes = steps_along_own_axis(lut)
    assert slopes.min() > 0.6 and slopes.max() < 1.4


@pytest.mark.parametrize("noise", [0.0, 0.03])
@pytest.mark.parametrize("name", CHANGES)
def test_beyond_the_colours_it_goes_on_straight(name: str, noise: float) -> None:
    """The colours are mid tones, 30 % of the range; black and white are extrapolated in order."""
    change = CHANGES[name][0]
    source = smooth_colors(0.35, 0.65)
    target = change.apply(source) + noise * np.random.default_rng(10).standard_normal(source.shape)
    lut = fit_color_lut(source, np.clip(target, 0, 1))
    slopes = steps_along_own_axis(lut)
    assert slopes.min() > 0.5 and slopes.max() < 1.6
    assert lut.nodes.min() > -0.5 and lut.nodes.max() < 1.6
    assert levels(lut, smooth_colors(), change.apply(smooth_colors())).mean() < 4


def test_targets_all_white_or_all_black_end_there() -> None:
    source = smooth_colors(0.2, 0.8)
    for end in (0.0, 1.0):
        lut = fit_color_lut(source, np.full_like(source, end))
        assert np.isfinite(lut.nodes).all() and np.abs(lut.nodes).max() < 5
        assert levels(lut, source, np.full_like(source, end)).max() < 5


COLORS = smooth_colors(rows=1)


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (lambda: fit_color_lut(COLORS[:3], COLORS[:3]), "4 pairs"),
        (lambda: fit_color_lut(COLORS, COLORS[:-1]), "200 and 199"),
        (lambda: fit_color_lut(COLORS[:, :2], COLORS), r"source colours are \(n, 3\)"),
        (lambda: fit_color_lut(COLORS, COLORS[None]), r"target colours are \(n, 3\)"),
        (lambda: fit_color_lut(np.where(COLORS > 0.5, np.nan, COLORS), COLORS), r"source .* \[0, 1\]"),
        (lambda: fit_color_lut(COLORS, np.where(COLORS > 0.5, np.inf, COLORS)), r"target .* \[0, 1\]"),
        (lambda: fit_color_lut(COLORS * 255, COLORS), r"\[0, 1\], got"),
        (lambda: fit_color_lut(COLORS, COLORS, np.ones(3)), "200 weights"),
        (lambda: fit_color_lut(COLORS, COLORS, np.zeros(200)), "not all 0"),
        (lambda: fit_color_lut(COLORS, COLORS, -np.ones(200)), "at least 0"),
        (lambda: fit_color_lut(COLORS, COLORS, np.full(200, np.nan)), "finite"),
        (lambda: fit_color_lut(COLORS, COLORS, size=1), "2 nodes"),
        (lambda: fit_color_lut(COLORS, COLORS, smoothness=0), "positive"),
        (lambda: fit_color_lut(COLORS, COLORS, smoothness=float("nan")), "positive"),
    ],
)
def test_what_cannot_be_fitted_is_refused(fit: Callable[[], ColorLut], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit()


# ---------------------------------------------------------------- the table and its application to
# photos


@pytest.mark.parametrize("size", [2, 17, 20, 33])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_identity_leaves_every_value_as_it_is(size: int, dtype: type) -> None:
    """All 65536 levels of 16 bits stay as they are in all channels, bit for bit."""
    ramp = np.arange(65536)
    photo = np.stack([ramp, ramp[::-1], np.roll(ramp, 777)], axis=1).reshape(256, 256, 3)
    photo = (photo / 65535).astype(dtype) if dtype is np.float32 else (photo % (np.iinfo(dtype).max + 1)).astype(dtype)
    np.testing.assert_array_equal(identity_lut(size).apply(photo), photo)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nodes_are_met_exactly(dtype: type) -> None:
    """With six nodes, steps of 1/5, every node is a level of 8 and of 16 bits."""
    lut, highest = random_lut(6), 1 if dtype is np.float32 else np.iinfo(dtype).max
    photo = (identity_lut(6).nodes.reshape(12, 18, 3) * highest).astype(dtype)
    wanted = lut.nodes.reshape(12, 18, 3) * highest
    rounding = 1e-6 if dtype is np.float32 else 0.51
    np.testing.assert_allclose(lut.apply(photo), wanted, atol=rounding, rtol=0)


def test_between_nodes_it_is_trilinear() -> None:
    nodes = np.zeros((2, 2, 2, 3), dtype=np.float32)
    nodes[1, 0, 1] = (1.0, 0.5, 0.25)  # magenta corner: red 1, green 0, blue 1
    changed = ColorLut(nodes).apply(np.array([[[0.5, 0.25, 0.75]]], dtype=np.float32))
    np.testing.assert_allclose(changed[0, 0], 0.5 * 0.75 * 0.75 * nodes[1, 0, 1], atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_as_scipy_interpolates(dtype: type) -> None:
    lut, photo = random_lut(9), random_photo(31, 27, dtype)
    highest = 1 if dtype is np.float32 else np.iinfo(dtype).max
    places = np.moveaxis(photo.astype(np.float64) / highest * 8, 2, 0)
    wanted = [highest * ndimage.map_coordinates(lut.nodes[..., channel], places, order=1) for channel in range(3)]
    difference = np.abs(lut.apply(photo) - np.stack(wanted, axis=-1))
    assert difference.max() < (1e-6 if dtype is np.float32 else 0.51)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (13, 1), (37, 53)])
def test_shape_and_dtype_stay_and_the_photo_is_not_touched(height: int, width: int, dtype: type) -> None:
    photo = random_photo(height, width, dtype)
    before = photo.copy()
    photo.flags.writeable = False
    changed = random_lut(5).apply(photo)
    assert changed.shape == photo.shape and changed.dtype == dtype
    np.testing.assert_array_equal(photo, before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_photos_need_not_be_contiguous(dtype: type) -> None:
    photo, lut = random_photo(20, 30, dtype), random_lut(5)
    for view in (photo[::-1, ::2], photo.transpose(1, 0, 2), photo[..., ::-1], np.asfortranarray(photo)):
        np.testing.assert_array_equal(lut.apply(view), lut.apply(np.ascontiguousarray(view)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_strips_equal_the_whole(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, lut = random_photo(41, 23, dtype), random_lut(17)
    whole = lut.apply(photo)
    for pixels in (1, 23 * 7, 23 * 40):
        monkeypatch.setattr(color_lut, "_STRIP_PIXELS", pixels)
        np.testing.assert_array_equal(lut.apply(photo), whole)


def test_no_strip_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, change = [], color_lut._changed
    monkeypatch.setattr(color_lut, "_changed", lambda strip, table: seen.append(strip.shape) or change(strip, table))
    identity_lut(2).apply(np.zeros((1500, 1000, 3), np.uint8))
    assert sum(rows for rows, _, _ in seen) == 1500
    assert max(rows * columns for rows, columns, _ in seen) <= 2**18


def test_results_are_clipped_and_16_bits_stay_16_bits() -> None:
    brighter = ColorLut(identity_lut(5).nodes * 2 - np.float32(0.5))
    ramp = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64, 1).repeat(3, axis=2)
    np.testing.assert_allclose(brighter.apply(ramp), np.clip(2 * ramp.astype(float) - 32767.5, 0, 65535), atol=0.51)
    beyond = brighter.apply(np.array([[[-1.0, 0.5, 2.0]]], dtype=np.float32))
    np.testing.assert_allclose(beyond, [[[0, 0.5, 1]]], atol=1e-6)


@pytest.mark.parametrize(
    "photo",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float64),
        np.zeros((4, 4, 3), np.int16),
    ],
    ids=lambda photo: f"{photo.shape} {photo.dtype}",
)
def test_other_photos_are_refused(photo: NDArray) -> None:
    with pytest.raises(ValueError, match="uint8, uint16 or float32"):
        identity_lut().apply(photo)


@pytest.mark.parametrize(
    "nodes",
    [
        np.zeros((3, 3, 3), np.float32),
        np.zeros((3, 3, 4, 3), np.float32),
        np.zeros((3, 3, 3, 4), np.float32),
        np.zeros((1, 1, 1, 3), np.float32),
        np.zeros((0, 0, 0, 3), np.float32),
        np.zeros((3, 3, 3, 3)),
        np.full((3, 3, 3, 3), np.nan, np.float32),
    ],
    ids=lambda nodes: f"{nodes.shape} {nodes.dtype}",
)
def test_other_nodes_are_refused(nodes: NDArray) -> None:
    with pytest.raises(ValueError, match="nodes"):
        ColorLut(nodes)


# ---------------------------------------------------------------- averages


def test_the_average_of_two_lies_between_them() -> None:
    first, second = random_lut(3, seed=1), random_lut(3, seed=2)
    np.testing.assert_allclose(average_luts([first, second], [1, 1]).nodes, (first.nodes + second.nodes) / 2, atol=1e-6)
    np.testing.assert_allclose(
        average_luts([first, second], [3, 1]).nodes, 0.75 * first.nodes + 0.25 * second.nodes, atol=1e-6
    )
    np.testing.assert_array_equal(average_luts([first, second], [0, 5]).nodes, second.nodes)
    np.testing.assert_array_equal(average_luts([first], [0.1]).nodes, first.nodes)


@pytest.mark.parametrize(
    ("sizes", "weights", "message"),
    [
        ((3, 4), (1, 1), r"one size, got sizes \[3, 4\]"),
        ((), (), "one size"),
        ((3, 3), (1,), "2 weights"),
        ((3, 3), (0, 0), "not all 0"),
        ((3, 3), (2, -1), "at least 0"),
        ((3, 3), (1, float("inf")), "finite"),
    ],
)
def test_what_cannot_be_averaged_is_refused(sizes: tuple[int, ...], weights: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        average_luts([identity_lut(size) for size in sizes], weights)


# ---------------------------------------------------------------- .cube files


def test_red_changes_fastest_in_a_cube_file() -> None:
    lines = identity_lut(2).to_cube('A "walk"\nat night').splitlines()
    assert lines[:2] == ["TITLE \"A 'walk' at night\"", "LUT_3D_SIZE 2"]
    assert lines[2:] == [
        f"{red}.000000000 {green}.000000000 {blue}.000000000" for blue in (0, 1) for green in (0, 1) for red in (0, 1)
    ]


def test_pillow_reads_the_lines_as_we_mean_them() -> None:
    """Pillow's own table has the order of a .cube file and is trilinear."""
    lut = fit_color_lut(smooth_colors(), CHANGES["all"][0].apply(smooth_colors()))
    rows = [tuple(map(float, line.split())) for line in lut.to_cube("").splitlines()[2:]]
    photo = random_photo(40, 50, np.uint8)
    theirs = np.asarray(Image.fromarray(photo).filter(ImageFilter.Color3DLUT(17, rows)))
    assert np.abs(theirs.astype(int) - lut.apply(photo)).max() <= 1


def test_a_table_comes_back_from_its_file(tmp_path: Path) -> None:
    lut = ColorLut(random_lut(9).nodes * 2 - np.float32(0.5))
    path = tmp_path / "look.cube"
    path.write_text(lut.to_cube("Überblendung"), encoding="utf-8")
    np.testing.assert_allclose(read_cube(path).nodes, lut.nodes, atol=1e-9)
