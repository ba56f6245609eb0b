"""Places: the repository, reference data that are not part of it, and what lies in a folder."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
BOOKKEEPING = ("results.jsonl", ".cycleisp.lock")  # beside results


def shared(name: str) -> Path:
    """Returns a file or folder of the reference data; skips the test where there are none."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the reference data {name} lies beside the developers' checkouts only")
    return path


def files_of(folder: Path) -> set[str]:
    """Returns the paths of all files in a folder and below, relative to it.

    The record of results and the claims of runs are left out.
    """
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in files if name.rsplit("/")[-1] not in BOOKKEEPING}
