"""generate_data.py: a pair belongs to its photo, whatever happens to both and to manifests."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import generate_data
from cycleisp.dataloaders.pairs import store as pair_store
from cycleisp.dataloaders.pairs.preview import write_preview
from cycleisp.dataloaders.pairs.store import PairFiles, PairStore, read_manifest
from cycleisp.dataloaders.photos import read_photo
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.claim import claimed
from tests.support.pictures import encode_png, write_png
from tests.support.scripts import Outcome, call_script, error_line


def paint(path: Path, level: int) -> Path:
    """Writes a photo of one grey. All have one size in bytes."""
    return write_png(path, np.full((8, 8, 3), level, np.uint8))


class Folder:
    """A pair folder that the script fills, with tiny weights, on the CPU."""

    def __init__(self, path: Path, weights: Path) -> None:
        self.path, self.weights = path, weights

    def run(self, *inputs: Path, **options: object) -> Outcome:
        words = [word for key, value in options.items() for word in (f"--{key}", value)]
        line = ("--device", "cpu", "--weights", self.weights, "--blur", 0, "--workers", 1, *words)
        return call_script(generate_data.main, *line, "--output", self.path, "--input", *inputs)

    def counts(self, *inputs: Path, **options: object) -> tuple[int, int, int]:
        """Runs the script, and returns how many pairs it made, kept and skipped."""
        words = self.run(*inputs, **options).stdout.splitlines()[-1].replace(",", "").split()
        return int(words[0]), int(words[3]), int(words[7])

    def levels(self) -> dict[str, int]:
        """Returns the grey of every clean picture, by the name of its pair."""
        records = read_manifest(self.path)
        return {each["name"]: int(read_photo(self.path / each["files"]["srgb_clean"])[0, 0, 0]) for each in records}


@pytest.fixture
def pairs(tmp_path: Path, tiny_weights: Path) -> Folder:
    return Folder(tmp_path / "pairs", tiny_weights)


# ---------------------------------------------------------------- identity


@pytest.mark.parametrize("restored", [False, True])
def test_a_photo_replaced_by_one_of_equal_size_gets_a_new_pair(tmp_path: Path, pairs: Folder, restored: bool) -> None:
    path, _ = paint(tmp_path / "in" / "a.png", 10), paint(tmp_path / "in" / "b.png", 50)
    assert pairs.counts(path.parent) == (2, 0, 0)
    status = path.stat()
    assert paint(path, 20).stat().st_size == status.st_size
    if restored:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert pairs.counts(path.parent) == (1, 1, 0)
    assert pairs.levels() == {"a": 20, "b": 50}


def test_a_photo_of_another_folder_never_replaces_a_pair(tmp_path: Path, pairs: Folder) -> None:
    for folder, level in (("x", 10), ("y", 20), ("z", 30)):
        paint(tmp_path / folder / "1.png", level)
        assert pairs.counts(tmp_path / folder) == (1, 0, 0)
    assert pairs.levels() == {"1": 10, "1.png": 20, "1.png-2": 30}
    assert pairs.counts(tmp_path / "z", tmp_path / "x", tmp_path / "y") == (0, 3, 0)
    assert pairs.levels() == {"1": 10, "1.png": 20, "1.png-2": 30}


def test_photos_of_one_stem_have_pairs_of_their_own(tmp_path: Path, pairs: Folder) -> None:
    paint(tmp_path / "in" / "a.jpg", 10)
    assert pairs.counts(tmp_path / "in") == (1, 0, 0)
    paint(tmp_path / "in" / "a.jpeg", 20)
    paint(tmp_path / "in" / "A.jpg", 30)
    paint(tmp_path / "in" / "a" / "b.jpg", 40)
    assert pairs.counts(tmp_path / "in") == (3, 1, 0)
    assert pairs.levels() == {"a": 10, "a.jpeg": 20, "A.jpg": 30, "a/b": 40}


def test_photos_that_were_moved_keep_their_pairs(tmp_path: Path, pairs: Folder) -> None:
    paint(tmp_path / "in" / "a.png", 10)
    pairs.run(tmp_path / "in")
    shutil.move(tmp_path / "in", tmp_path / "moved")
    assert pairs.counts(tmp_path / "moved") == (0, 1, 0)


def test_a_folder_of_version_0_2_goes_on(tmp_path: Path, pairs: Folder) -> None:
    """Its records know the photo's path and hash, and neither its relative path nor its stamp."""
    paint(tmp_path / "in" / "a.png", 10)
    paint(tmp_path / "in" / "b.png", 20)
    pairs.run(tmp_path / "in")
    new = {"source_path", "source_relative", "source_stamp", "threads", "cpu_capability"}
    records = [{key: record[key] for key in record.keys() - new} for record in read_manifest(pairs.path)]
    (pairs.path / "manifest.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    paint(tmp_path / "in" / "b.png", 30)
    assert pairs.counts(tmp_path / "in") == (1, 1, 0)
    assert pairs.levels() == {"a": 10, "b": 30}


def test_pictures_of_somebody_else_are_not_replaced(tmp_path: Path, pairs: Folder) -> None:
    theirs = paint(pairs.path / "srgb" / "clean" / "a.png", 200)
    photo = paint(tmp_path / "in" / "a.png", 10)
    assert f"{theirs}: not made by generate_data.py; give another --output" in error_line(pairs.run(photo))
    assert read_photo(theirs)[0, 0, 0] == 200


def test_a_second_run_says_who_holds_the_folder(tmp_path: Path, pairs: Folder) -> None:
    photo = paint(tmp_path / "in" / "a.png", 10)
    with claimed(pairs.path):
        line = error_line(pairs.run(photo))
    assert f"{pairs.path}: another run writes there, process {os.getpid()} of" in line
    assert pairs.counts(photo) == (1, 0, 0)


def test_the_manifest_says_on_what_the_pair_was_computed(tmp_path: Path, pairs: Folder) -> None:
    pairs.run(paint(tmp_path / "in" / "a.png", 10))
    (record,) = read_manifest(pairs.path)
    assert record["threads"] >= 1 and record["cpu_capability"]


def test_names_that_are_not_utf_8_go_through_manifest_and_contact_sheet(tmp_path: Path, pairs: Folder) -> None:
    name = os.fsdecode(b"caf\xe9 \x1b[31m")
    try:
        paint(tmp_path / "in" / f"{name}.png", 10)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes UTF-8 only")
    (tmp_path / "in" / f"{name}.jpg").write_bytes(b"no picture")
    outcome = pairs.run(tmp_path / "in")
    assert outcome.returncode == 1, outcome.stderr
    assert f"skipped {tmp_path}/in/caf\\xe9 \\x1b[31m.jpg: " in outcome.stdout
    records = read_manifest(pairs.path)
    assert [record["name"] for record in records] == [f"{name}.png"]
    assert write_preview(pairs.path, records).is_file()
    assert pairs.counts(tmp_path / "in") == (0, 1, 1)


# ---------------------------------------------------------------- kills


def test_a_kill_while_a_pair_is_replaced_never_lists_files_of_two_makings(
    tmp_path: Path, pairs: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = paint(tmp_path / "in" / "a.png", 10)
    pairs.run(path)
    old = path.read_bytes()
    paint(path, 20)
    write, names = pair_store.write_bytes, []

    def dying(path: Path, content: bytes) -> None:
        names.append(path.name)
        if len(names) == 2:
            raise KeyboardInterrupt
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(pair_store, "write_bytes", dying)
        assert pairs.run(path).returncode == 130
    with pytest.raises(UserError, match="holds no manifest"):
        read_manifest(pairs.path)
    path.write_bytes(old)  # what the old line says, and not what the files hold
    assert pairs.counts(path) == (1, 0, 0)
    assert pairs.levels() == {"a": 10}


# ---------------------------------------------------------------- damaged manifests


def damages(line: dict[str, Any]) -> dict[str, bytes]:
    """Returns kinds of damage to a line of a manifest."""

    def changed(**more: Any) -> bytes:
        return json.dumps({**line, **more}).encode()

    outside = {"raw": "raw/../../x.h5", "srgb_clean": "srgb/clean/../../../x.png", "srgb_noisy": "srgb/noisy/x.png"}
    return {
        "not UTF-8": b"\xff\xfe\x80" * 30,
        "half": json.dumps(line).encode()[:80],
        "a list": b'[{"name": "a"}]',
        "a text": b'"a"',
        "deep nesting": b'{"a":' * 50_000,
        "a huge number": b'{"name": ' + b"9" * 10_000 + b"}",
        "NUL bytes": bytes(200),
        "a number for the name": changed(name=7),
        "no name": changed(name=None),
        "a name outside of the folder": changed(name="../../x", files=outside),
        "an absolute name": changed(name="/tmp/x", files={"raw": "raw//tmp/x.h5"}),
        "files outside of the folder": changed(files=outside),
        "files that are a list": changed(files=["raw/a.h5"]),
        "files that are numbers": changed(files={"raw": 7}),
        "a name with NUL": changed(name="a\0", files={"raw": "raw/a\0.h5"}),
        "half a surrogate": changed(name="\ud800", files={"raw": "raw/\ud800.h5"}),
        "a height of words": changed(height="8"),
        "a negative height": changed(height=-8),
        "a noise level of words": changed(shot_noise="0.01"),
        "a noise level that is no number": changed(shot_noise=float("nan")),
        "a path with NUL": changed(source_path="a\0", source="a\0"),
        "a path that is half a surrogate": changed(source="\ud800"),
        "a hash that is a number": changed(source_sha256=7),
        "remade as often as a text": changed(remade="3"),
        "a huge line": b"x" * 3_000_000,
    }


@pytest.mark.parametrize("damage", damages({"files": {}}))
def test_a_damaged_manifest_costs_the_pair_it_hits(tmp_path: Path, pairs: Folder, damage: str) -> None:
    for name, level in (("a", 10), ("b", 20)):
        paint(tmp_path / "in" / f"{name}.png", level)
    pairs.run(tmp_path / "in")
    manifest = pairs.path / "manifest.jsonl"
    first, second = manifest.read_bytes().splitlines()
    manifest.write_bytes(damages(json.loads(first))[damage] + b"\n" + second + b"\n")
    assert pairs.counts(tmp_path / "in") == (1, 1, 0)
    assert pairs.levels() == {"a": 10, "b": 20}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "pairs"]


@pytest.mark.parametrize(
    "content", [encode_png(np.zeros((4, 4, 3), np.uint8))[:60], b"", b"\x89HDF\r\n\x1a\n" + bytes(50)]
)
@pytest.mark.parametrize("kind", ["raw/a.h5", "srgb/noisy/a.png"])
def test_a_damaged_pair_is_one_error_of_the_contact_sheet(
    tmp_path: Path, pairs: Folder, kind: str, content: bytes
) -> None:
    pairs.run(paint(tmp_path / "in" / "a.png", 10))
    (pairs.path / kind).write_bytes(content)
    with pytest.raises(UserError, match=f"{kind}: .*(damaged|no readable)"):
        write_preview(pairs.path, read_manifest(pairs.path))


def test_raw_that_claims_more_than_it_stores_is_refused_before_it_is_allocated(tmp_path: Path) -> None:
    store = PairStore(tmp_path, {})
    planes = np.zeros((4, 4, 4), np.uint16)
    record = {"shot_noise": 0.1, "read_noise": 0.1, "seed": 0, "weights_sha256": "", "version": ""}
    store.write("a", PairFiles(planes, planes, None, None, None), record)
    path = tmp_path / "raw" / "a.h5"
    with h5py.File(path, "w") as file:
        for key in ("clean", "noisy"):
            file.create_dataset(
                key, (4, 12000, 12000), np.uint16, chunks=(1, 64, 64)
            )  # 1 GB, of which nothing is stored
    with pytest.raises(UserError, match=r"a\.h5: clean holds less than it claims"):
        pair_store.read_raw_pair(path)
    with h5py.File(path, "w") as file:
        file.create_dataset("clean", (4, 10**6, 10**6), np.uint16, chunks=(1, 64, 64))
    with pytest.raises(UserError, match="more than"):
        pair_store.read_raw_pair(path)
