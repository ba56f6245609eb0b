"""The folder of pairs: what is listed is whole, what is whole is kept, and no two settings mix."""

import errno
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from cycleisp.dataloaders.pairs import store as pair_store
from cycleisp.dataloaders.pairs.store import PairFiles, PairStore, read_manifest, read_raw_pair
from cycleisp.dataloaders.sources import Source
from cycleisp.utils import fingerprints
from cycleisp.utils.errors import UserError
from tests.support.paths import ROOT
from tests.support.pictures import random_picture

SETTINGS = {"seed": 0, "noise": "dnd", "weights_sha256": "abc"}
FIRST, SECOND = "1" * 64, "2" * 64  # hashes of a photo before and after it changed
RECORD = {
    **SETTINGS,
    "version": "1",
    "shot_noise": 0.01,
    "read_noise": 0.0005,
    "height": 12,
    "width": 16,
    "source": "a.png",
    "source_bytes": 100,
    "source_sha256": FIRST,
}


def is_finished(store: PairStore, name: str, sha256: str = FIRST) -> bool:
    """Asks a store about a source whose content has a hash."""
    with (
        mock.patch.object(fingerprints, "stamp_of"),
        mock.patch.object(fingerprints, "file_sha256", return_value=sha256),
    ):
        return store.is_finished(Source(Path(f"{name}.png"), name))


def some_pair(dtype: type = np.uint8, seed: int = 0, raw: bool = True, srgb: bool = True) -> PairFiles:
    rng = np.random.default_rng(seed)
    clean_raw, noisy_raw = rng.integers(0, 65536, (2, 4, 6, 8)).astype(np.uint16)
    variance = rng.random((4, 6, 8)).astype(np.float32)
    clean, noisy = (random_picture(12, 16, dtype, seed + extra) for extra in (0, 1))
    return PairFiles(
        *((clean_raw, noisy_raw, variance) if raw else (None, None, None)), *((clean, noisy) if srgb else (None, None))
    )


def manifest_names(path: Path) -> list[str]:
    return [json.loads(line)["name"] for line in path.read_text().splitlines()]


def read_png(path: Path) -> NDArray:
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert stored is not None
    return stored[..., ::-1]


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_pair_is_stored_as_documented(tmp_path: Path, dtype: type) -> None:
    pair = some_pair(dtype)
    PairStore(tmp_path, SETTINGS).write("street/night.1", pair, RECORD)
    with h5py.File(tmp_path / "raw" / "street" / "night.1.h5") as file:
        for key, plane in (("clean", pair.clean_raw), ("noisy", pair.noisy_raw), ("variance", pair.variance)):
            assert plane is not None
            assert file[key].dtype == plane.dtype
            np.testing.assert_array_equal(file[key][()], plane)
        attributes = dict(file.attrs)
    expected = {key: RECORD[key] for key in ("shot_noise", "read_noise", "seed", "weights_sha256", "version")}
    assert attributes == {"pattern": "RGGB", **expected}
    for kind, image in (("clean", pair.clean_srgb), ("noisy", pair.noisy_srgb)):
        stored = read_png(tmp_path / "srgb" / kind / "street" / "night.1.png")
        assert image is not None
        assert stored.dtype == dtype
        np.testing.assert_array_equal(stored, image)


@pytest.mark.parametrize(("raw", "srgb"), [(True, False), (False, True)])
def test_only_what_is_given_is_stored(tmp_path: Path, raw: bool, srgb: bool) -> None:
    store = PairStore(tmp_path, SETTINGS)
    store.write("a", some_pair(raw=raw, srgb=srgb), RECORD)
    assert (tmp_path / "raw").exists() == raw
    assert (tmp_path / "srgb").exists() == srgb
    assert is_finished(store, "a")
    (record,) = store.merge()
    assert set(record["files"]) == ({"raw"} if raw else {"srgb_clean", "srgb_noisy"})


def test_no_variance_is_stored_where_none_is_given(tmp_path: Path) -> None:
    pair = some_pair()
    PairStore(tmp_path, SETTINGS).write("a", PairFiles(pair.clean_raw, pair.noisy_raw, None, None, None), RECORD)
    with h5py.File(tmp_path / "raw" / "a.h5") as file:
        assert set(file) == {"clean", "noisy"}


