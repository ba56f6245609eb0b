"""Which files of a folder count as photos and camera files, and what is said of the others."""

import os
from pathlib import Path

import pytest

from cycleisp.dataloaders.sources import SourceError, find_sources
from tests.support.pictures import random_mosaic, random_picture, write_dng, write_png


def found(folder: Path, raw: bool = True) -> list[str]:
    return [source.relative for source in find_sources([folder], raw=raw)]


def test_hidden_files_and_those_of_macos_are_no_photos(tmp_path: Path) -> None:
    for name in (
        "a.png",
        "._a.png",
        ".hidden.png",
        "__MACOSX/._b.png",
        "__MACOSX/c.png",
        ".trash/d.png",
        "deep/._e.jpg",
    ):
        write_png(tmp_path / name, random_picture(8, 8))
    assert found(tmp_path) == ["a.png"]


def test_a_hidden_file_that_is_named_is_taken(tmp_path: Path) -> None:
    path = write_png(tmp_path / ".folder" / ".a.png", random_picture(8, 8))
    assert [source.path for source in find_sources([path])] == [path]


def test_a_folder_says_what_it_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    write_png(tmp_path / "a.png", random_picture(8, 8))
    for name in ("b.txt", "c.TXT", "d.mov", "README"):
        (tmp_path / name).write_text("no picture")
    assert found(tmp_path) == ["a.png"]
    assert caplog.messages == [f"{tmp_path}: 4 files of other kinds ignored: .txt 2, without suffix 1, .mov 1"]
    caplog.clear()
    for name in ("b.txt", "c.TXT", "README"):
        (tmp_path / name).unlink()
    assert found(tmp_path) == ["a.png"]
    assert caplog.messages == [f"{tmp_path}: 1 file of another kind ignored: .mov 1"]


def test_camera_files_without_suffix_are_found_where_camera_files_are_wanted(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", random_picture(8, 8))
    write_dng(tmp_path / "IMG_1", random_mosaic(16, 16))
    assert found(tmp_path) == ["IMG_1", "a.png"]
    assert found(tmp_path, raw=False) == ["a.png"]


def test_what_is_named_twice_is_taken_once(tmp_path: Path) -> None:
    path = write_png(tmp_path / "in" / "a.png", random_picture(8, 8))
    for inputs in ([path, path], [path, tmp_path / "in"], [tmp_path / "in", path]):
        assert [source.relative for source in find_sources(inputs)] == ["a.png"]


def test_names_that_are_not_utf_8_are_found(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    try:
        write_png(tmp_path / name, random_picture(8, 8))
    except (OSError, UnicodeError):
        pytest.skip("this file system takes UTF-8 only")
    assert found(tmp_path) == [name]


def test_an_ignored_kind_cannot_write_to_the_terminal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    write_png(tmp_path / "a.png", random_picture(8, 8))
    (tmp_path / "b.\x1b[31m").write_text("")
    assert found(tmp_path) == ["a.png"]
    assert "\\x1b[31m 1" in caplog.text and "\x1b" not in caplog.text


def test_a_folder_of_hidden_photos_holds_none(tmp_path: Path) -> None:
    write_png(tmp_path / "._a.png", random_picture(8, 8))
    with pytest.raises(SourceError, match="no photo in this folder"):
        find_sources([tmp_path])


def test_inputs_in_the_folder_of_results_are_named_as_such(tmp_path: Path) -> None:
    write_png(tmp_path / "photos/deep/a.png", random_picture(8, 8))
    for folder in (tmp_path / "photos", tmp_path / "photos/deep"):
        with pytest.raises(SourceError, match=r"is the folder of the results or inside of it, .*give another --output"):
            find_sources([folder], exclude=tmp_path / "photos")
    assert len(find_sources([tmp_path / "photos"], exclude=tmp_path / "photos/results")) == 1
