"""The version of the code, which files made by it state."""

import subprocess
from pathlib import Path

from cycleisp import __version__


def code_version() -> str:
    """Returns the version and, in a git repository, the commit, as in `0.1.0+g1a2b3c4`.

    `.dirty` at the end says that files have changed since that commit.
    """
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return __version__
    try:
        described = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty=.dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return __version__
    return f"{__version__}+g{described.stdout.strip()}"
