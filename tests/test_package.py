"""The installed package: one version, types that reach across its folders, a light import."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import cycleisp
from tests.support.paths import ROOT

PLANTED = """
import cycleisp
from cycleisp.dataloaders.pairs import factory
from cycleisp.networks.inference import tiled

factory.as_float("no array")  # dataloaders/ has it from utils/
tiled.pad_to_multiple("no tensor", 2)  # networks/ has it from utils/
tiled.RawDenoiser(width="wide")  # one folder of networks/ from another
cycleisp.load(3)  # the public API
cycleisp.lode("compact_srgb")
"""


def run_python(*words: str, folder: Path = ROOT) -> str:
    """Runs Python in a folder and returns what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=folder,
        env=environment,
        check=False,
    )
    return ended.stdout + ended.stderr


def test_type_errors_across_folders_are_found(tmp_path: Path) -> None:
    """A package whose folders mypy cannot follow would pass any error; see `make test`."""
    pytest.importorskip("mypy", reason="mypy belongs to the developers' environment")
    planted = tmp_path / "planted.py"
    planted.write_text(PLANTED)
    said = run_python("-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(planted))
    found = {int(line) for line in re.findall(r"planted\.py:(\d+): error", said)}
    assert found == {6, 7, 8, 9, 10}, said


def test_there_is_one_version() -> None:
    pytest.importorskip("setuptools", reason="setup.py runs on setuptools")
    newest = re.search(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    packaged = run_python("setup.py", "--version").split()[-1]
    assert newest is not None
    assert newest[1] == citation["version"] == packaged == cycleisp.__version__


def test_the_citation_names_the_paper_and_the_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["license"] == "Apache-2.0"
    (paper,) = citation["references"]
    assert paper["title"].startswith("CycleISP") and "2003.07761" in paper["url"]


def test_importing_the_package_loads_no_library() -> None:
    """Programs that only ask for the version should not wait for PyTorch."""
    heavy = run_python("-c", "import cycleisp, sys; print(sorted({'torch', 'numpy', 'cv2'} & sys.modules.keys()))")
    assert heavy.strip() == "[]"


def test_the_public_names_are_listed_and_others_are_refused() -> None:
    assert {"load", "denoise", "synthesize", "PairDataset", "__version__"} <= set(dir(cycleisp))
    assert all(getattr(cycleisp, name) is not None for name in cycleisp.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = cycleisp.lode  # type: ignore[attr-defined]


def test_files_of_a_user_do_not_get_in_the_way(tmp_path: Path) -> None:
    """Python looks beside a script first, where a user may have a utils.py or a folder networks."""
    (tmp_path / "networks").mkdir()
    for name in ("utils.py", "dataloaders.py", "networks/__init__.py"):
        (tmp_path / name).write_text("raise ImportError('a file of the user')")
    (tmp_path / "script.py").write_text("import cycleisp; print(type(cycleisp.load('compact_raw')).__name__)")
    assert run_python("script.py", folder=tmp_path).strip() == "RawDenoiser"


def versions(text: str, operator: str) -> dict[str, str]:
    """Returns the versions of packages after an operator such as `>=`, by lower-case name."""
    return {name.lower(): version for name, version in re.findall(rf"([\w-]+){operator}([\d.]+)", text)}


def test_the_oldest_versions_are_those_that_are_required() -> None:
    """constraints-oldest.txt pins the least that requirements.txt and the extra `test` allow."""
    requirements, setup, oldest = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("requirements.txt", "setup.py", "constraints-oldest.txt")
    )
    extra = next(line for line in setup.splitlines() if line.startswith("TEST = "))
    pinned = versions(oldest, "==")
    for name, least in {**versions(requirements, ">="), **versions(extra, ">=")}.items():
        assert f"{pinned[name]}.".startswith(f"{least}."), name
