"""What is kept for validation: whole scenes, the same ones everywhere, and never all there is."""

import itertools
import logging
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from cycleisp.dataloaders.photo_store import PhotoStore
from cycleisp.dataloaders.training.holdout import count_of, hold_out, scenes_of, split_names, split_photos
from cycleisp.utils.errors import UserError
from tests.support.pictures import write_png

NAMES = [f"{scene}/{number}" for scene in ("street", "forest", "night") for number in range(4)]


def test_patterns_hold_out_all_that_fits_them() -> None:
    training, held_out = split_names(NAMES, ["street/*", "*/3"])
    assert held_out == ["street/0", "street/1", "street/2", "street/3", "forest/3", "night/3"]
    assert sorted(training + held_out) == sorted(NAMES)


def test_a_count_comes_on_top_of_the_patterns() -> None:
    training, held_out = split_names(NAMES, ["street/*"], holdout_count=3)
    assert len(held_out) == 7
    assert set(held_out) >= {"street/0", "street/1", "street/2", "street/3"}
    assert not set(training) & set(held_out)


def test_the_choice_depends_on_the_names_alone() -> None:
    _, held_out = split_names(NAMES, [], holdout_count=4)
    _, backwards = split_names(NAMES[::-1], [], holdout_count=4)
    assert backwards == held_out[::-1]
    assert set(held_out) == {
        "forest/0",
        "forest/3",
        "street/2",
        "street/3",
    }  # and stays so in every process and release


def test_a_larger_count_keeps_the_former_choice() -> None:
    choices = [set(split_names(NAMES, [], count)[1]) for count in range(len(NAMES))]
    for fewer, more in itertools.pairwise(choices):
        assert fewer < more


def test_nothing_is_held_out_unless_asked_for() -> None:
    assert split_names(NAMES, []) == (NAMES, [])


def test_a_pattern_that_fits_nothing_is_named() -> None:
    with pytest.raises(UserError, match=r"holdout pattern 'desert/\*' fits none of 12 RAW pairs"):
        split_names(NAMES, ["street/*", "desert/*"])


def test_names_that_hold_out_everything_are_refused() -> None:
    with pytest.raises(UserError, match="nothing is left to train on"):
        split_names(NAMES, ["*"])


@pytest.mark.parametrize(("patterns", "count", "held"), [([], 12, 1), ([], 99, 1), (["street/*"], 8, 5)])
def test_a_count_for_larger_collections_becomes_a_share(
    patterns: list[str], count: int, held: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(split_names(NAMES, patterns, count)[1]) == held
    assert f"data.holdout_count is {count}, there are only" in caplog.text


# ---------------------------------------------------------------- a share, in whole scenes


@pytest.mark.parametrize(
    ("number", "share", "count"), [(100, 0.1, 10), (3, 0.1, 1), (1, 0.1, 1), (26, 0.1, 3), (9, 0.0, 0), (4, 1.0, 4)]
)
def test_a_share_of_some_files_is_at_least_one(number: int, share: float, count: int) -> None:
    assert count_of(share, number) == count


def test_a_share_holds_where_neither_names_nor_a_count_are_given() -> None:
    assert len(split_names(NAMES, [], 0, 0.25)[1]) == 3
    assert split_names(NAMES, ["night/*"], 0, 0.25)[1] == ["night/0", "night/1", "night/2", "night/3"]
    assert len(split_names(NAMES, [], 1, 0.25)[1]) == 1


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_few_files_are_enough_and_a_warning_says_what_that_is_worth(
    number: int, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"DSC0{index}" for index in range(number)]
    training, held = split_names(names, [], 0, 0.1)
    assert len(held) == 1
    assert training == (names if number == 1 else [name for name in names if name not in held])
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and "proves" in record.message


def test_bursts_stay_together() -> None:
    start = datetime(2024, 5, 6, 7, 8, 9)
    taken = {f"burst{index}": start + timedelta(seconds=5 * index) for index in range(4)}
    taken |= {f"other{index}": start + timedelta(hours=1 + index) for index in range(8)}
    names = [*sorted(taken), "undated"]
    scenes = scenes_of(names, taken, "time", gap=10)
    assert len({scenes[name] for name in names if name.startswith("burst")}) == 1
    assert len(set(scenes.values())) == 10
    assert len(set(scenes_of(names, taken, "time", gap=4).values())) == 13
    assert len(set(scenes_of(names, taken, "file").values())) == 13
    for count in range(1, 12):
        held = hold_out(scenes, count, "files")
        assert len([name for name in held if name.startswith("burst")]) in (0, 4)
        assert 0 < len(held) < len(names)


def test_folders_can_be_scenes() -> None:
    scenes = scenes_of(NAMES, {}, "folder")
    assert set(scenes.values()) == {"street", "forest", "night"}
    held = hold_out(scenes, 4, "files")
    assert len(held) == 4 and len({scenes[name] for name in held}) == 1


def test_a_scene_of_most_files_is_not_held_out() -> None:
    scenes = {f"walk{index}": "walk" for index in range(40)} | {"lake": "lake", "hill": "hill"}
    assert set(hold_out(scenes, 4, "files")) <= {"lake", "hill"}


def test_one_long_scene_is_split_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    held = hold_out({f"walk{index}": "walk" for index in range(40)}, 4, "files")
    assert len(held) == 4
    assert "one scene" in caplog.text


def test_a_photo_is_trained_on_or_validated_on(tmp_path: Path) -> None:
    for index in range(20):
        write_png(tmp_path / f"{index}.png", np.zeros((8, 8, 3), np.uint8))
    training, held = split_photos(PhotoStore([tmp_path]), 0.1)
    names = [{source.name for source in store.sources} for store in (training, held)]
    assert [len(part) for part in names] == [18, 2]
    assert not names[0] & names[1]
    again = split_photos(PhotoStore([tmp_path]), 0.1)
    assert [{source.name for source in store.sources} for store in again] == names
