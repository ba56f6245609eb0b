"""Ctrl-C while a script imports PyTorch, before it can see to signals itself."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

SCRIPTS = [
    *sorted(path for path in ROOT.glob("*.py") if "run_script(main)" in path.read_text()),
    *sorted(path for folder in ("dataloaders", "utils") for path in (ROOT / folder).rglob("__main__.py")),
]


@pytest.mark.parametrize("raised", ["KeyboardInterrupt", "ValueError('as ever')"])
def test_an_early_ctrl_c_is_one_line_and_other_errors_are_as_ever(raised: str) -> None:
    code = f"import cycleisp.utils.processes.early_stop\nraise {raised}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    if raised == "KeyboardInterrupt":
        assert (ended.returncode, ended.stderr) == (130, "stopped by Ctrl-C before anything was begun\n")
    else:
        assert ended.returncode == 1 and ended.stderr.endswith("ValueError: as ever\n")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_script_imports_it_before_what_takes_long(script: Path) -> None:
    ours = [node for node in ast.parse(script.read_text()).body if "cycleisp" in ast.dump(node) and _is_import(node)]
    assert isinstance(ours[0], ast.Import) and ours[0].names[0].name == "cycleisp.utils.processes.early_stop"


def test_it_imports_nothing_that_takes_long() -> None:
    slow = {"torch", "numpy", "pydantic"}
    code = f"import sys, cycleisp.utils.processes.early_stop\nassert not {slow} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)