def test_the_same_pair_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        store = PairStore(tmp_path / folder, SETTINGS)
        store.write("a", some_pair(), RECORD)
        store.merge()
    for name in ("raw/a.h5", "srgb/clean/a.png", "srgb/noisy/a.png", "manifest.jsonl", "settings.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_read_raw_pair_returns_planes_and_attributes(tmp_path: Path) -> None:
    pair = some_pair()
    PairStore(tmp_path, SETTINGS).write("a", pair, RECORD)
    clean, noisy, attributes = read_raw_pair(tmp_path / "raw" / "a.h5")
    assert clean.dtype == noisy.dtype == np.uint16
    np.testing.assert_array_equal(clean, pair.clean_raw)
    np.testing.assert_array_equal(noisy, pair.noisy_raw)
    assert attributes["pattern"] == "RGGB"
    assert attributes["shot_noise"] == RECORD["shot_noise"]


# ---------------------------------------------------------------- settings


def test_a_folder_opens_again_with_the_same_settings(tmp_path: Path) -> None:
    PairStore(tmp_path / "deep" / "er", SETTINGS)
    PairStore(tmp_path / "deep" / "er", dict(reversed(SETTINGS.items())))
    assert json.loads((tmp_path / "deep" / "er" / "settings.json").read_text()) == SETTINGS


def test_other_settings_are_refused_by_the_names_of_the_keys(tmp_path: Path) -> None:
    PairStore(tmp_path, SETTINGS)
    before = (tmp_path / "settings.json").read_bytes()
    with pytest.raises(UserError) as refused:
        PairStore(tmp_path, {**SETTINGS, "seed": 1, "noise": "sidd"})
    assert "noise=dnd, seed=0;" in str(refused.value)
    assert "weights" not in str(refused.value)
    assert "another --output" in str(refused.value)
    assert (tmp_path / "settings.json").read_bytes() == before


def test_settings_with_a_key_more_or_less_are_refused(tmp_path: Path) -> None:
    PairStore(tmp_path, SETTINGS)
    with pytest.raises(UserError, match="blur"):
        PairStore(tmp_path, {**SETTINGS, "blur": 1.0})
    with pytest.raises(UserError, match="noise"):
        PairStore(tmp_path, {key: value for key, value in SETTINGS.items() if key != "noise"})


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '"text"', "[" * 100_000, "\0" * 50])
def test_a_settings_file_that_is_none_of_ours_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "settings.json").write_text(content)
    with pytest.raises(UserError, match=r"settings\.json"):
        PairStore(tmp_path, SETTINGS)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here already")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match="file"):
            PairStore(folder, SETTINGS)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(UserError, match="locked"):
        PairStore(tmp_path / "locked" / "pairs", SETTINGS)


# ---------------------------------------------------------------- what is finished


def test_a_pair_is_finished_when_its_line_is_there(tmp_path: Path) -> None:
    store = PairStore(tmp_path, SETTINGS)
    assert not is_finished(store, "a")
    store.write("a", some_pair(), RECORD)
    assert is_finished(store, "a")
    assert not is_finished(store, "b")
    assert is_finished(PairStore(tmp_path, SETTINGS), "a")  # before a merge
    store.merge()
    assert is_finished(PairStore(tmp_path, SETTINGS), "a")  # and after it


def test_a_pair_is_not_finished_when_its_photo_has_another_content(tmp_path: Path) -> None:
    store = PairStore(tmp_path, SETTINGS)
    store.write("a", some_pair(), RECORD)
    assert not is_finished(store, "a", SECOND)
    assert not is_finished(store, "a", "3" * 64)


@pytest.mark.parametrize("lost", ["raw/a.h5", "srgb/clean/a.png", "srgb/noisy/a.png"])
def test_a_pair_is_not_finished_when_a_file_is_missing(tmp_path: Path, lost: str) -> None:
    store = PairStore(tmp_path, SETTINGS)
    store.write("a", some_pair(), RECORD)
    (tmp_path / lost).unlink()
    assert not is_finished(store, "a")
    assert not is_finished(PairStore(tmp_path, SETTINGS), "a")


def test_files_without_a_line_are_not_finished(tmp_path: Path) -> None:
    store = PairStore(tmp_path, SETTINGS)
    store.write("a", some_pair(), RECORD)
    (tmp_path / "manifest.rank0.jsonl").unlink()
    assert not is_finished(PairStore(tmp_path, SETTINGS), "a")


