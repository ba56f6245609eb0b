"""Which code made a file."""

import subprocess
from pathlib import Path

VERSION = "0.1.0"


def code_version() -> str:
    """The version, and the git commit where the code lies in a repository: `0.1.0+g1a2b3c4` (`.dirty` if changed)."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return VERSION
    try:
        described = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty=.dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return VERSION
    return f"{VERSION}+g{described.stdout.strip()}"
