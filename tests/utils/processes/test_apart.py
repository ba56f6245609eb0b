"""Readers in other processes: their results, and the one error of a file that ends them."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cycleisp.utils.errors import UserError
from cycleisp.utils.processes import apart as module
from cycleisp.utils.processes.apart import apart, end_readers
from tests.support import readers
from tests.support.paths import ROOT

PHOTO = Path("photos/a.jpg")


def is_gone(process: int, seconds: float = 10) -> bool:
    """Waits until a process is no more, or waits to be buried by a parent that is not ours."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("columns_first", [False, True])
def test_arrays_come_back_as_they_are_and_can_be_written(columns_first: bool) -> None:
    array = apart(readers.ramp, PHOTO, 30, 70, columns_first=columns_first)
    assert (array == readers.ramp(PHOTO, 30, 70)).all() and array.dtype == np.uint16
    array[0, 0] = 7


def test_arrays_go_there_too() -> None:
    assert apart(readers.sums, PHOTO, [np.ones((5, 7)), np.zeros(0), np.full(3, 2, np.uint8)]) == [35, 0, 6]


def test_one_process_serves_one_call_after_the_other() -> None:
    first = apart(readers.process_of, PHOTO)
    assert first != os.getpid() and apart(readers.process_of, PHOTO) == first


def test_threads_do_not_wait_for_each_other() -> None:
    together = threading.Barrier(3)

    def call(number: int) -> int:
        together.wait()
        return apart(readers.sums, PHOTO, [np.full(10, number)])[0]

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(call, range(3))) == [0, 10, 20]


@pytest.mark.parametrize(
    ("reader", "seconds", "words"),
    [
        (readers.crash, None, "SIGSEGV"),
        (readers.leave, None, "SIGABRT"),
        (readers.hang, 1, "no answer of its reader in 1 s"),
    ],
)
def test_a_reader_that_crashes_or_hangs_costs_its_file_alone(reader, seconds, words) -> None:
    with pytest.raises(UserError, match=r"^photos/a\.jpg: ") as failure:
        apart(reader, PHOTO, seconds=seconds)
    assert words in str(failure.value) and "\n" not in str(failure.value)
    assert apart(readers.sums, PHOTO, [np.ones(3)]) == [3]


def test_a_reader_that_asks_for_all_memory_is_refused_some() -> None:
    with pytest.raises(UserError, match=r"^photos/a\.jpg: does not fit into memory"):
        apart(readers.take_all_memory, PHOTO, memory=200 << 20)
    assert apart(readers.sums, PHOTO, [np.ones(3)]) == [3]


def test_limits_of_the_environment_hold(monkeypatch) -> None:
    monkeypatch.setenv("CYCLEISP_READ_SECONDS", "1")
    with pytest.raises(UserError, match="set the environment variable CYCLEISP_READ_SECONDS higher"):
        apart(readers.hang, PHOTO)
    monkeypatch.delenv("CYCLEISP_READ_SECONDS")
    monkeypatch.setenv("CYCLEISP_READ_BYTES", str(200 << 20))
    with pytest.raises(UserError, match="memory"):
        apart(readers.take_all_memory, PHOTO)


def test_a_reader_that_was_killed_meanwhile_is_replaced() -> None:
    os.kill(apart(readers.process_of, PHOTO), signal.SIGKILL)
    assert apart(readers.sums, PHOTO, [np.ones(3)]) == [3]


@pytest.mark.parametrize("switch", ["1", "0"])
def test_errors_come_back_as_from_a_reader_at_hand(monkeypatch, switch) -> None:
    monkeypatch.setenv("CYCLEISP_APART", switch)
    with pytest.raises(UserError, match=r"^photos/a\.jpg: is not what it should be; remove it$"):
        apart(readers.refuse, PHOTO)
    with pytest.raises(UserError, match=r"^photos/a\.jpg: is damaged.*300 out of bounds for uint8"):
        apart(readers.stumble, PHOTO)


def test_a_result_that_cannot_be_sent_is_an_error_of_the_file() -> None:
    with pytest.raises(UserError, match=r"^photos/a\.jpg: its content cannot be passed on"):
        apart(readers.unsendable, PHOTO)
    assert apart(readers.sums, PHOTO, [np.ones(3)]) == [3]


