"""Making a shard: its bytes are those of its photos and settings, and nothing half made is left."""

import errno
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cycleisp.dataloaders.pairs.shards import writing
from cycleisp.dataloaders.pairs.shards.folder import MAKING, ShardFolder, merge, own_folder
from cycleisp.dataloaders.pairs.shards.reading import ShardReader, read_shard_list
from cycleisp.dataloaders.pairs.store import PairStore
from cycleisp.dataloaders.photos import read_photo
from cycleisp.dataloaders.sources import Source
from cycleisp.utils.errors import UserError
from cycleisp.utils.fingerprints import file_sha256
from tests.support.shards import SETTINGS, contents, factory_for, make_one, write_photos

SHARD = "pairs-000000.tar"


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    return write_photos(tmp_path / "photos")


def test_the_tar_is_as_documented(tmp_path: Path, sources: list[Source]) -> None:
    done = make_one(tmp_path / "out", sources, first=40)
    with tarfile.open(tmp_path / "out" / SHARD) as tar:
        members = tar.getmembers()
        kinds = ("clean.png", "noisy.png", "raw.npz", "json")
        assert [one.name for one in members] == [f"00000004{n}.{kind}" for n in range(5) for kind in kinds]
        for one in members:
            assert (one.mtime, one.uid, one.gid, one.uname, one.gname, one.mode) == (0, 0, 0, "", "", 0o644)
        clean, raw, parameters = (tar.extractfile(f"000000041.{kind}") for kind in ("clean.png", "raw.npz", "json"))
        assert clean and raw and parameters
        decoded = cv2.imdecode(np.frombuffer(clean.read(), np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(decoded[..., ::-1], read_photo(sources[1].path))
        with np.load(io.BytesIO(raw.read())) as arrays:
            assert {key: (arrays[key].dtype, arrays[key].shape) for key in arrays} == {
                "clean": (np.uint16, (4, 6, 8)),
                "noisy": (np.uint16, (4, 6, 8)),
                "variance": (np.float32, (4, 6, 8)),
            }
        said = json.loads(parameters.read())
    assert said["name"] == sources[1].name == "1 of a.holiday"
    assert said["source_relative"] == "1 of a.holiday.png" and said["source_sha256"] == file_sha256(sources[1].path)
    assert said.keys().isdisjoint({"source", "source_path", "source_stamp", "threads", "version", "weights", "files"})
    assert str(tmp_path) not in json.dumps(said)
    (entry,) = read_shard_list(str(tmp_path / "out"))
    assert (entry.name, entry.bytes, entry.pairs) == (SHARD, (tmp_path / "out" / SHARD).stat().st_size, 5)
    assert entry.sha256 == file_sha256(tmp_path / "out" / SHARD) == done.entry.sha256


def test_pictures_are_those_of_the_unpacked_layout(tmp_path: Path, sources: list[Source]) -> None:
    make_one(tmp_path / "shards", sources)
    unpacked = factory_for(PairStore(tmp_path / "pairs", SETTINGS))
    unpacked.run(sources, progress=False)
    reader = ShardReader(str(tmp_path / "shards" / SHARD))
    for key, pair in reader.pairs():
        for kind in ("clean", "noisy"):
            stored = (tmp_path / "pairs" / "srgb" / kind / f"{pair['name']}.png").read_bytes()
            assert reader.read(key, kind) == reader.read(key, f"{kind}.png") == stored


def test_order_threads_batches_and_places_do_not_matter(tmp_path: Path, sources: list[Source]) -> None:
    expected = {}
    for number, first in ((0, 0), (1, 3)):
        make_one(tmp_path / "a", sources[first : first + 3], number, first, workers=1)
    expected = contents(tmp_path / "a")
    moved = write_photos(tmp_path / "elsewhere" / "other name")
    for number, first in ((1, 3), (0, 0)):
        make_one(tmp_path / "b", moved[first : first + 3], number, first, workers=4, batch_size=3)
    assert contents(tmp_path / "b") == expected
    assert len(expected) == 5


def test_pairs_that_are_early_wait_for_their_turn(tmp_path: Path, sources: list[Source]) -> None:
    """Three photos of one size fill a batch before the one between them is computed."""
    make_one(tmp_path / "a", sources, batch_size=3, workers=3)
    assert list(ShardReader(str(tmp_path / "a" / SHARD)).keys()) == [f"{number:09d}" for number in range(5)]


def test_a_damaged_photo_is_named_and_the_rest_stands(tmp_path: Path, sources: list[Source]) -> None:
    make_one(tmp_path / "whole", sources)
    sources[1].path.write_bytes(b"no picture")
    sources[2].path.unlink()
    done = make_one(tmp_path / "out", sources)
    assert [(one.name, one.source) for one in done.left_out] == [
        (source.name, source.relative) for source in sources[1:3]
    ]
    assert "not a JPEG, PNG, WebP or TIFF" in done.left_out[0].reason
    (said,) = json.loads((tmp_path / "out" / "pairs-000000.done.json").read_bytes())["skipped"][:1]
    assert said["reason"] == done.left_out[0].reason and str(sources[1].path) in said["reason"]
    whole, out = (ShardReader(str(tmp_path / folder / SHARD)) for folder in ("whole", "out"))
    assert out.keys() == ["000000000", "000000003", "000000004"]
    assert all(out.read(key, "noisy") == whole.read(key, "noisy") for key in out.keys())  # noqa: SIM118
    folder = ShardFolder(tmp_path / "out", SETTINGS)
    assert folder.finished(0, sources) is not None  # a bad photo is not tried again for ever
    write_photos(tmp_path / "photos")
    assert folder.finished(0, sources) is None
    make_one(tmp_path / "out", sources)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_photo_for_which_memory_is_short_is_tried_again(tmp_path: Path, sources: list[Source]) -> None:
    done = make_one(tmp_path / "out", sources, memory=lambda pixels: 1 << 60 if pixels > 100 else 0)
    assert [one.again for one in done.left_out] == [True] * 4 and "of memory" in done.left_out[0].reason
    assert ShardFolder(tmp_path / "out", SETTINGS).finished(0, sources) is None


def test_a_finished_shard_is_known_until_its_photos_or_files_change(tmp_path: Path, sources: list[Source]) -> None:
    make_one(tmp_path / "out", sources)
    folder, files = ShardFolder(tmp_path / "out", SETTINGS), contents(tmp_path / "out")
    assert folder.finished(0, sources) is not None
    assert folder.finished(0, sources[1:]) is None
    assert folder.finished(1, sources) is None
    content = sources[0].path.read_bytes()
    sources[0].path.write_bytes(content)  # new times, same content
    assert folder.finished(0, sources) is not None
    sources[0].path.write_bytes(content + b"\0")
    assert folder.finished(0, sources) is None
    sources[0].path.write_bytes(content)
    (tmp_path / "out" / SHARD).write_bytes(files[SHARD][:-1])
    assert folder.finished(0, sources) is None
    (tmp_path / "out" / SHARD).write_bytes(files[SHARD])
    (tmp_path / "out" / "pairs-000000.done.json").write_text('{"shard": 3}')
    assert folder.finished(0, sources) is None


def test_a_full_disk_leaves_finished_shards_alone(
    tmp_path: Path, sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_one(tmp_path / "out", sources[:2])
    before = contents(tmp_path / "out")
    write, written = writing._HashedFile.write, []

    def full(self: Any, content: bytes) -> int:
        written.append(len(content))
        if len(written) > 7:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, content)

    monkeypatch.setattr(writing._HashedFile, "write", full)
    with pytest.raises(UserError, match=r"No space left on device.*the same command goes on"):
        make_one(tmp_path / "out", sources[2:], number=1, first=2)
    assert contents(tmp_path / "out") == before
    assert not list((tmp_path / "out" / MAKING).rglob("*.tar"))
    monkeypatch.undo()
    make_one(tmp_path / "out", sources[2:], number=1, first=2)
    make_one(tmp_path / "other", sources[:2])
    make_one(tmp_path / "other", sources[2:], number=1, first=2)
    assert contents(tmp_path / "out") == contents(tmp_path / "other")


class KilledError(BaseException):
    """What a kill looks like to the code after it: nothing of that runs."""


def killed_after(renames: int) -> Callable[[Path, Path], Path]:
    """Returns a `Path.replace` that is killed once it has renamed so many files."""
    replace, done = Path.replace, []

    def killed(self: Path, target: Path) -> Path:
        if len(done) == renames:
            raise KilledError
        done.append(target)
        return replace(self, target)

    return killed


@pytest.mark.parametrize("renames", range(4))
def test_a_kill_before_any_rename_is_survived(
    tmp_path: Path, sources: list[Source], monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    """Tar, index, done-file and list are renamed in turn; before each the process may end."""
    make_one(tmp_path / "whole", sources)
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.mkdtemp", lambda prefix, dir: _left(dir))
        patch.setattr("shutil.rmtree", lambda *args, **options: None)
        patch.setattr(writing.ShardWriter, "discard", lambda self: None)
        ShardFolder(tmp_path / "out", SETTINGS)
        patch.setattr(Path, "replace", killed_after(renames))
        with pytest.raises(KilledError):
            make_one(tmp_path / "out", sources)
    left = contents(tmp_path / "out")
    listed = left.pop("shards.jsonl", b"")
    assert not listed
    assert left.items() <= contents(tmp_path / "whole").items()
    finished = ShardFolder(tmp_path / "out", SETTINGS).finished(0, sources)
    assert (finished is not None) == (renames == 3)
    if finished is None:
        make_one(tmp_path / "out", sources)
    merge(tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not list((tmp_path / "out" / MAKING).rglob("*.tar"))


def _left(parts: Path) -> str:
    (parts / "work-0").mkdir()
    return str(parts / "work-0")


def test_a_shard_that_is_made_again_is_never_listed_with_old_bytes(
    tmp_path: Path, sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_one(tmp_path / "out", sources)
    write_photos(tmp_path / "photos", 6)
    sources[0].path.write_bytes((tmp_path / "photos" / "5 of a.holiday.png").read_bytes())
    seen: list[bool] = []
    replace = Path.replace

    def look(self: Path, target: Path) -> Path:
        if target.name == SHARD:
            seen.append((tmp_path / "out" / "pairs-000000.done.json").exists())
            seen.append(SHARD.encode() in (tmp_path / "out" / "shards.jsonl").read_bytes())
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", look)
    make_one(tmp_path / "out", sources)
    assert seen == [False, False]
    assert read_shard_list(str(tmp_path / "out"))[0].sha256 == file_sha256(tmp_path / "out" / SHARD)


@pytest.mark.parametrize("renames", range(4))
def test_a_kill_while_the_same_shard_is_made_again_leaves_it_finished(
    tmp_path: Path, sources: list[Source], monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    """A task that a killed driver has left makes what the next driver has finished, and ends."""
    make_one(tmp_path / "out", sources)
    whole = contents(tmp_path / "out")
    monkeypatch.setattr(ShardFolder, "finished", lambda *_: None)  # it had begun before
    monkeypatch.setattr(Path, "replace", killed_after(renames))
    with pytest.raises(KilledError):
        make_one(tmp_path / "out", sources)
    monkeypatch.undo()
    assert ShardFolder(tmp_path / "out", SETTINGS).finished(0, sources) is not None
    assert contents(tmp_path / "out") == whole


def test_the_list_has_what_another_process_finishes_meanwhile(
    tmp_path: Path, sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_one(tmp_path / "out", sources[:2])
    make_one(tmp_path / "other", sources[2:], number=1, first=2)
    replace: Callable[[Path, Path], Path] = Path.replace

    def with_another(self: Path, target: Path) -> Path:
        for path in (tmp_path / "other").glob("pairs-*"):
            path.rename(tmp_path / "out" / path.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", with_another)
    assert [entry.pairs for entry in merge(tmp_path / "out")] == [2, 3]
    assert len(read_shard_list(str(tmp_path / "out"))) == 2


def test_other_settings_and_foreign_files_are_refused(tmp_path: Path, sources: list[Source]) -> None:
    make_one(tmp_path / "out", sources[:1])
    with pytest.raises(UserError, match=r"holds pairs made with seed=7"):
        ShardFolder(tmp_path / "out", {**SETTINGS, "seed": 8})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "backup.tar").touch()
    with pytest.raises(UserError, match=r"backup.tar: not made by generate_data.py"):
        ShardFolder(tmp_path / "mine", SETTINGS)


def test_a_folder_of_ones_own_is_empty_at_the_beginning(tmp_path: Path) -> None:
    with own_folder(tmp_path, "all") as first:
        (first / "pairs-000000.tar").touch()
        with own_folder(tmp_path, "0-3") as other:  # another part, which is left alone
            assert first.exists() and other.exists()
        with own_folder(tmp_path, "all") as second:
            assert not first.exists() and not list(second.iterdir())
    assert not list((tmp_path / MAKING).rglob("work-*"))
