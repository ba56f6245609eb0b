"""Another process that claims a folder, as a run of a script does while it writes there."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

HOLDS = """
import sys, time
from pathlib import Path
from cycleisp.utils.output.claim import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def holder(folder: Path) -> "subprocess.Popen[str]":
    """Starts a process that holds the folder until it is killed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(folder)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process
