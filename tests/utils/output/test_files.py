"""A file is whole or absent, whatever happens while it is written."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cycleisp.utils.output.files import allocate, atomic_path, remove_temporary_files, write_bytes
from tests.support.paths import ROOT

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from cycleisp.utils.output.files import atomic_path
with atomic_path(Path(sys.argv[1])) as aside:
    aside.write_bytes(b"half of")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_finished_file_is_there_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folders" / "a.bin"
    write_bytes(path, b"content")
    assert path.read_bytes() == b"content"
    assert [path.name for path in path.parent.iterdir()] == ["a.bin"]


def test_while_writing_the_old_content_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    with atomic_path(path) as aside:
        aside.write_bytes(b"new")
        assert path.read_bytes() == b"old"
        assert aside.parent == path.parent  # one file system: a rename cannot copy
        assert visible(tmp_path) == ["a.bin"]
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_nothing_behind_and_goes_on(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.bin"
    with pytest.raises(error), atomic_path(path) as aside:
        aside.write_bytes(b"half of")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_an_older_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    with pytest.raises(ValueError), atomic_path(path) as aside:
        aside.write_bytes(b"half of")
        raise ValueError
    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_an_error_before_anything_is_written_is_that_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "a.bin"):
        raise ZeroDivisionError


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_kill_leaves_no_finished_looking_file_and_the_next_try_works(tmp_path: Path, old: bytes | None) -> None:
    path = tmp_path / "a.h5"
    if old is not None:
        write_bytes(path, old)
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(path)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert visible(tmp_path) == ([] if old is None else ["a.h5"])
    assert not any(left.suffix == ".h5" and left != path for left in tmp_path.iterdir())  # no glob finds the half
    assert old is None or path.read_bytes() == old
    write_bytes(path, b"whole")
    remove_temporary_files(tmp_path, older_than=0)
    assert [(left.name, left.read_bytes()) for left in tmp_path.iterdir()] == [("a.h5", b"whole")]


@pytest.mark.parametrize("has_call", [True, False])
def test_allocation_fills_holes_and_changes_nothing(tmp_path: Path, monkeypatch, has_call: bool) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(b"head")
        file.truncate(3 << 20)
    assert path.stat().st_blocks * 512 < 1 << 20
    if not has_call:
        monkeypatch.delattr("os.posix_fallocate", raising=False)
    allocate(path)
    assert path.stat().st_blocks * 512 >= 3 << 20
    assert path.read_bytes() == b"head" + bytes((3 << 20) - 4)
