"""generate_data.py --shards from end to end: processes, ranges and kills give the same bytes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import generate_data
from cycleisp.dataloaders.pairs.shards import planning
from cycleisp.dataloaders.pairs.shards.folder import MAKING
from cycleisp.dataloaders.pairs.shards.reading import ShardReader, read_shard_list
from cycleisp.tasks.generation import Process, generate_pairs
from cycleisp.utils.config import GenerationRecipe
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.claim import claimed
from cycleisp.utils.processes.apart import SWITCH
from tests.support.forks import Forks
from tests.support.scripts import Outcome, call_script, error_line
from tests.support.shards import contents, write_photos

SHARDS = 3  # of seven photos, of which each takes about 1.5 KB


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(planning, "MEGABYTE", 4000)
    monkeypatch.setenv(SWITCH, "0")  # photos are read in this process, which saves starting others
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "no-repository"))  # no commit changes the version meanwhile


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_photos(tmp_path / "photos", 7)
    return tmp_path / "photos"


@pytest.fixture
def weights(tiny_weights: Path) -> Path:
    return tiny_weights


def options(photos: Path, output: Path, weights: Path) -> list[object]:
    return [
        "--shards",
        "--shard-size",
        1,
        "--device",
        "cpu",
        "--weights",
        weights,
        "--input",
        photos,
        "--output",
        output,
    ]


def generate(photos: Path, output: Path, weights: Path, *more: object) -> Outcome:
    return call_script(generate_data.main, *options(photos, output, weights), *more)


def recipe(photos: Path, output: Path, weights: Path, **more: object) -> GenerationRecipe:
    places = {"input": [str(photos)], "output": str(output), "weights": str(weights)}
    return GenerationRecipe.model_validate({**places, "shards": True, "shard_size": 1, "device": "cpu", **more})


@pytest.fixture
def undisturbed(tmp_path: Path, photos: Path, weights: Path) -> dict[str, bytes]:
    """The files of a run of one process."""
    outcome = generate(photos, tmp_path / "undisturbed", weights)
    assert outcome.returncode == 0 and "7 pairs made, 0 kept from before, 0 skipped" in outcome.stdout
    return contents(tmp_path / "undisturbed")


def test_processes_in_any_order_make_the_same_bytes(
    tmp_path: Path, photos: Path, weights: Path, undisturbed: dict[str, bytes]
) -> None:
    assert len(undisturbed) == 2 * SHARDS + 1
    for rank in (1, 0):
        generate_pairs(recipe(photos, tmp_path / "two", weights, workers=1), Process(rank, 2))
    assert contents(tmp_path / "two") == undisturbed
    assert not [
        path
        for path in tmp_path.joinpath("two").rglob("*")
        if path.suffix in (".part", ".tar") and path.is_file() and path.parent.name != "two"
    ]


def test_ranges_and_array_tasks_make_the_same_bytes(
    tmp_path: Path, photos: Path, weights: Path, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "made, 0 kept" in generate(photos, tmp_path / "ranges", weights, "--shard-range", "1:").stdout
    assert len(read_shard_list(str(tmp_path / "ranges"))) == SHARDS - 1
    for name, value in {"ID": 5, "MIN": 4, "MAX": 5, "COUNT": 2}.items():  # the second task: shard 1
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    assert "0 pairs made, " in generate(photos, tmp_path / "ranges", weights).stdout
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "4")
    generate(photos, tmp_path / "ranges", weights)
    assert contents(tmp_path / "ranges") == undisturbed


def test_it_goes_on_and_names_bad_photos_in_every_run(tmp_path: Path, photos: Path, weights: Path) -> None:
    bad = photos / "3 of a.holiday.png"
    bad.write_bytes(b"no picture")
    for made, kept in ((6, 0), (0, 6)):
        outcome = generate(photos, tmp_path / "out", weights, "--preview")
        assert outcome.returncode == 1
        assert f"skipped {bad}: not a JPEG" in outcome.stdout
        assert f"{made} pairs made, {kept} kept from before, 1 skipped" in outcome.stdout
        assert (tmp_path / "out" / "preview.png").stat().st_size > 1000
    names = [
        pair["name"] for entry in read_shard_list(str(tmp_path / "out")) for _, pair in ShardReader(entry.url).pairs()
    ]
    assert names == [f"{number} of a.holiday" for number in (0, 1, 2, 4, 5, 6)]


def test_a_second_run_is_refused(tmp_path: Path, photos: Path, weights: Path) -> None:
    with claimed(tmp_path / "out"):
        assert "another run writes there" in error_line(generate(photos, tmp_path / "out", weights))
        assert (
            generate(photos, tmp_path / "out", weights, "--shard-range", ":1").returncode == 0
        )  # a part is another matter
    with claimed(tmp_path / "out" / MAKING / "0-2"):
        words = error_line(generate(photos, tmp_path / "out", weights, "--shard-range", ":2"))
        assert "another run writes there" in words and "--shard-range" in words


def test_the_two_layouts_never_share_a_folder(tmp_path: Path, photos: Path, weights: Path) -> None:
    unpacked = recipe(photos, tmp_path / "out", weights, shards=False)
    generate_pairs(unpacked)
    assert "shard_size=None" in error_line(generate(photos, tmp_path / "out", weights))
    generate(photos, tmp_path / "shards", weights)
    with pytest.raises(UserError, match=r"shard_size=1"):
        generate_pairs(recipe(photos, tmp_path / "shards", weights, shards=False))
    with pytest.raises(UserError, match=r"--shard-range 0:1 is for --shards"):
        generate_pairs(recipe(photos, tmp_path / "new", weights, shards=False, shard_range="0:1"))
    (photos / "0 of a.holiday.png").rename(photos / "renamed.png")
    assert "was begun for 7 pairs of other photos" in error_line(generate(photos, tmp_path / "shards", weights))


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as process:
        yield process


def test_kills_change_nothing(
    forks: Forks, tmp_path: Path, photos: Path, weights: Path, undisturbed: dict[str, bytes]
) -> None:
    """Each run is killed just before it writes, renames or removes a file, at other moments."""
    out = tmp_path / "out"
    out.mkdir()
    for name in ("plan.json", "settings.json"):
        shutil.copy(tmp_path / "undisturbed" / name, out / name)
    killed = 0
    for moment in (3, 9, 14, 21, 30):
        ended = forks.run("generate_data", *options(photos, out, weights), folder=out, at_write=moment, **{SWITCH: "0"})
        killed += ended.status != 0
        names = [path.name for path in out.glob("*.done.json")]
        assert all(
            (out / name.replace("done.json", kind)).is_file() for name in names for kind in ("tar", "index.json")
        )
    assert killed >= 3
    ended = forks.run("generate_data", *options(photos, out, weights), folder=out, **{SWITCH: "0"})
    assert ended.status == 0, ended.err
    assert contents(out) == undisturbed
    assert not [path for path in out.rglob("*") if path.suffix in (".part", ".tar") and path.parent != out]
