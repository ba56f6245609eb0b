"""Colour spaces and ICC profiles: sRGB stays exactly, other colours go where LittleCMS has them."""

import numpy as np
import pytest

from cycleisp.utils.color.icc import ProfileError, codes_of, colors_of, profile_of_space, space_of_profile
from cycleisp.utils.color.profiles import HdrError, profile_to_srgb
from cycleisp.utils.color.spaces import DISPLAY_P3, SRGB, color_grid, gamma, space, space_of_codes, to_srgb
from tests.support.pictures import PROFILE, random_picture
from tests.support.profiles import PROFILES, SPACES, from_srgb, grey_profile, table_profile

DEPTHS = pytest.mark.parametrize("dtype", [np.uint8, np.uint16], ids=["8 bit", "16 bit"])


@DEPTHS
def test_srgb_keeps_its_pixels(dtype: type) -> None:
    picture = random_picture(20, 30, dtype)
    assert to_srgb(picture, SRGB) is picture
    for profile in (PROFILE, profile_of_space(SRGB)):  # LittleCMS's own, with a curve, and ours, with a table
        assert profile_to_srgb(picture, profile) is picture


@pytest.mark.parametrize("name", SPACES)
def test_a_profile_that_was_written_says_what_its_space_is(name: str) -> None:
    read = space_of_profile(PROFILES[name])
    np.testing.assert_allclose(read.to_xyz, SPACES[name].to_xyz, atol=2e-5)
    levels = np.linspace(0, 1, 100)
    for curve, expected in zip(read.curves, SPACES[name].curves, strict=True):
        np.testing.assert_allclose(curve(levels), expected(levels), atol=2e-5)


@DEPTHS
@pytest.mark.parametrize("name", SPACES)
def test_a_picture_goes_to_another_space_and_back(name: str, dtype: type) -> None:
    picture = random_picture(40, 50, dtype)
    there = from_srgb(picture, SPACES[name])
    back = profile_to_srgb(there, PROFILES[name])
    assert back.dtype == dtype
    apart = np.abs(back.astype(int) - picture) / np.iinfo(dtype).max * 255
    assert apart.mean() < (1 if dtype == np.uint8 else 0.01)  # 8 bits are coarse in dark colours
    assert np.quantile(apart, 0.99) <= (5 if dtype == np.uint8 else 0.05)
    assert np.abs(there.astype(int) - picture).max() / np.iinfo(dtype).max > 8 / 255


@pytest.mark.parametrize("name", SPACES)
def test_both_depths_agree(name: str) -> None:
    """LittleCMS converts 8 bits, and our own sums 16."""
    grid = color_grid()
    shallow, deep = (
        profile_to_srgb(grid.astype(dtype) * step, PROFILES[name]) for dtype, step in ((np.uint8, 1), (np.uint16, 257))
    )
    assert np.abs(deep / 257 - shallow).max() < 1.6


def test_a_known_color_of_display_p3() -> None:
    """The red of sRGB is (234, 51, 35) in Display P3 (CSS Color 4 has 0.9175, 0.2003, 0.1386)."""
    red = np.full((2, 2, 3), (60127, 13127, 9083), np.uint16)
    assert np.abs(to_srgb(red, DISPLAY_P3)[0, 0] / 65535 - (1, 0, 0)).max() < 0.005


@DEPTHS
@pytest.mark.parametrize("power", [1.0, 1.8, 2.6])
def test_grey_goes_by_its_own_curve(dtype: type, power: float) -> None:
    ramp = np.linspace(0, np.iinfo(dtype).max, 256).round().astype(dtype)[None].repeat(2, axis=0)
    top = np.iinfo(dtype).max
    linear = (ramp / top) ** power
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    converted = profile_to_srgb(ramp, grey_profile(power))
    assert converted.shape == (2, 256, 3)
    assert np.abs(converted / top - expected[..., None]).max() < 1.5 / 255


def test_tables_convert_8_bits_and_are_refused_for_16() -> None:
    inks = np.zeros((2, 2, 4), np.uint8)
    inks[0, 1], inks[1, 0], inks[1, 1] = (0, 0, 0, 255), (255, 0, 0, 0), (0, 255, 255, 0)
    shown = profile_to_srgb(inks, table_profile("CMYK")).astype(int)
    np.testing.assert_allclose(shown.reshape(4, 3), [[255] * 3, [0] * 3, [0, 255, 255], [255, 0, 0]], atol=2)
    table = table_profile("RGB ")
    assert np.abs(profile_to_srgb(random_picture(9, 9), table).astype(int) - random_picture(9, 9)).max() > 8
    with pytest.raises(ProfileError, match="tables"):
        profile_to_srgb(random_picture(9, 9, np.uint16), table)


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (b"", "damaged"),
        (b"garbage" * 100, "damaged"),
        (PROFILES["ProPhoto"][:200], "cannot be used"),
        (grey_profile(2.2), "GRAY"),
        (table_profile("CMYK"), "CMYK"),
    ],
    ids=["empty", "garbage", "truncated", "of grey", "of inks"],
)
@DEPTHS
def test_a_profile_that_cannot_be_used_is_refused_in_words(profile: bytes, words: str, dtype: type) -> None:
    with pytest.raises(ProfileError, match=words):
        profile_to_srgb(random_picture(8, 8, dtype), profile)


def test_damaged_profiles_raise_nothing_else() -> None:
    rng = np.random.default_rng(0)
    for profile in (*PROFILES.values(), PROFILE, grey_profile(2.2)):
        for _ in range(40):
            damaged = bytearray(profile)
            for place in rng.integers(len(profile), size=3):
                damaged[place] = rng.integers(256)
            for picture in (random_picture(4, 4), random_picture(4, 4, np.uint16), random_picture(4, 4)[..., 0]):
                try:
                    assert profile_to_srgb(picture, bytes(damaged)).shape == (4, 4, 3)
                except ProfileError:
                    continue


def test_hdr_in_a_profile_is_seen() -> None:
    """Version 4.4 of ICC has a tag with the codes of H.273."""
    plain = profile_of_space(DISPLAY_P3)
    marked = plain.replace(b"cprt", b"cicp")
    place = plain.index(b"text\0\0\0\0No")
    marked = marked[:place] + b"cicp\0\0\0\0" + bytes((12, 16, 0, 1)) + marked[place + 12 :]
    assert codes_of(plain) is None and codes_of(marked) == (12, 16)
    with pytest.raises(HdrError, match="PQ"):
        profile_to_srgb(random_picture(4, 4), marked)


def test_codes_of_spaces() -> None:
    p3 = space_of_codes(12, 13)
    assert p3 is not None
    np.testing.assert_allclose(p3.to_xyz, DISPLAY_P3.to_xyz)
    for unknown in ((12, 16), (9, 18), (2, 2), (255, 13), (12, 0)):
        assert space_of_codes(*unknown) is None


@pytest.mark.parametrize(
    "primaries",
    [
        ((0.3, 0.3),) * 4,
        ((0.6, 0), (0.3, 0.6), (0.15, 0.06), (0.31, 0.33)),
        ((0.6, 0.3), (0.3, np.nan), (0.1, 0.1), (0.3, 0.3)),
    ],
    ids=["one point", "no height", "not finite"],
)
def test_impossible_primaries_are_refused(primaries: tuple) -> None:
    with pytest.raises(ValueError):
        space("none", primaries, gamma(2.2))


def test_kinds_of_profiles() -> None:
    assert [colors_of(profile) for profile in (PROFILE, grey_profile(2.2), table_profile())] == ["RGB", "GRAY", "CMYK"]