def test_the_switch_reads_in_this_process(monkeypatch) -> None:
    monkeypatch.setenv("CYCLEISP_APART", "0")
    assert apart(readers.process_of, PHOTO) == os.getpid()


def test_what_a_reader_logs_is_logged_here_and_what_it_prints_is_not(caplog, capfd) -> None:
    with caplog.at_level(logging.INFO):
        apart(readers.whisper, PHOTO)
    assert caplog.record_tuples == [("tests.support.readers", logging.WARNING, "photos/a.jpg: is strange")]
    assert capfd.readouterr() == ("", "")


def test_a_debug_log_has_the_traceback_of_a_librarys_error(caplog) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(UserError):
        apart(readers.stumble, PHOTO)
    assert "OverflowError" in caplog.text and "readers.py" in caplog.text


def test_readers_see_the_folder_and_variables_of_the_moment(monkeypatch, tmp_path) -> None:
    apart(readers.process_of, PHOTO)
    monkeypatch.setenv("CYCLEISP_TRIED", "yes")
    monkeypatch.chdir(tmp_path)
    assert apart(readers.variable, PHOTO) == ("yes", os.path.realpath(tmp_path))
    monkeypatch.delenv("CYCLEISP_TRIED")
    assert apart(readers.variable, PHOTO)[0] == ""


def test_names_that_are_no_unicode_pass(tmp_path) -> None:
    path = Path(os.fsdecode(b"/tmp/\xff.png"))
    with pytest.raises(UserError) as failure:
        apart(readers.refuse, path)
    assert str(path) in str(failure.value)


def test_a_fork_leaves_the_readers_to_its_parent() -> None:
    reader = apart(readers.process_of, PHOTO)
    child = os.fork()
    if child == 0:
        other = apart(readers.process_of, PHOTO)
        end_readers()
        os._exit(0 if other != reader else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert apart(readers.process_of, PHOTO) == reader


def test_ending_all_readers_frees_who_waits_for_them(tmp_path) -> None:
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(apart, readers.sleep, tmp_path / "process")
        while not (tmp_path / "process").is_file():
            time.sleep(0.01)
        end_readers()
        with pytest.raises(UserError, match="killed"):
            job.result(timeout=10)
    assert not module._READERS.idle and not module._READERS.busy


# No `if __name__ == "__main__"`, as in notebooks. random.py in the present folder must not take the
# place of Python's own.
SCRIPT = """
import sys
from pathlib import Path
from cycleisp.utils.processes.apart import apart
from tests.support import readers
print("begun", flush=True)
apart(readers.process_of, Path("a"))
apart(getattr(readers, sys.argv[1]), Path(sys.argv[2]))
"""


def start(tmp_path: Path, reader: str) -> "subprocess.Popen[str]":
    script, folder = tmp_path / "script.py", tmp_path / "here"
    folder.mkdir(parents=True)
    script.write_text(SCRIPT)
    (folder / "random.py").write_text("raise SystemExit('imported')")
    return subprocess.Popen(
        [sys.executable, str(script), reader, str(tmp_path / "process")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        start_new_session=True,
    )


def process_that_reads(tmp_path: Path) -> int:
    path = tmp_path / "process"
    end = time.monotonic() + 60
    while not (path.is_file() and path.read_text()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return int(path.read_text())


def test_a_script_without_a_guard_runs_once_and_leaves_no_process(tmp_path) -> None:
    script = start(tmp_path, "process_of")
    out, err = script.communicate(timeout=60)
    assert (script.returncode, out, err) == (0, "begun\n", "")


def test_a_reader_ends_with_its_parent_however_that_ends(tmp_path) -> None:
    scripts = {how: start(tmp_path / how.name, "sleep") for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)}
    for how, script in scripts.items():
        reader = process_that_reads(tmp_path / how.name)
        os.killpg(script.pid, how)
        script.communicate(timeout=20)
        assert is_gone(reader)


def test_readers_import_no_pytorch() -> None:
    modules = ["cycleisp.utils.processes.apart", "cycleisp.dataloaders.photos", "cycleisp.utils.raw.camera_files"]
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
