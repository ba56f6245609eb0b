"""The check of a training set's photos: bad ones are named once, and a run keeps its list."""

import json
import logging
import os
from pathlib import Path

import pytest

from cycleisp.dataloaders import photo_check
from cycleisp.dataloaders.photo_check import check_photos, choose_photos, write_record
from cycleisp.dataloaders.photo_store import PhotoStore
from cycleisp.dataloaders.photos import PhotoError
from cycleisp.dataloaders.sources import Source, find_sources
from tests.support.pictures import random_picture, write_png


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for seed, name in enumerate("abc"):
        write_png(tmp_path / "photos" / f"{name}.png", random_picture(40, 48, seed=seed))
    whole = (tmp_path / "photos" / "a.png").read_bytes()
    (tmp_path / "photos" / "bad.png").write_bytes(whole[: len(whole) // 2])  # its header is that of a photo
    return tmp_path / "photos"


def names(sources: list[Source]) -> list[str]:
    return [source.name for source in sources]


def chosen(photos: Path, record: Path, goes_on: bool = False) -> list[Source]:
    """Does what a training does at its start."""
    sources = find_sources([photos], raw=False)
    checked = check_photos(sources, record, goes_on)
    usable = choose_photos(sources, checked, record, goes_on)
    write_record(record, sources, checked, goes_on)
    return usable


def test_bad_photos_are_left_out_and_named_once_each(
    photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (photos / "empty.jpg").write_bytes(b"")
    (photos / "text.tif").write_bytes(b"this is no picture")
    assert names(chosen(photos, tmp_path / "record.jsonl")) == ["a", "b", "c"]
    for name in ("bad.png", "empty.jpg", "text.tif"):
        assert sum(f"left out {photos / name}: " in line for line in caplog.messages) == 1


def test_what_was_checked_is_not_checked_again(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tmp_path / "record.jsonl"
    chosen(photos, record)
    with record.open("a") as file:
        file.write('{"name": "half a li')  # of a process that was killed
    read: list[str] = []
    monkeypatch.setattr(photo_check, "apart", lambda _function, path: read.append(path.name))
    write_png(photos / "b.png", random_picture(60, 60))
    write_png(photos / "new.png", random_picture(60, 60))
    assert names(chosen(photos, record)) == ["a", "b", "bad", "c", "new"]
    assert read == ["b.png", "bad.png", "new.png"]  # changed, not usable before, and new


def test_a_check_that_was_stopped_goes_on_where_it_was(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, read = tmp_path / "record.jsonl", []

    def stopping(_function: object, path: Path) -> None:
        if len(read) == 2:
            raise KeyboardInterrupt
        read.append(path.name)

    monkeypatch.setattr(photo_check, "CHUNK", 1)
    monkeypatch.setattr(photo_check, "apart", stopping)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        chosen(photos, record)
    monkeypatch.setattr(photo_check, "apart", lambda _function, path: read.append(path.name))
    chosen(photos, record)
    assert read == ["a.png", "b.png", "bad.png", "c.png"]


def test_a_run_goes_on_with_the_photos_that_it_has_begun_with(
    photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = tmp_path / "record.jsonl"
    chosen(photos, record)
    write_png(photos / "b2.png", random_picture(60, 60))
    write_png(photos / "bad.png", random_picture(60, 60))  # mended too late
    write_png(photos / "c.png", random_picture(50, 70))
    moved = photos.rename(tmp_path / "moved")
    for _ in range(2):
        caplog.clear()
        assert names(chosen(moved, record, goes_on=True)) == ["a", "b", "c"]
        assert "1 files were added since this run began" in caplog.text
        assert "bad.png" in caplog.text
    (moved / "a.png").write_bytes(b"damaged since")
    with pytest.raises(PhotoError, match=r"a\.png.*this run has begun with it"):
        chosen(moved, record, goes_on=True)
    (moved / "a.png").unlink()
    with pytest.raises(PhotoError, match=r"^a: 1 of the files that this run has begun with are gone"):
        chosen(moved, record, goes_on=True)


def test_without_any_usable_photo_the_first_is_named(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("x.png", "y.png"):
        (tmp_path / "in" / name).write_bytes(b"no picture")
    with pytest.raises(PhotoError, match=r"x\.png.*\(none of 2 files can be used\)"):
        chosen(tmp_path / "in", tmp_path / "record.jsonl")


def test_a_disk_that_is_taken_away_is_no_reason_to_leave_photos_out(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = find_sources([photos], raw=False)
    (photos / "b.png").unlink()
    with pytest.raises(PhotoError, match=r"b\.png: has vanished"):
        check_photos(sources, tmp_path / "record.jsonl")


def test_processes_share_the_work(photos: Path, tmp_path: Path) -> None:
    sources = find_sources([photos], raw=False)
    parts = [check_photos(sources, tmp_path / "record.jsonl", share=(rank, 2)) for rank in range(2)]
    assert [sorted(part) for part in parts] == [["a", "bad"], ["b", "c"]]


@pytest.mark.parametrize("line", [b"\xff\xfe", b"[1]", b'{"name": 3}', b'{"name": "a", "problem": []}', b"{" * 5000])
def test_a_damaged_record_costs_a_check(photos: Path, tmp_path: Path, line: bytes) -> None:
    record = tmp_path / "record.jsonl"
    record.write_bytes(line + b"\n")
    assert names(chosen(photos, record)) == ["a", "b", "c"]
    assert [json.loads(each)["name"] for each in record.read_text().splitlines()] == ["a", "b", "bad", "c"]


def test_a_store_takes_the_usable_photos(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    store = PhotoStore([photos], usable=lambda found: [source for source in found if source.name != "bad"])
    assert names(store.sources) == ["a", "b", "c"]
