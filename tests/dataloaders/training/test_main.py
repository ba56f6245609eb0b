"""python -m cycleisp.dataloaders.training as users call it."""

import subprocess
import sys
from pathlib import Path

from cycleisp.dataloaders.training.__main__ import main
from cycleisp.dataloaders.training.raw_pair_store import RawPairStore
from tests.support.paths import ROOT
from tests.support.pictures import random_mosaic, write_dng
from tests.support.scripts import call_script, error_line


def test_camera_files_become_pairs_and_bad_ones_are_told(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_dng(tmp_path / "in" / f"{name}.dng", random_mosaic(32, 40))
    bad = tmp_path / "in" / "c.dng"
    bad.write_bytes(b"garbage" * 100)
    store = tmp_path / "store"
    result = call_script(main, "--input", tmp_path / "in", "--output", store, "--workers", 2)
    assert result.returncode == 0, result.stderr
    skipped, summary = result.stdout.splitlines()
    assert skipped.startswith(f"skipped {bad}: ") and "LibRaw cannot read it" in skipped
    assert summary == f"2 pairs ready in {store}, 1 files skipped (report.tsv)"
    assert RawPairStore(store, ["a", "b"]).pair("a")[0].shape == (32, 40)


def test_several_inputs_go_into_one_folder(tmp_path: Path) -> None:
    paths = [write_dng(tmp_path / folder / f"{folder}.dng", random_mosaic(32, 40)) for folder in "xy"]
    result = call_script(main, "--input", *paths, "--output", tmp_path / "store")
    assert result.stdout == f"2 pairs ready in {tmp_path / 'store'}, 0 files skipped (report.tsv)\n"


def test_what_a_user_can_mend_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, words in (("nowhere", "no such file or folder"), ("empty", "no camera RAW file")):
        result = call_script(main, "--input", tmp_path / name, "--output", tmp_path / "store")
        assert error_line(result).startswith(f"error: {tmp_path / name}: {words}")
    assert not (tmp_path / "store").exists()


def test_the_command_runs_from_the_shell() -> None:
    command = [sys.executable, "-m", "cycleisp.dataloaders.training", "--help"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("usage: python -m cycleisp.dataloaders.training ")
