"""Which pairs a shard holds, and which shards a process makes."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cycleisp.dataloaders.pairs.naming import repeated
from cycleisp.dataloaders.pairs.shards.planning import Plan, estimated_bytes, plan_shards
from cycleisp.dataloaders.pairs.shards.selection import Part
from cycleisp.dataloaders.sources import Source
from cycleisp.utils.errors import UserError
from tests.support.pictures import random_picture, write_png
from tests.support.shards import make_one


def plan(folder: Path, sources: list[Source], sizes: dict[str, float], most: int = 10) -> Plan:
    folder.mkdir(exist_ok=True)
    return plan_shards(folder, sources, most, lambda source: sizes[source.name] * 10**6)


def named(**sizes: float) -> tuple[list[Source], dict[str, float]]:
    return [Source(Path(name), name) for name in sizes], dict(sizes)


def test_shards_are_filled_in_the_order_of_the_list(tmp_path: Path) -> None:
    found = plan(tmp_path, *named(a=4, b=5, c=2, d=30, e=1, f=9, g=1))
    assert [list(found.pairs_of(number)) for number in range(found.shards)] == [[0, 1], [2], [3], [4, 5], [6]]


def test_a_plan_is_kept_even_if_the_estimates_change(tmp_path: Path) -> None:
    sources, sizes = named(a=4, b=5, c=2)
    assert plan(tmp_path, sources, sizes) == plan(tmp_path, sources, dict.fromkeys(sizes, 9.0))


@pytest.mark.parametrize("others", [named(a=1), named(a=1, b=1, x=1), named(a=1, b=1, c=1, d=1)])
def test_other_photos_are_refused(tmp_path: Path, others: tuple[list[Source], dict[str, float]]) -> None:
    plan(tmp_path, *named(a=1, b=1, c=1))
    with pytest.raises(UserError, match=r"was begun for 3 pairs of other photos.*another --output"):
        plan(tmp_path, *others)


@pytest.mark.parametrize("content", ["", "[]", '{"pairs": 2, "starts": [1]}', '{"pairs": 2, "starts": [0, 0]}'])
def test_a_damaged_plan_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(UserError, match=r"plan.json: is damaged"):
        plan(tmp_path, *named(a=1, b=1))


def test_repeats_of_a_photo_have_pairs_of_their_own(tmp_path: Path) -> None:
    sources, sizes = named(a=4, b=4)
    assert plan(tmp_path, repeated(sources, 2), sizes).pairs == 4
    assert json.loads((tmp_path / "plan.json").read_bytes())["starts"] == [0, 2]


@pytest.mark.parametrize(("dtype", "each"), [(np.uint8, 3.6), (np.uint16, 8.2)])
def test_pairs_are_estimated_by_the_header_of_the_photo(tmp_path: Path, dtype: type, each: float) -> None:
    source = Source(write_png(tmp_path / "a.png", random_picture(20, 30, dtype)), "a")
    everything = {"with_raw": True, "with_srgb": True, "with_variance": True}
    assert estimated_bytes(source, **everything) == pytest.approx(600 * (each + 2.9 + 1.2))
    assert estimated_bytes(source, **{**everything, "with_srgb": False, "with_variance": False}) == 600 * 2.9


def test_a_file_without_a_header_is_estimated_by_its_size(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x" * 100)
    wanted = {"with_raw": True, "with_srgb": True, "with_variance": False}
    assert estimated_bytes(Source(tmp_path / "a.jpg", "a"), **wanted) == 2000
    assert estimated_bytes(Source(tmp_path / "none.jpg", "a"), **wanted) == 0


def test_estimates_are_near_the_truth(tmp_path: Path) -> None:
    """Photos of noise-free sky or of pure noise differ; a smooth picture with grain is near."""
    source = Source(write_png(tmp_path / "photos" / "a.png", random_picture(200, 300)), "a")
    made = make_one(tmp_path / "out", [source]).entry.bytes
    guess = estimated_bytes(source, with_raw=True, with_srgb=True, with_variance=True)
    assert 0.5 < made / guess < 2


# ---------------------------------------------------------------- selection


def array(number: int, first: int, last: int, count: int) -> dict[str, str]:
    values = {"ID": number, "MIN": first, "MAX": last, "COUNT": count}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}


@pytest.mark.parametrize(
    ("text", "expected"), [(None, [0, 1, 2, 3, 4]), ("1:3", [1, 2]), (":2", [0, 1]), ("3:", [3, 4]), ("2:2", [])]
)
def test_a_range_names_its_first_shard_and_the_one_behind_its_last(text: str | None, expected: list[int]) -> None:
    assert Part.chosen(text, {}).shards(5) == expected


@pytest.mark.parametrize("text", ["", "5", "a:b", "-1:3", "3:1", "1:2:3"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"--shard-range.*expected FIRST:END"):
        Part.chosen(text, {})


def test_a_range_behind_the_last_shard_is_refused() -> None:
    with pytest.raises(UserError, match=r"there are 5 shards, 0 to 4"):
        Part.chosen("7:9", {}).shards(5)


@pytest.mark.parametrize("first", [0, 1, 100])
def test_the_tasks_of_an_array_make_every_shard_once(first: int) -> None:
    parts = [Part.chosen(None, array(first + task, first, first + 3, 4)) for task in range(4)]
    assert len({part.name for part in parts}) == 4
    assert sorted(number for part in parts for number in part.shards(11)) == list(range(11))
    with_processes = [part.shards(11, rank, 2) for part in parts for rank in range(2)]
    assert sorted(itertools.chain(*with_processes)) == list(range(11))


def test_a_range_counts_more_than_an_array() -> None:
    assert Part.chosen("1:3", array(0, 0, 9, 10)).shards(5) == [1, 2]


@pytest.mark.parametrize("variables", [array(5, 5, 7, 2), array(4, 0, 8, 5), {"SLURM_ARRAY_TASK_ID": "3"}])
def test_an_array_with_gaps_is_refused(variables: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"SLURM_ARRAY_TASK_ID=.*--shard-range"):
        Part.chosen(None, variables)
