"""Fetching registered weights from Python."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

from cycleisp.tasks import downloads
from cycleisp.utils.errors import UserError
from tests.support.weights import ENTRY, write_registry


def offered(tmp_path: Path, name: str, **changes: Any) -> dict[str, Any]:
    """Makes a weight file elsewhere, and returns a registry entry with it as source."""
    path = tmp_path / "elsewhere" / f"{name}.pth"
    path.parent.mkdir(exist_ok=True)
    torch.save({"state_dict": {name: torch.zeros(3)}}, path)
    content = path.read_bytes()
    facts = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "sources": [path.as_uri()]}
    return {**ENTRY, "name": name, "file": f"released/{name}.pth", **facts, **changes}


def test_files_are_fetched_and_checked_one_after_another(models: Path, tmp_path: Path) -> None:
    write_registry(models, offered(tmp_path, "a"), offered(tmp_path, "b", sources=["file:///nowhere"]))
    results = downloads.fetch_all()
    assert not list(models.rglob("*.pth"))  # not before its result is asked for
    first, second = results
    assert (first.name, first.path, first.error) == ("a", models / "released" / "a.pth", None)
    assert first.sha256.endswith("(as the registry says)")
    assert (second.name, second.path, second.sha256) == ("b", None, "")
    assert "no source gives" in str(second.error)


def test_bundles_stand_for_their_files(models: Path, tmp_path: Path) -> None:
    bundle = {"name": "both", "network": "CycleISP", "space": "srgb and raw", "members": ["b", "a"]}
    write_registry(models, offered(tmp_path, "a"), offered(tmp_path, "b"), offered(tmp_path, "c"), bundles=[bundle])
    assert [weights.name for weights in downloads.choose(["a", "both"])] == ["a", "b"]
    assert [weights.name for weights in downloads.choose()] == ["a", "b", "c"]
    assert downloads.choose([]) == []
    assert downloads.table().splitlines()[-1].endswith(str(models / "released"))


def test_an_unknown_name_stops_everything(models: Path, tmp_path: Path) -> None:
    write_registry(models, offered(tmp_path, "a"))
    with pytest.raises(UserError, match="nowhere: not in the registry"):
        downloads.fetch_all(["a", "nowhere"])
