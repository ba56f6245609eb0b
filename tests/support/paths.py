"""Where the tests find things that are not in the repository."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"


def shared(name: str) -> Path:
    """A file or folder of the reference data beside the checkout; skips the test, saying why, where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the reference data {name} lies beside the developers' checkouts only")
    return path
