"""Results know their sources: none is replaced unasked, and kills lose nothing."""

import itertools
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cycleisp.dataloaders.photos import read_photo
from cycleisp.dataloaders.results import result_folder
from cycleisp.dataloaders.results.denoised_files import DenoisedFiles
from cycleisp.dataloaders.results.denoised_raw import RawFileDenoiser
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.dataloaders.sources import find_sources
from cycleisp.utils.errors import UserError
from cycleisp.utils.raw.noise import FixedNoise
from tests.support.paths import files_of
from tests.support.pictures import encode_png, random_mosaic, write_dng

RECORD = "results.jsonl"
NOISE = FixedNoise(0.01, 0.0005)


def keep_packed(packed: NDArray, variance: NDArray) -> NDArray:
    return packed


def denoise(output: Path, *inputs: Path, overwrite: bool = False, settings: dict[str, Any] | None = None) -> Summary:
    raw = RawFileDenoiser(keep_packed, NOISE)
    each: Any = {"srgb": settings or {}, "raw": settings or {}}
    return DenoisedFiles(output, lambda photo: photo, raw, overwrite, settings=each).run(find_sources(inputs))


def counts(summary: Summary) -> tuple[int, int, int]:
    return summary.made, summary.kept, len(summary.skipped)


def paint(path: Path, level: int) -> Path:
    """Writes a photo of one grey, as PNG whatever its name. All have one size in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(np.full((8, 8, 3), level, np.uint8)))
    return path


def level_of(path: Path) -> int:
    return int(read_photo(path)[0, 0, 0])


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("order", list(itertools.permutations(["a.jpg", "a.jpeg", "a.tif", "A.png"])))
def test_sources_of_one_stem_have_results_of_their_own_in_any_order(tmp_path: Path, order: Sequence[str]) -> None:
    levels = {name: 10 * number for number, name in enumerate(sorted(order), start=1)}
    for name in order:
        paint(tmp_path / "in" / name, levels[name])
        assert denoise(tmp_path / "out", tmp_path / "in" / name).made == 1
    files = files_of(tmp_path / "out")
    assert sorted(level_of(tmp_path / "out" / name) for name in files) == sorted(levels.values())
    assert len({name.casefold() for name in files}) == 4
    assert counts(denoise(tmp_path / "out", tmp_path / "in")) == (0, 4, 0)
    assert files_of(tmp_path / "out") == files


@pytest.mark.parametrize("names", [("IMG_1.JPG", "IMG_1.DNG"), ("IMG_1.DNG", "IMG_1.JPG"), None])
def test_a_camera_file_and_the_jpeg_beside_it_keep_both_results(tmp_path: Path, names: Sequence[str] | None) -> None:
    paint(tmp_path / "in" / "IMG_1.JPG", 77)
    write_dng(tmp_path / "in" / "IMG_1.DNG", random_mosaic(32, 32))
    for name in names or [""]:
        assert denoise(tmp_path / "out", tmp_path / "in" / name).skipped == []
    expected = {"IMG_1.dng", "IMG_1.png", "IMG_1.JPG.png"}
    if names is not None and names[0] == "IMG_1.JPG":
        expected = {"IMG_1.DNG.dng", "IMG_1.DNG.png", "IMG_1.png"}
    assert files_of(tmp_path / "out") == expected
    assert 77 in [level_of(tmp_path / "out" / name) for name in expected if name.endswith(".png")]


def test_photos_of_one_path_in_two_folders_have_results_of_their_own(tmp_path: Path) -> None:
    for folder, level in (("x", 10), ("y", 20), ("z", 30)):
        paint(tmp_path / folder / "deep" / "1.png", level)
        assert denoise(tmp_path / "out", tmp_path / folder).made == 1
    files = {"deep/1.png": 10, "deep/1.png.png": 20, "deep/1.png-2.png": 30}
    assert {name: level_of(tmp_path / "out" / name) for name in files_of(tmp_path / "out")} == files
    assert counts(denoise(tmp_path / "out", *(tmp_path / folder for folder in "zyx"))) == (0, 3, 0)


def test_a_folder_that_was_moved_keeps_its_results(tmp_path: Path) -> None:
    for name in "ab":
        paint(tmp_path / "in" / f"{name}.png", 10)
    denoise(tmp_path / "out", tmp_path / "in")
    shutil.move(tmp_path / "in", tmp_path / "moved")
    shutil.move(tmp_path / "out", tmp_path / "results")
    assert counts(denoise(tmp_path / "results", tmp_path / "moved")) == (0, 2, 0)
    shutil.copytree(tmp_path / "moved", tmp_path / "copy")
    shutil.move(tmp_path / "moved", tmp_path / "moved again")  # two copies cannot both be the one that was moved
    assert counts(denoise(tmp_path / "results", tmp_path / "copy", tmp_path / "moved again")) == (2, 2, 0)


def test_a_folder_in_the_place_of_a_result_is_no_hindrance(tmp_path: Path) -> None:
    for name, level in (("a.jpg", 10), ("a.png/b.jpg", 20)):
        paint(tmp_path / "in" / name, level)
    assert denoise(tmp_path / "out", tmp_path / "in").skipped == []
    assert sorted(level_of(tmp_path / "out" / name) for name in files_of(tmp_path / "out")) == [10, 20]
    (tmp_path / "taken" / "x").parent.mkdir()
    (tmp_path / "taken" / "a.png").write_text("somebody's file in the place of a folder")
    assert denoise(tmp_path / "taken", tmp_path / "in").skipped == []


# ---------------------------------------------------------------- what counts as a result


@pytest.mark.parametrize("restored", [False, True])
def test_a_photo_that_was_replaced_by_one_of_equal_size_is_denoised_again(tmp_path: Path, restored: bool) -> None:
    paint(tmp_path / "in" / "b.png", 99)
    path = paint(tmp_path / "in" / "a.png", 10)
    denoise(tmp_path / "out", path.parent)
    status = path.stat()
    assert paint(path, 20).stat().st_size == status.st_size
    if restored:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert counts(denoise(tmp_path / "out", path.parent)) == (1, 1, 0)
    assert level_of(tmp_path / "out" / "a.png") == 20
    assert files_of(tmp_path / "out") == {"a.png", "b.png"}
    assert counts(denoise(tmp_path / "out", path.parent)) == (0, 2, 0)


def test_a_file_of_somebody_else_is_neither_replaced_nor_taken_for_a_result(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, theirs = paint(tmp_path / "in" / "a.jpg", 10), paint(tmp_path / "out" / "a.png", 200)
    assert counts(denoise(tmp_path / "out", source)) == (1, 0, 0)
    assert (level_of(theirs), level_of(tmp_path / "out" / "a.jpg.png")) == (200, 10)
    assert f"{theirs}: not made by this program" in caplog.text and "is called a.jpg.png" in caplog.text
    assert counts(denoise(tmp_path / "out", source)) == (0, 1, 0)
    assert counts(denoise(tmp_path / "out", paint(tmp_path / "other" / "a.jpg", 30), overwrite=True)) == (1, 0, 0)
    assert level_of(theirs) == 30  # that was asked for


def test_a_result_that_was_edited_is_kept_and_not_replaced(tmp_path: Path) -> None:
    source, result = paint(tmp_path / "in" / "a.png", 10), tmp_path / "out" / "a.png"
    denoise(tmp_path / "out", source)
    paint(result, 200)
    assert counts(denoise(tmp_path / "out", source)) == (0, 1, 0)
    paint(source, 20)
    summary = denoise(tmp_path / "out", source)
    ((path, reason),) = summary.skipped
    assert path == source and f"{result} was changed since it was made" in reason and "--overwrite" in reason
    assert level_of(result) == 200
    assert denoise(tmp_path / "out", source, overwrite=True).made == 1
    assert level_of(result) == 20


def test_other_settings_are_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    source = paint(tmp_path / "in" / "a.png", 10)
    denoise(tmp_path / "out", source, settings={"weights_sha256": "one"})
    before = {name: (tmp_path / "out" / name).read_bytes() for name in (RECORD, "a.png")}
    with pytest.raises(UserError, match=r"a\.png: made with weights_sha256=one; give --overwrite, another --output"):
        denoise(tmp_path / "out", source, settings={"weights_sha256": "two"})
    assert {name: (tmp_path / "out" / name).read_bytes() for name in before} == before
    assert denoise(tmp_path / "out", source, settings={"weights_sha256": "two"}, overwrite=True).made == 1
    assert counts(denoise(tmp_path / "out", source, settings={"weights_sha256": "two"})) == (0, 1, 0)


def test_a_record_says_all_that_made_a_result(tmp_path: Path) -> None:
    source = paint(tmp_path / "in" / "deep" / "a.png", 10)
    denoise(tmp_path / "out", tmp_path / "in", settings={"weights_sha256": "one"})
    (line,) = map(json.loads, (tmp_path / "out" / RECORD).read_text().splitlines())
    assert (line["source"], line["path"], line["name"]) == ("deep/a.png", str(source.resolve()), "deep/a")
    assert set(line["outputs"]) == {"deep/a.png"}
    assert line["settings"] == {"weights_sha256": "one", "format": "png"}
    assert line["version"]


# ---------------------------------------------------------------- kills and damage


class Killed(BaseException):
    pass


@pytest.mark.parametrize("moment", ["before the line", "after the line", "between two files"])
@pytest.mark.parametrize("changed", [False, True])
def test_a_kill_at_any_moment_loses_and_mixes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, changed: bool
) -> None:
    source, output = tmp_path / "in" / "a.dng", tmp_path / "out"
    if changed:
        denoise(output, write_dng(source, random_mosaic(32, 32, seed=1)))
    denoise(tmp_path / "whole", write_dng(source, random_mosaic(32, 32, seed=2)))
    append, replace, calls = result_folder.append_line, Path.replace, []

    def dying_append(path: Path, line: Any) -> None:
        if moment == "after the line":
            append(path, line)
        raise Killed

    def dying_replace(part: Path, target: Path) -> Path:
        if Path(target).parent == output and Path(target).suffix in (".png", ".dng"):
            calls.append(target)
            if len(calls) == 2:
                raise Killed
        return replace(part, target)

    with monkeypatch.context() as patch:
        if moment == "between two files":
            patch.setattr(Path, "replace", dying_replace)
        else:
            patch.setattr(result_folder, "append_line", dying_append)
        with pytest.raises(Killed):
            denoise(output, source)
    assert counts(denoise(output, source)) == (1, 0, 0)
    for name in ("a.dng", "a.png"):
        assert (output / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert files_of(output) == {"a.dng", "a.png"}
    assert counts(denoise(output, source)) == (0, 1, 0)


def damages(line: dict[str, Any]) -> dict[str, bytes]:
    """Returns kinds of damage to a line of the record."""

    def changed(**more: Any) -> bytes:
        return json.dumps({**line, **more}).encode() + b"\n"

    about = next(iter(line["outputs"].values()))
    return {
        "empty": b"",
        "not UTF-8": b"\xff\xfe" * 40 + b"\n",
        "half": json.dumps(line).encode()[:60],
        "a list": b"[]\n",
        "a text": b'"results"\n',
        "deep nesting": b"[" * 50_000 + b"\n",
        "a name that is a number": changed(name=7),
        "outputs that are a list": changed(outputs=["a.png"]),
        "outputs outside of the folder": changed(outputs={"../in/a.png": about}, name="../in/a"),
        "an absolute output": changed(outputs={"/tmp/a.png": about}, name="/tmp/a"),
        "an output with NUL": changed(outputs={"a\0.png": about}, name="a\0"),
        "a size that is a text": changed(outputs={"a.png": {**about, "bytes": "12"}}),
        "a hash that is a number": changed(sha256=7),
        "no settings": changed(settings=None),
        "half a surrogate": changed(name="\ud800", outputs={"\ud800.png": about}),
        "no source": changed(source=None),
        "a stamp of words": changed(stamp=["a", "b", "c", "d"]),
        "a name too long": changed(name="x" * 5000, outputs={"x" * 5000 + ".png": about}),
    }


@pytest.mark.parametrize("damage", damages({"outputs": {"a.png": {}}}))
def test_a_damaged_record_is_survived_and_nothing_is_lost(tmp_path: Path, damage: str) -> None:
    for name, level in (("a.jpg", 10), ("b.jpg", 20)):
        paint(tmp_path / "in" / name, level)
    denoise(tmp_path / "out", tmp_path / "in")
    first, second = (tmp_path / "out" / RECORD).read_bytes().splitlines(keepends=True)
    (tmp_path / "out" / RECORD).write_bytes(damages(json.loads(first))[damage].rstrip(b"\n") + b"\n" + second)
    summary = denoise(tmp_path / "out", tmp_path / "in")
    assert summary.skipped == []
    assert summary.kept >= 1
    assert [level_of(tmp_path / "out" / f"{name}.png") for name in "ab"] == [10, 20]
    assert files_of(tmp_path / "in") == {"a.jpg", "b.jpg"}
    assert files_of(tmp_path / "out") <= {"a.png", "b.png", "a.jpg.png"}


def test_a_record_that_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "out" / RECORD).mkdir(parents=True)
    with pytest.raises(UserError, match=r"results\.jsonl: cannot be read"):
        denoise(tmp_path / "out", paint(tmp_path / "a.png", 10))


def test_names_that_are_not_utf_8_go_through_from_end_to_end(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \x1b[31m")
    try:
        paint(tmp_path / "in" / f"{name}.jpg", 10)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes UTF-8 only")
    assert counts(denoise(tmp_path / "out", tmp_path / "in")) == (1, 0, 0)
    assert files_of(tmp_path / "out") == {f"{name}.png"}
    assert counts(denoise(tmp_path / "out", tmp_path / "in")) == (0, 1, 0)


# ---------------------------------------------------------------- the length of the record


def record_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / RECORD).read_text().splitlines()]


def test_a_record_forgets_what_was_replaced_and_nothing_else(tmp_path: Path) -> None:
    photos, out = tmp_path / "in", tmp_path / "out"
    for number in range(3):
        paint(photos / f"{number}.png", number)
    for _ in range(3):
        denoise(out, photos, overwrite=True)
    paint(tmp_path / "other" / "x.png", 9)
    before = record_of(out)
    assert len(before) == 9
    denoise(out, tmp_path / "other")
    lines = record_of(out)
    assert [line["source"] for line in lines] == ["0.png", "1.png", "2.png", "x.png"]
    files = files_of(out)
    assert counts(denoise(out, photos)) == (0, 3, 0)
    assert record_of(out) == lines and lines[:3] == before[-3:]  # the newest, as they were
    assert counts(denoise(out, photos, tmp_path / "other")) == (0, 4, 0) and files_of(out) == files


def test_an_earlier_line_that_a_file_needs_is_kept(tmp_path: Path) -> None:
    """A run that is killed between line and renaming leaves the file of the line before."""
    photo, out = paint(tmp_path / "in" / "a.png", 1), tmp_path / "out"
    denoise(out, photo)
    before, first = (out / "a.png").read_bytes(), (out / RECORD).read_bytes()
    paint(photo, 2)
    denoise(out, photo)
    second = (out / RECORD).read_bytes().removeprefix(first)
    (out / "a.png").write_bytes(before)
    (out / RECORD).write_bytes(3 * first + second)
    paint(photo, 3)
    assert denoise(out, photo).made == 1  # known as ours, by the first line
    assert level_of(out / "a.png") == 3


def test_a_kill_while_a_record_is_shortened_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, out = paint(tmp_path / "in" / "a.png", 1), tmp_path / "out"
    denoise(out, photo)
    line = (out / RECORD).read_bytes()
    (out / RECORD).write_bytes(3 * line)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            denoise(out, photo)
    assert (out / RECORD).read_bytes() == 3 * line and not list(out.glob("*.part"))
    assert counts(denoise(out, photo)) == (0, 1, 0) and (out / RECORD).read_bytes() == line
    (out / RECORD).write_bytes(3 * line + b"half a line")
    denoise(out, photo)
    assert (out / RECORD).read_bytes() == 3 * line + b"half a line"
