"""The boundary between the scripts and the shell: exit statuses, last words, and no traceback."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from cycleisp.utils.errors import UserError
from cycleisp.utils.weights.errors import DownloadError
from tests.support.paths import ROOT
from tests.support.scripts import call_script

GOES_ON = "what is finished is saved, and the same command goes on"


def raising(error: BaseException):
    def main() -> int:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (UserError("a.jpg: is empty; remove it"), 2, "error: a.jpg: is empty; remove it"),
        (OSError(28, "No space left", "/disk/a.png"), 2, f"error: /disk/a.png: No space left; {GOES_ON}"),
        (KeyboardInterrupt(), 130, f"stopped by Ctrl-C; {GOES_ON}"),
        (MemoryError(), 2, "error: the memory of this machine does not suffice; give smaller images or tiles"),
        (UserError("a\n\x1b[31m\udcff.jpg: is empty"), 2, r"error: a\n\x1b[31m\xff.jpg: is empty"),
        (DownloadError("a: no source gives b:\nc\x07"), 2, "error: a: no source gives b:\nc\\x07"),
    ],
)  # fmt: skip
def test_every_mishap_becomes_one_line(error, status, words) -> None:
    result = call_script(raising(error))
    assert (result.returncode, result.stderr) == (status, f"{words}\n")


@pytest.mark.parametrize(
    ("arguments", "which"),
    [
        (["--output", ""], "--output"),
        (["photo.png", "--output="], "--output"),
        (["--input", "a.png", "", "--seed", "1"], "--input"),
        (["", "--output", "out"], "argument 1"),
    ],
)
def test_an_empty_value_is_refused_and_never_the_present_folder(arguments, which) -> None:
    result = call_script(lambda: pytest.fail("begun"), *arguments)
    assert result.returncode == 2 and result.stderr.startswith(f"error: {which}: is empty, ")
    assert call_script(lambda: 0, "--set", "data.holdout=[]", "--", "a=", " ").returncode == 0


def test_a_bug_says_so_and_where_its_traceback_is(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = call_script(raising(ZeroDivisionError("of \x1b[0m")))
    assert result.returncode == 70
    first, second = result.stderr.splitlines()
    assert first == r"error: this is a bug: ZeroDivisionError: of \x1b[0m"
    (report,) = tmp_path.iterdir()
    assert str(report) in second and "Traceback" in report.read_text()


# ------------------------------------------------------------ with a process of its own

SCRIPT = """
import logging, os, sys, time
from cycleisp.utils.boundary import run_script
from cycleisp.utils.output.progress import progress_bar
{main}
run_script(main)
"""


def script(tmp_path: Path, main: str) -> list[str]:
    path = tmp_path / f"script{len(list(tmp_path.iterdir()))}.py"
    path.write_text(SCRIPT.format(main=main))
    return [sys.executable, str(path)]


def start(tmp_path: Path, main: str, **options) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        script(tmp_path, main),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **options,
    )


WAITS = """
def main():
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        print("closed", flush=True)
"""
WAITS_TWICE = """
def main():
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        print("closing", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize(
    ("number", "status", "name"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_a_signal_ends_a_run_in_order_and_a_second_one_at_once(tmp_path, number, status, name) -> None:
    first, second = start(tmp_path, WAITS), start(tmp_path, WAITS_TWICE)
    for process in (first, second):
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
    assert first.communicate(timeout=20) == ("closed\n", f"stopped by {name}; {GOES_ON}\n")
    assert second.stdout.readline() == "closing\n"
    second.send_signal(number)
    assert second.communicate(timeout=20) == ("", f"\nstopped at once by {name}; {GOES_ON}\n")
    assert (first.returncode, second.returncode) == (status, status)


def test_a_signal_that_the_shell_ignores_stays_ignored(tmp_path) -> None:
    main = "import signal\ndef main():\n    os.kill(os.getpid(), signal.SIGINT)\n    print('went on')\n"
    process = start(tmp_path, main, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    assert process.communicate(timeout=20) == ("went on\n", "") and process.returncode == 0


def test_a_forked_process_ends_by_a_signal_as_ever(tmp_path) -> None:
    main = """
import signal
def main():
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert start(tmp_path, main).communicate(timeout=20) == (f"{-signal.SIGTERM}\n", "")


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_leaves_is_no_error(tmp_path, lines) -> None:
    main = f"def main():\n    time.sleep(0.3)\n    for _ in range({lines}):\n        print('a line')\n    return 0\n"
    process = start(tmp_path, main)
    process.stdout.close()
    assert process.wait(timeout=20) == 141
    assert process.stderr.read() == ""


def test_no_name_is_an_error_while_it_is_printed(tmp_path) -> None:
    main = (
        "def main():\n    print('a\\udcffb \\u00e4')\n    logging.getLogger('cycleisp').warning('%s', 'c\\udcfe\\n')\n"
    )
    process = subprocess.run(
        script(tmp_path, main),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
        timeout=20,
    )
    assert (process.stdout, process.stderr) == ("a\\udcffb \\xe4\n", "WARNING c\\xfe\\n\n")


def test_log_lines_stand_above_the_bar_and_leave_it_whole(tmp_path) -> None:
    main = """
def main():
    for number in progress_bar(iterable=range(3), desc="matching"):
        logging.getLogger("cycleisp").warning("skipped %s", number)
"""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(script(tmp_path, main), stderr=theirs, env={**os.environ, "PYTHONPATH": str(ROOT)})
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait(timeout=20) == 0
    lines = [line.split("\r")[-1] for line in shown.decode().replace("\r\n", "\n").strip().split("\n")]
    assert [line for line in lines if "WARNING" in line] == [f"WARNING skipped {number}" for number in range(3)]
    assert lines[-1].startswith("matching: 100%") and len(lines) == 4


def test_debug_level_shows_what_happened_to_a_file(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CYCLEISP_LOG", "debug")
    main = """
def main():
    try:
        raise TypeError("deep inside")
    except TypeError:
        logging.getLogger("cycleisp.a").debug("a.tif\\x1b: cannot be read", exc_info=True)
    logging.getLogger("PIL").debug("STREAM IHDR")
"""
    _, err = start(tmp_path, main).communicate(timeout=20)
    assert err.startswith("DEBUG a.tif\\x1b: cannot be read\nTraceback") and err.endswith("TypeError: deep inside\n")


def test_an_unknown_level_is_refused(monkeypatch) -> None:
    monkeypatch.setenv("CYCLEISP_LOG", "loud")
    result = call_script(lambda: 0)
    assert result.returncode == 2
    assert (
        result.stderr == "error: environment variable CYCLEISP_LOG: expected debug, info, warning, error, got 'loud'\n"
    )