def test_a_half_written_file_is_neither_finished_nor_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    part = tmp_path / "raw" / ".cycleisp-0123456789abcdef.part"
    part.write_bytes(b"left by a process that was killed")
    store = PairStore(tmp_path, SETTINGS)
    assert not is_finished(store, "a")
    store.write("a", some_pair(), RECORD)
    assert list(tmp_path.rglob("*.part")) == [part]  # the claim of the run removes it
    assert read_raw_pair(tmp_path / "raw" / "a.h5")[0].shape == (4, 6, 8)


def test_a_line_comes_after_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(image: NDArray) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = PairStore(tmp_path, SETTINGS)
    monkeypatch.setattr(pair_store, "encode_png", fail)
    with pytest.raises(OSError, match="No space"):
        store.write("a", some_pair(), RECORD)
    assert (tmp_path / "raw" / "a.h5").exists()  # written before the error
    assert not is_finished(store, "a")
    assert store.merge() == []


# ---------------------------------------------------------------- manifests


@pytest.mark.parametrize("rank_of_reader", [0, 1])
def test_a_torn_last_line_is_dropped_and_the_rest_kept(tmp_path: Path, rank_of_reader: int) -> None:
    store = PairStore(tmp_path, SETTINGS)
    for name in ("a", "b"):
        store.write(name, some_pair(), RECORD)
    part = tmp_path / "manifest.rank0.jsonl"
    part.write_bytes(part.read_bytes()[:-40])
    resumed = PairStore(tmp_path, SETTINGS, rank_of_reader)
    assert is_finished(resumed, "a")
    assert not is_finished(resumed, "b")
    resumed.write("b", some_pair(), RECORD)  # must not grow onto the torn line
    assert [record["name"] for record in resumed.merge()] == ["a", "b"]
    assert manifest_names(tmp_path / "manifest.jsonl") == ["a", "b"]


def test_a_last_line_that_lacks_its_end_only_is_kept(tmp_path: Path) -> None:
    PairStore(tmp_path, SETTINGS).write("a", some_pair(), RECORD)
    part = tmp_path / "manifest.rank0.jsonl"
    part.write_bytes(part.read_bytes().rstrip(b"\n"))
    resumed = PairStore(tmp_path, SETTINGS)
    assert is_finished(resumed, "a")
    resumed.write("b", some_pair(), RECORD)
    assert [record["name"] for record in resumed.merge()] == ["a", "b"]


def test_lines_that_are_no_records_are_ignored(tmp_path: Path) -> None:
    PairStore(tmp_path, SETTINGS).write("a", some_pair(), RECORD)
    with (tmp_path / "manifest.rank0.jsonl").open("a") as manifest:
        manifest.write('\n12\n["name"]\n{"no": "name"}\n')
    assert [record["name"] for record in read_manifest(tmp_path)] == ["a"]
    assert [record["name"] for record in PairStore(tmp_path, SETTINGS).merge()] == ["a"]


def test_merging_gives_one_sorted_manifest(tmp_path: Path) -> None:
    store = PairStore(tmp_path, SETTINGS)
    for name in ("b", "c/d", "a"):
        store.write(name, some_pair(), RECORD)
    records = store.merge()
    assert [record["name"] for record in records] == manifest_names(tmp_path / "manifest.jsonl") == ["a", "b", "c/d"]
    assert records == read_manifest(tmp_path)
    assert [path.name for path in tmp_path.glob("manifest*")] == ["manifest.jsonl"]
    assert store.merge() == records


def test_a_pair_made_again_replaces_its_line(tmp_path: Path) -> None:
    store = PairStore(tmp_path, SETTINGS)
    store.write("a", some_pair(), RECORD)
    store.merge()
    again = PairStore(tmp_path, SETTINGS)
    again.write("a", some_pair(), {**RECORD, "source_sha256": SECOND})
    assert is_finished(again, "a", SECOND)
    (record,) = again.merge()
    assert record["source_sha256"] == SECOND
    assert is_finished(PairStore(tmp_path, SETTINGS), "a", SECOND)


def test_what_another_process_left_behind_never_hides_a_newer_pair(tmp_path: Path) -> None:
    """Two processes were killed; one alone goes on, and a photo has changed meanwhile."""
    PairStore(tmp_path, SETTINGS, rank=1).write("a", some_pair(), RECORD)
    alone = PairStore(tmp_path, SETTINGS, rank=0)
    alone.write("a", some_pair(), {**RECORD, "source_sha256": SECOND})
    alone.merge()
    assert is_finished(PairStore(tmp_path, SETTINGS), "a", SECOND)
    assert read_manifest(tmp_path)[0]["source_sha256"] == SECOND


