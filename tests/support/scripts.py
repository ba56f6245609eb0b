"""Runs the scripts of the repository: in this process, which is quick, or in processes of their
own.
"""

import contextlib
import io
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from cycleisp.utils.cli import run_script
from tests.support.paths import ROOT

Outcome = subprocess.CompletedProcess[str]


def call_script(main: Callable[[], int | None], *options: object) -> Outcome:
    """Runs a script's `main` with a command line, and returns what its process would leave."""
    words, out, err = ["script.py", *map(str, options)], io.StringIO(), io.StringIO()
    handler, root = logging.StreamHandler(err), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        with (
            mock.patch.object(sys, "argv", words),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            run_script(main)
    except SystemExit as left:
        assert isinstance(left.code, int)
        return Outcome(words, left.code, out.getvalue(), err.getvalue())
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    raise AssertionError("run_script has returned")


def start_script(script: str | Path, *options: object) -> Outcome:
    """Runs a script of the repository as a process of its own, in the repository's folder."""
    command = [sys.executable, str(ROOT / script), *map(str, options)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT, env=environment)


def error_line(result: Outcome) -> str:
    """Returns the one line of a run that could not start."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("error: "))
    return line
