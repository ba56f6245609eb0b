"""download_models.py as users call it, on a registry of its own."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from download_models import main
from tests.support.scripts import Outcome, call_script
from tests.support.weights import ENTRY, write_registry


@pytest.fixture
def offered(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """A function: `offered("a")` makes a weight file and returns an entry that fetches it."""

    def offer(name: str, **changes: Any) -> dict[str, Any]:
        path = tmp_path / "elsewhere" / f"{name}.pth"
        path.parent.mkdir(exist_ok=True)
        torch.save({"state_dict": {name: torch.zeros(3)}}, path)
        content = path.read_bytes()
        facts = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "sources": [path.as_uri()]}
        return {**ENTRY, "name": name, "file": f"released/{name}.pth", "licence": f"that of {name}", **facts, **changes}

    return offer


def download(*options: object) -> Outcome:
    result = call_script(main, *options)
    assert "Traceback" not in result.stderr
    return result


def test_names_and_bundles_are_fetched_once_with_licence_and_hash(
    models: Path, offered: Callable[..., dict[str, Any]]
) -> None:
    bundle = {"name": "both", "network": "CycleISP", "space": "srgb and raw", "members": ["a", "b"]}
    write_registry(models, offered("a"), offered("b", sha256=None, bytes=None), offered("c"), bundles=[bundle])
    result = download("b", "both")
    assert result.returncode == 0, result.stderr
    assert "a: licence: that of a" in result.stderr
    assert re.search(r"b: .*b\.pth, SHA-256 \w{64} \(as recorded\)", result.stdout)
    assert re.search(r"a: .*a\.pth, SHA-256 \w{64} \(as the registry says\)", result.stdout)
    assert "2 of 2 files there" in result.stdout
    assert {path.name for path in models.rglob("*.pth")} == {"a.pth", "b.pth"}
    again = download("--all")
    assert "3 of 3 files there" in again.stdout
    assert "licence: that of c" in again.stderr
    assert "licence: that of a" not in again.stderr  # nothing was fetched


def test_a_failure_does_not_stop_the_others(models: Path, offered: Callable[..., dict[str, Any]]) -> None:
    write_registry(models, offered("a", sources=["file:///nowhere/a.pth"]), offered("b", sources=[]), offered("c"))
    result = download("--all")
    assert result.returncode == 1
    assert "error: a: no source gives" in result.stderr
    assert "file:///nowhere/a.pth: cannot be read" in result.stderr
    assert "error: b: " in result.stderr
    assert "git checkout" in result.stderr
    assert "1 of 3 files there" in result.stdout


def test_a_damaged_file_is_found_out(models: Path, offered: Callable[..., dict[str, Any]]) -> None:
    write_registry(models, offered("a"))
    assert download("a").returncode == 0
    (models / "released" / "a.pth").write_bytes(b"damaged")
    result = download("a")
    assert result.returncode == 1
    assert "remove it and fetch it again" in result.stderr


def test_the_list(models: Path, offered: Callable[..., dict[str, Any]]) -> None:
    write_registry(models, offered("a"), offered("b", bytes=None))
    result = download("--list")
    assert result.returncode == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["name", "a", "b"]
    assert "that of b" in result.stdout
    assert not list(models.rglob("*.pth"))


def test_unknown_names_and_no_names_stop_it(models: Path, offered: Callable[..., dict[str, Any]]) -> None:
    write_registry(models, offered("a"), offered("b", sources=[]))
    result = download("a", "nowhere")
    assert result.returncode == 2
    assert "nowhere: not in the registry; shipped are: b; to be fetched: a" in result.stderr
    for options in ((), ("--all", "a"), ("--all", "--list")):
        assert download(*options).returncode == 2
    assert not list(models.rglob("*.pth"))
