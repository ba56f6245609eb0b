"""Patterns, packing, unifying to RGGB and augmentation."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cycleisp.utils.raw import bayer

quick = settings(max_examples=25, deadline=None, derandomize=True)
EIGHT_CASES = list(itertools.product((False, True), repeat=3))


def numbered_rgb(height: int, width: int) -> Tensor:
    """Returns (3, H, W) with a value of its own everywhere: 10000 colour + 100 row + column."""
    colors, rows, columns = torch.arange(3), torch.arange(height), torch.arange(width)
    return (10000 * colors.view(3, 1, 1) + 100 * rows.view(1, -1, 1) + columns.view(1, 1, -1)).double()


def color_letters(mosaic: Tensor, pattern: str) -> Tensor:
    """Returns a mosaic (H, W) whose values are the indices of the filters in "RGB".

    It has the size of `mosaic`, which may be any.
    """
    height, width = mosaic.shape[-2:]
    tile = torch.tensor(["RGB".index(letter) for letter in pattern]).view(2, 2)
    return tile.repeat(height // 2 + 1, width // 2 + 1)[:height, :width]


def reads_rggb(letters: Tensor) -> bool:
    """Returns whether a mosaic of colour indices is RGGB and has even sides."""
    height, width = letters.shape
    return height % 2 == width % 2 == 0 and torch.equal(letters, color_letters(letters, "RGGB"))


# ---------------------------------------------------------------- hand values


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("RGGB", [[1, 6], [7, 12]]),
        ("BGGR", [[9, 6], [7, 4]]),
        ("GRBG", [[5, 2], [11, 8]]),
        ("GBRG", [[5, 10], [3, 8]]),
    ],
)
def test_one_tile_has_one_known_mosaic(pattern: str, expected: list[list[int]]) -> None:
    red, green, blue = [[1, 2], [3, 4]], [[5, 6], [7, 8]], [[9, 10], [11, 12]]
    assert bayer.mosaic(torch.tensor([red, green, blue]), pattern).tolist() == [expected]


def test_packed_planes_are_red_first_green_second_green_blue() -> None:
    mosaic = torch.tensor([[[1, 2, 10, 20], [3, 4, 30, 40]]])
    assert bayer.pack(mosaic).tolist() == [[[1, 10]], [[2, 20]], [[3, 30]], [[4, 40]]]


def test_packing_a_mosaic_keeps_each_colour_in_its_plane() -> None:
    rgb = numbered_rgb(6, 8)
    packed = bayer.pack(bayer.mosaic(rgb, "RGGB"))
    assert (packed // 10000)[:, 0, 0].tolist() == [0, 1, 1, 2]
    torch.testing.assert_close(packed[0], rgb[0, 0::2, 0::2])  # R
    torch.testing.assert_close(packed[1], rgb[1, 0::2, 1::2])  # G_r, beside red
    torch.testing.assert_close(packed[2], rgb[1, 1::2, 0::2])  # G_b, beside blue
    torch.testing.assert_close(packed[3], rgb[2, 1::2, 1::2])  # B


# ---------------------------------------------------------------- round trips


@quick
@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6))
def test_unpack_undoes_pack_and_pack_undoes_unpack(batch: int, rows: int, columns: int) -> None:
    mosaic = torch.arange(batch * 4 * rows * columns).view(batch, 1, 2 * rows, 2 * columns)
    packed = bayer.pack(mosaic)
    assert packed.shape == (batch, 4, rows, columns)
    assert torch.equal(bayer.unpack(packed), mosaic)
    assert torch.equal(bayer.pack(bayer.unpack(packed)), packed)


def test_leading_dimensions_and_type_stay() -> None:
    rgb = numbered_rgb(4, 6).float().expand(2, 5, 3, 4, 6)
    mosaic = bayer.mosaic(rgb, "GRBG")
    assert mosaic.shape == (2, 5, 1, 4, 6) and mosaic.dtype == torch.float32
    assert bayer.pack(mosaic[0]).shape == (5, 4, 2, 3)
    assert torch.equal(mosaic[1, 3], bayer.mosaic(rgb[0, 0], "GRBG"))


def test_gradient_reaches_only_the_sampled_colour() -> None:
    rgb = numbered_rgb(2, 2).requires_grad_()
    bayer.mosaic(rgb, "RGGB").sum().backward()
    assert rgb.grad is not None
    assert rgb.grad.tolist() == [[[1, 0], [0, 0]], [[0, 1], [1, 0]], [[0, 0], [0, 1]]]


@pytest.mark.parametrize(
    ("rows", "columns", "rolled"), [(0, 1, "GRBG"), (1, 0, "GBRG"), (1, 1, "BGGR"), (2, 0, "RGGB"), (0, 2, "RGGB")]
)
def test_a_one_pixel_roll_is_a_change_of_pattern(rows: int, columns: int, rolled: str) -> None:
    rgb = numbered_rgb(6, 8)
    shift = {"shifts": (rows, columns), "dims": (-2, -1)}
    moved = torch.roll(bayer.mosaic(rgb, "RGGB"), **shift)
    assert torch.equal(moved, bayer.mosaic(torch.roll(rgb, **shift), rolled))


# ---------------------------------------------------------------- unifying to RGGB


@pytest.mark.parametrize("pattern", bayer.PATTERNS)
def test_flipping_gives_rggb_loses_nothing_and_undoes_itself(pattern: str) -> None:
    rgb = numbered_rgb(4, 6)
    mosaic = bayer.mosaic(rgb, pattern)
    flipped = bayer.flip_to_rggb(mosaic, pattern)
    assert reads_rggb((flipped[0] // 10000).long())
    assert torch.equal(flipped.flatten().sort().values, mosaic.flatten().sort().values)
    assert torch.equal(bayer.flip_to_rggb(flipped, pattern), mosaic)


@pytest.mark.parametrize(
    ("pattern", "dims"), [("RGGB", []), ("GRBG", [-1]), ("GBRG", [-2]), ("BGGR", [-2, -1])], ids=str
)
def test_flipping_goes_the_documented_way(pattern: str, dims: list[int]) -> None:
    mosaic = torch.arange(24).view(1, 4, 6)
    assert torch.equal(bayer.flip_to_rggb(mosaic, pattern), mosaic.flip(dims))


@pytest.mark.parametrize("pattern", bayer.PATTERNS)
@pytest.mark.parametrize("size", [(3, 3), (4, 4), (4, 5), (5, 4), (7, 10)], ids=str)
def test_window_is_the_largest_rggb_mosaic(pattern: str, size: tuple[int, int]) -> None:
    height, width = size
    letters = color_letters(torch.zeros(height, width), pattern)
    rows, columns = bayer.rggb_window(height, width, pattern)
    window = letters[rows, columns]
    assert reads_rggb(window)
    spans = [
        [slice(start, stop) for start in range(side) for stop in range(start + 2, side + 1)] for side in (height, width)
    ]
    largest = max(letters[span].numel() for span in itertools.product(*spans) if reads_rggb(letters[span]))
    assert window.numel() == largest


def test_window_of_a_mosaic_without_a_whole_tile_is_refused() -> None:
    assert bayer.rggb_window(2, 2, "RGGB") == (slice(0, 2), slice(0, 2))
    for height, width, pattern in ((1, 8, "RGGB"), (2, 8, "GBRG"), (8, 2, "GRBG"), (2, 2, "BGGR")):
        with pytest.raises(ValueError, match=f"{height}x{width}.*{pattern}"):
            bayer.rggb_window(height, width, pattern)


# ---------------------------------------------------------------- padding to RGGB


@pytest.mark.parametrize("pattern", bayer.PATTERNS)
@pytest.mark.parametrize("size", [(2, 2), (3, 2), (2, 5), (3, 3), (8, 8), (9, 14), (16, 13)], ids=str)
@pytest.mark.parametrize("multiple", [2, 4, 16])
def test_padding_gives_rggb_of_whole_multiples_and_loses_nothing(
    pattern: str, size: tuple[int, int], multiple: int
) -> None:
    height, width = size
    letters = color_letters(torch.zeros(height, width), pattern)
    padded, (rows, columns) = bayer.pad_to_rggb(letters, pattern, multiple)
    assert reads_rggb(padded)  # padding by more than the mosaic's own size included
    mosaic = torch.arange(height * width).view(1, 1, height, width)
    padded, (rows, columns) = bayer.pad_to_rggb(mosaic, pattern, multiple)
    assert padded.shape[:2] == (1, 1) and not any(side % multiple for side in padded.shape[2:])
    assert torch.equal(padded[..., rows, columns], mosaic)
    for side, before in zip(padded.shape[2:], size, strict=True):
        assert side <= before + 1 + multiple  # no more than needed


@pytest.mark.parametrize("pattern", bayer.PATTERNS)
def test_an_rggb_mosaic_of_whole_multiples_is_not_padded(pattern: str) -> None:
    mosaic = torch.arange(64.0).view(1, 8, 8)
    padded, window = bayer.pad_to_rggb(mosaic, pattern, 4)
    assert torch.equal(padded, mosaic) == (pattern == "RGGB")
    top, left = divmod(["RGGB", "GRBG", "GBRG", "BGGR"].index(pattern), 2)
    assert window == (slice(top, top + 8), slice(left, left + 8))


def test_the_padding_by_hand() -> None:
    """GRBG begins beside red.

    The column before it is the mirror of the second one; up to four columns are added behind.
    """
    mosaic = torch.tensor([[1, 2, 3], [4, 5, 6]])  # G R G / B G B
    padded, window = bayer.pad_to_rggb(mosaic, "GRBG", 2)
    assert padded.tolist() == [[2, 1, 2, 3], [5, 4, 5, 6]]  # R G R G / G B G B
    assert window == (slice(0, 2), slice(1, 4))


@pytest.mark.parametrize("pattern", bayer.PATTERNS)
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (7, 1)], ids=str)
def test_a_side_of_one_pixel_is_padded_with_itself(pattern: str, size: tuple[int, int]) -> None:
    """It has no neighbour of another colour to mirror, but the window still finds the mosaic."""
    mosaic = 1 + torch.rand(4, *size, generator=torch.Generator().manual_seed(0))
    padded, (rows, columns) = bayer.pad_to_rggb(mosaic, pattern, 4)
    assert not padded.shape[1] % 4 and not padded.shape[2] % 4 and padded.min() >= 1
    assert torch.equal(padded[:, rows, columns], mosaic)


@quick
@given(st.integers(2, 9), st.integers(2, 9), st.sampled_from(bayer.PATTERNS), st.sampled_from((2, 4, 6, 32)))
def test_padding_and_window_agree_at_any_size(height: int, width: int, pattern: str, multiple: int) -> None:
    """Photosites come back from packed RAW, where the denoiser works, as well."""
    mosaic = torch.arange(height * width).view(1, height, width)
    padded, (rows, columns) = bayer.pad_to_rggb(mosaic, pattern, multiple)
    packed = bayer.pack(padded)
    assert torch.equal(bayer.unpack(packed)[:, rows, columns], mosaic)


# ---------------------------------------------------------------- augmentation


@pytest.mark.parametrize(("flip_rows", "flip_columns", "transpose"), EIGHT_CASES)
def test_augmented_mosaic_is_rggb_and_aligned_with_its_image(
    flip_rows: bool, flip_columns: bool, transpose: bool
) -> None:
    rgb = numbered_rgb(8, 12)
    mosaic, image = bayer.augment(bayer.mosaic(rgb, "RGGB"), rgb, flip_rows, flip_columns, transpose)
    assert mosaic.shape == ((1, 10, 6) if transpose else (1, 6, 10))
    assert image.shape == (3, *mosaic.shape[1:])
    assert reads_rggb((mosaic[0] // 10000).long())  # the value names its colour
    assert torch.equal(mosaic, bayer.mosaic(image, "RGGB"))  # and the place it comes from


@pytest.mark.parametrize(("flip_rows", "flip_columns", "transpose"), EIGHT_CASES)
def test_augmentation_mirrors_and_transposes_as_asked(flip_rows: bool, flip_columns: bool, transpose: bool) -> None:
    rgb = numbered_rgb(8, 12)
    _, image = bayer.augment(bayer.mosaic(rgb, "RGGB"), rgb, flip_rows, flip_columns, transpose)
    upright = image[0].T if transpose else image[0]
    assert upright.diff(dim=0).unique().tolist() == [-100 if flip_rows else 100]  # one row further, or back
    assert upright.diff(dim=1).unique().tolist() == [-1 if flip_columns else 1]
    # one pixel is cut from either end of a flipped side, two from the far end of another
    assert upright[0, 0] == 100 * (6 if flip_rows else 0) + (10 if flip_columns else 0)


def test_augmentation_has_eight_different_results() -> None:
    rgb = numbered_rgb(8, 8)
    results = {tuple(bayer.augment(rgb[:1], rgb, *case)[1].flatten().tolist()) for case in EIGHT_CASES}
    assert len(results) == 8


@quick
@given(st.integers(2, 5), st.integers(2, 5), st.sampled_from(EIGHT_CASES))
def test_augmentation_keeps_rggb_at_any_even_size(rows: int, columns: int, case: tuple[bool, bool, bool]) -> None:
    rgb = numbered_rgb(2 * rows, 2 * columns)
    mosaic, image = bayer.augment(bayer.mosaic(rgb, "RGGB"), rgb, *case)
    assert torch.equal(mosaic, bayer.mosaic(image, "RGGB"))


# ---------------------------------------------------------------- errors


def test_an_unknown_pattern_is_refused_everywhere() -> None:
    rgb = numbered_rgb(4, 4)
    for bad in ("RGBG", "rggb", "", "RGGBRGGB"):
        for refuse in (
            lambda pattern: bayer.check_pattern(pattern),
            lambda pattern: bayer.mosaic(rgb, pattern),
            lambda pattern: bayer.flip_to_rggb(rgb[:1], pattern),
            lambda pattern: bayer.rggb_window(4, 4, pattern),
            lambda pattern: bayer.pad_to_rggb(rgb[:1], pattern, 2),
        ):
            with pytest.raises(ValueError, match=r"unknown Bayer pattern.*RGGB, BGGR, GRBG, GBRG"):
                refuse(bad)


@pytest.mark.parametrize("size", [(3, 4), (4, 3), (5, 5)])
def test_odd_sides_are_refused_with_their_size(size: tuple[int, int]) -> None:
    rgb = torch.zeros(3, *size)
    for refuse in (
        lambda: bayer.mosaic(rgb, "RGGB"),
        lambda: bayer.pack(rgb[:1]),
        lambda: bayer.flip_to_rggb(rgb[:1], "BGGR"),
        lambda: bayer.augment(rgb[:1], rgb, False, False, False),
    ):
        with pytest.raises(ValueError, match=f"even sides, got {size[0]}x{size[1]}"):
            refuse()


def test_a_mosaic_is_made_of_three_colours() -> None:
    with pytest.raises(ValueError, match="camera colours"):
        bayer.mosaic(torch.zeros(4, 4, 4), "RGGB")
