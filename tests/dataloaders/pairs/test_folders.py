"""Pairs in folders: found whole or refused, and read as they are."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cycleisp.dataloaders.pairs.folders import PairPaths, find_pairs, read_pair
from cycleisp.dataloaders.photos import PhotoError
from cycleisp.utils.errors import UserError
from tests.support.pairs import write_pair
from tests.support.pictures import random_picture, write_png

# ---------------------------------------------------------------- finding


def test_pairs_are_found_below_noisy_and_clean_and_sorted(tmp_path: Path) -> None:
    picture = random_picture(8, 8)
    for name in ("b", "deep/er/a.1", "a"):
        write_pair(tmp_path, name, picture, picture)
    (tmp_path / "noisy" / "notes.txt").write_text("no picture")
    pairs = find_pairs(tmp_path)
    assert [pair.name for pair in pairs] == ["a", "b", "deep/er/a.1"]
    assert pairs[2] == PairPaths(
        "deep/er/a.1", tmp_path / "noisy" / "deep" / "er" / "a.1.png", tmp_path / "clean" / "deep" / "er" / "a.1.png"
    )


def test_pictures_of_one_name_but_two_suffixes_are_told_apart(tmp_path: Path) -> None:
    """Results are stored under the pair's name: two of one name would overwrite each other."""
    picture = random_picture(8, 8)
    write_pair(tmp_path, "a", picture, picture)
    for kind in ("noisy", "clean"):
        (tmp_path / kind / "a.PNG").write_bytes((tmp_path / kind / "a.png").read_bytes())
    pairs = find_pairs(tmp_path)
    assert len(pairs) == 2
    assert len({pair.name for pair in pairs}) == 2


@pytest.mark.parametrize("folders", [("noisy",), ("clean",), ("srgb/noisy",), ("srgb/clean",)])
def test_a_folder_without_both_halves_is_refused(tmp_path: Path, folders: tuple[str, ...]) -> None:
    for folder in folders:
        (tmp_path / "pairs" / folder).mkdir(parents=True)
    with pytest.raises(UserError, match="pairs: expected two folders, noisy and clean"):
        find_pairs(tmp_path / "pairs")


def test_empty_halves_are_refused_with_the_suffixes_looked_for(tmp_path: Path) -> None:
    for kind in ("noisy", "clean"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "notes.txt").write_text("no picture")
    with pytest.raises(UserError, match=r"no picture in noisy and clean; looked for .*\.jpg.*\.png"):
        find_pairs(tmp_path)


@pytest.mark.parametrize(("kind", "other"), [("noisy", "clean"), ("clean", "noisy")])
def test_a_picture_without_its_partner_is_named(tmp_path: Path, kind: str, other: str) -> None:
    picture = random_picture(8, 8)
    write_pair(tmp_path, "a", picture, picture)
    write_png(tmp_path / kind / "deep" / "b.png", picture)
    with pytest.raises(UserError) as refused:
        find_pairs(tmp_path)
    assert str(refused.value) == (
        f"{tmp_path / kind / 'deep' / 'b.png'}: has no partner of that name in {tmp_path / other}"
    )


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_pair_is_read_to_the_last_bit(tmp_path: Path, dtype: type) -> None:
    pictures = random_picture(9, 12, dtype, seed=1), random_picture(9, 12, dtype, seed=2)
    write_pair(tmp_path, "a", *pictures)
    for stored, picture in zip(read_pair(find_pairs(tmp_path)[0]), pictures, strict=True):
        assert stored.dtype == dtype
        np.testing.assert_array_equal(stored, picture)


@pytest.mark.parametrize(
    ("clean", "described"),
    [
        (random_picture(9, 13), "13x9 of 8 bits"),
        (random_picture(12, 9), "9x12 of 8 bits"),
        (random_picture(9, 12, np.uint16), "12x9 of 16 bits"),
    ],
    ids=["wider", "turned", "deeper"],
)
def test_a_pair_of_two_sizes_or_depths_is_refused(tmp_path: Path, clean: NDArray, described: str) -> None:
    write_pair(tmp_path, "a", random_picture(9, 12), clean)
    with pytest.raises(PhotoError) as refused:
        read_pair(find_pairs(tmp_path)[0])
    for words in (
        f"{tmp_path / 'noisy' / 'a.png'}: 12x9 of 8 bits",
        str(tmp_path / "clean" / "a.png"),
        described,
        "a pair has one size and depth",
    ):
        assert words in str(refused.value)


def test_a_damaged_half_is_named(tmp_path: Path) -> None:
    write_pair(tmp_path, "a", random_picture(9, 12), random_picture(9, 12))
    (tmp_path / "clean" / "a.png").write_bytes(b"no picture")
    with pytest.raises(PhotoError, match=r"clean.a\.png"):
        read_pair(find_pairs(tmp_path)[0])