@pytest.mark.parametrize("backwards", [False, True])
def test_a_manifest_read_before_the_merge_shows_the_newest_pair_in_any_order_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backwards: bool
) -> None:
    PairStore(tmp_path, SETTINGS).write("a", some_pair(), RECORD)
    PairStore(tmp_path, SETTINGS).merge()
    PairStore(tmp_path, SETTINGS).write("a", some_pair(), {**RECORD, "source_sha256": SECOND})
    assert len(list(tmp_path.glob("manifest*.jsonl"))) == 2
    whole = Path.glob
    monkeypatch.setattr(Path, "glob", lambda path, pattern: iter(sorted(whole(path, pattern), reverse=backwards)))
    assert read_manifest(tmp_path)[0]["source_sha256"] == SECOND


def test_two_ranks_and_their_threads_fill_one_folder(tmp_path: Path) -> None:
    def fill(rank: int) -> None:
        store = PairStore(tmp_path, SETTINGS, rank)
        with ThreadPoolExecutor(3) as threads:
            jobs = [
                threads.submit(store.write, f"{number:02}", some_pair(seed=number), RECORD)
                for number in range(rank, 24, 2)
            ]
        for job in jobs:
            job.result()
        store.merge()

    with ThreadPoolExecutor(2) as ranks:
        for rank in [ranks.submit(fill, rank) for rank in range(2)]:
            rank.result()
    assert manifest_names(tmp_path / "manifest.jsonl") == [f"{number:02}" for number in range(24)]
    assert [path.name for path in tmp_path.glob("manifest*")] == ["manifest.jsonl"]
    for record in read_manifest(tmp_path):
        clean, _, _ = read_raw_pair(tmp_path / record["files"]["raw"])
        np.testing.assert_array_equal(clean, some_pair(seed=int(record["name"])).clean_raw)


def test_a_merge_leaves_the_lines_of_a_rank_that_still_works(tmp_path: Path) -> None:
    busy = PairStore(tmp_path, SETTINGS, rank=1)
    busy.write("b", some_pair(), RECORD)
    done = PairStore(tmp_path, SETTINGS, rank=0)
    done.write("a", some_pair(), RECORD)
    done.merge()
    busy.write("c", some_pair(), RECORD)
    assert [record["name"] for record in busy.merge()] == ["a", "b", "c"]


def test_a_folder_without_pairs_has_no_manifest_to_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no manifest\.jsonl with pairs"):
        read_manifest(tmp_path)
    PairStore(tmp_path, SETTINGS).merge()
    with pytest.raises(UserError, match=r"holds no manifest\.jsonl with pairs"):
        read_manifest(tmp_path)


# ---------------------------------------------------------------- a full disk

# Files may not grow beyond a limit. For the libraries that write them, this is a disk that fills up
# in the middle of a file.
FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from cycleisp.dataloaders.pairs.store import PairFiles, PairStore
planes = np.random.default_rng(0).integers(0, 65536, (2, 4, 24, 32)).astype(np.uint16)
pair = PairFiles(planes[0], planes[1], None, None, None)
record = dict(shot_noise=0.01, read_noise=0.0005, seed=0, weights_sha256="0" * 64, version="1", height=48, width=64)
store = PairStore(Path(sys.argv[1]), {})
store.write("before", pair, record)
whole = (store.folder / "raw" / "before.h5").stat().st_size
for limit in [whole // 10, whole // 3, whole // 2, whole - 100, whole - 1]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        store.write(f"limit-{limit}", pair, record)
        print("written")
    except Exception as error:
        print(type(error).__name__)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.write("after", pair, record)
print([record["name"] for record in store.merge()])
"""


def test_a_disk_that_fills_up_inside_a_file_is_an_os_error_wherever_it_happens(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="limits are POSIX")
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    outcome: dict[str, Any] = {"lines": ran.stdout.splitlines(), "status": ran.returncode, "complaints": ran.stderr}
    expected = {"lines": ["OSError"] * 5 + ["['after', 'before']"], "status": 0, "complaints": ""}
    assert outcome == expected
    assert not list(tmp_path.rglob("*.part"))
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == ["after.h5", "before.h5"]
