"""Processes that end with the one that started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
print(child.pid, flush=True)
child.wait()
"""
CHILD = """
import signal, sys, time
from cycleisp.utils.processes.lifetimes import stop_when_orphaned
signal.signal(signal.SIGTERM, lambda *_: sys.exit(open({path!r}, "w").write("asked")))
stop_when_orphaned(every=0.05)
open({path!r}, "w").write("ready")
time.sleep(60)
"""


@pytest.mark.parametrize("by_torchrun", [True, False])
def test_processes_of_torchrun_are_asked_to_stop_when_it_is_killed(tmp_path: Path, by_torchrun: bool) -> None:
    said = tmp_path / "said"
    environment = {name: value for name, value in os.environ.items() if name != "TORCHELASTIC_RUN_ID"}
    environment |= {"TORCHELASTIC_RUN_ID": "1"} if by_torchrun else {}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD.format(path=str(said))],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        wait_for(said, "ready", 30)
        parent.kill()
        parent.wait()
        wait_for(said, "asked" if by_torchrun else "ready", 10)
        if not by_torchrun:
            time.sleep(0.3)
            assert said.read_text() == "ready"
    finally:
        parent.stdout.close()
        if said.exists() and said.read_text() != "asked":
            os.kill(child, signal.SIGKILL)


LATE = """
import cycleisp.utils.processes.early_stop
import os, pathlib, time
from cycleisp.utils.processes.lifetimes import stop_when_orphaned
said, parent = pathlib.Path({path!r}), os.getppid()
said.write_text("ready")
while os.getppid() == parent:
    time.sleep(0.01)
stop_when_orphaned()
said.write_text("went on")
"""


def test_a_process_of_torchrun_that_was_orphaned_while_it_imported_ends_at_once(tmp_path: Path) -> None:
    said = tmp_path / "said"
    environment = os.environ | {"TORCHELASTIC_RUN_ID": "1"}
    command = [sys.executable, "-c", PARENT, LATE.format(path=str(said))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        wait_for(said, "ready", 30)
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{child}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert said.read_text() == "ready"


def wait_for(path: Path, content: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists() or path.read_text() != content:
        assert time.monotonic() < deadline
        time.sleep(0.02)
