"""Pairs as two LMDB folders, read back by the package lmdb as BasicSR's documentation describes."""

import argparse
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cycleisp.dataloaders.training import lmdb_export
from cycleisp.utils.errors import UserError
from tests.support.pairs import store_srgb, write_pair
from tests.support.pictures import random_picture
from tests.support.tar_shards import pack_by_tarfile

lmdb = pytest.importorskip("lmdb", reason="the export to LMDB needs the package lmdb")


def read(folder: Path) -> dict[str, tuple[str, NDArray]]:
    """Reads the pictures of a folder by their keys, each with its line of meta_info.txt."""
    found = {}
    with lmdb.open(str(folder), readonly=True, lock=False) as table, table.begin() as transaction:
        for line in (folder / "meta_info.txt").read_text().splitlines():
            key = line.split(".")[0]
            stored = np.frombuffer(transaction.get(key.encode()), np.uint8)
            found[key] = line, cv2.imdecode(stored, cv2.IMREAD_UNCHANGED)[..., ::-1]
        assert transaction.stat()["entries"] == len(found)
    return found


def export(*options: object) -> int:
    parser = argparse.ArgumentParser()
    lmdb_export.add_arguments(parser)
    return lmdb_export.run(parser.parse_args([str(option) for option in options]))


def test_pairs_of_shards_and_of_a_folder_are_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = {
        name: [random_picture(20, 28, seed=seed + extra) for extra in (0, 50)] for seed, name in enumerate("ab")
    }
    deep = random_picture(24, 32, seed=9).astype(np.uint16) * 257
    store_srgb(tmp_path / "made", "a", *pictures["a"])
    store_srgb(tmp_path / "made", "my photo.r2", *pictures["b"])
    pack_by_tarfile(tmp_path / "made", tmp_path / "shards")
    write_pair(tmp_path / "own", "deep/a", deep, deep)
    places = tmp_path / "shards", tmp_path / "own"
    assert export(*places, tmp_path / "out") == 0
    assert "3 pairs exported, 0 kept from before, 0 skipped" in capsys.readouterr().out
    noisy, clean = (read(tmp_path / "out" / f"{kind}.lmdb") for kind in ("noisy", "clean"))
    assert [line for line, _ in noisy.values()] == [
        "a.png (20,28,3) 1",
        "my_photo_r2.png (20,28,3) 1",
        "deep/a.png (24,32,3) 1",
    ]
    assert [line for line, _ in clean.values()] == [line for line, _ in noisy.values()]
    for key, name in (("a", "a"), ("my_photo_r2", "b")):
        np.testing.assert_array_equal(noisy[key][1], pictures[name][0])
        np.testing.assert_array_equal(clean[key][1], pictures[name][1])
    np.testing.assert_array_equal(clean["deep/a"][1], deep)
    assert export(*places, tmp_path / "out") == 0
    assert "0 pairs exported, 3 kept from before" in capsys.readouterr().out
    with pytest.raises(UserError, match="holds pairs made with"):
        export(tmp_path / "own", tmp_path / "out")


def test_a_stopped_export_goes_on_and_a_table_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        write_pair(tmp_path / "own", str(number), *[random_picture(60, 60, seed=number)] * 2)
    monkeypatch.setattr(lmdb_export, "_FIRST_SIZE", 1 << 16)  # two pictures of 11 kB fit
    monkeypatch.setattr(lmdb_export, "_BATCH", 2)
    put, calls = lmdb_export._put, []

    def stop_at_third(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 4:  # between the two pictures of a pair
            raise OSError(28, "No space left on device")
        put(*arguments)  # type: ignore[arg-type]

    options = tmp_path / "own", tmp_path / "out"
    with monkeypatch.context() as stopped:
        stopped.setattr(lmdb_export, "_put", stop_at_third)
        with pytest.raises(UserError, match="No space left on device"):
            export(*options)
    assert not (tmp_path / "out" / "noisy.lmdb" / "meta_info.txt").exists()
    assert export(*options) == 0
    noisy, clean = (read(tmp_path / "out" / f"{kind}.lmdb") for kind in ("noisy", "clean"))
    assert list(noisy) == list(clean) == list("012345")


def test_a_damaged_pair_is_left_out_of_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        write_pair(tmp_path / "own", name, *[random_picture(20, 28)] * 2)
    path = tmp_path / "own" / "clean" / "a.png"
    path.write_bytes(path.read_bytes()[:-40])
    assert export(tmp_path / "own", tmp_path / "out") == 1
    assert "skipped" in capsys.readouterr().out
    assert [list(read(tmp_path / "out" / f"{kind}.lmdb")) for kind in ("noisy", "clean")] == [["b"], ["b"]]
