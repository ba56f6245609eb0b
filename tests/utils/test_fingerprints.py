"""The identity of content: the hash decides, and the stamp saves reading."""

import json
import os
from pathlib import Path

import pytest

from cycleisp.utils import fingerprints
from cycleisp.utils.fingerprints import Fingerprint


def test_the_stamp_saves_reading_an_unchanged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"content")
    before = Fingerprint.of(path)
    monkeypatch.setattr(fingerprints, "file_sha256", lambda path: pytest.fail("the file was read"))
    assert before.has_content_of(path)
    assert Fingerprint.of(path, before) is before


def test_other_bytes_of_one_size_are_seen_even_with_the_old_time_of_modification(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"content")
    before, status = Fingerprint.of(path), path.stat()
    path.write_bytes(b"CONTENT")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    assert not before.has_content_of(path)


def test_a_touched_or_copied_file_has_the_same_content(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(b"content")
    before = Fingerprint.of(tmp_path / "a")
    os.utime(tmp_path / "a", (1, 1))
    assert before.has_content_of(tmp_path / "a") and before.has_content_of(tmp_path / "b")
    assert not before.has_content_of(tmp_path / "gone")


def test_it_comes_back_from_json_and_damaged_ones_do_not(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    before = Fingerprint.of(tmp_path / "a")
    line = json.loads(json.dumps(before.to_json("source_")))
    assert Fingerprint.from_json(line, "source_") == before
    assert Fingerprint.from_json({**line, "source_stamp": [1, 2, 3, "4"]}, "source_") == Fingerprint(before.sha256)
    for damaged in (None, [], {}, {"source_sha256": 5}, {"source_sha256": "short"}):
        assert Fingerprint.from_json(damaged, "source_") is None
