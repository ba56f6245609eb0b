"""A run's claim on its folder: one run at a time, and what the dead leave behind."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from cycleisp.utils.errors import UserError
from cycleisp.utils.output.claim import claimed
from cycleisp.utils.output.files import STALE
from tests.support.claims import holder


def stale(folder: Path, age: float) -> Path:
    path = folder / "deep" / f".cycleisp-{os.urandom(8).hex()}.part"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_the_second_run_says_who_holds_the_folder_until_that_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    process = holder(folder)
    with pytest.raises(UserError) as refused, claimed(folder, "--run-dir"):
        pass
    assert re.fullmatch(
        rf"{folder}: another run writes there, process {process.pid} of \S+ on \S+; wait for it or stop it, "
        r"or give another --run-dir",
        str(refused.value),
    )
    process.send_signal(signal.SIGKILL)
    process.wait()
    with claimed(folder):
        pass


def test_what_killed_runs_left_goes_and_what_others_write_stays(tmp_path: Path) -> None:
    fresh, old = stale(tmp_path, 5), stale(tmp_path, STALE + 60)
    with claimed(tmp_path, shared=True):  # other processes of this run may be writing
        assert fresh.exists() and not old.exists()
    with claimed(tmp_path):
        assert not fresh.exists()


def test_a_folder_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="give another --output"), claimed(tmp_path / "file"):
        pass


def test_nothing_but_the_lock_stays(tmp_path: Path) -> None:
    with claimed(tmp_path / "out"):
        assert len(list((tmp_path / "out").iterdir())) == 2
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {".cycleisp.lock"}
