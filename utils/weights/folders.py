"""Where weight files lie: shipped ones in the package, fetched ones where the user may write."""

import os
from pathlib import Path

import torch

SHIPPED = Path(__file__).resolve().parents[2] / "pretrained_models"  # of the checkout, or of the installed package
VARIABLE = "CYCLEISP_WEIGHTS"


def in_checkout() -> bool:
    """Returns whether the code lies in a checkout of the repository, not an installed package."""
    return (SHIPPED.parent / "setup.py").is_file()


def fetched() -> Path:
    """Returns the folder for fetched weights, which need not exist yet.

    The environment variable CYCLEISP_WEIGHTS names it. Without the variable it is
    pretrained_models/ in a checkout. The folder of an installed package may be read-only, and an
    update replaces it; there it is PyTorch's cache of weights, by default
    ~/.cache/torch/hub/checkpoints/cycleisp. `torch.hub.get_dir` finds that cache, since PyTorch is
    needed anyway, many users have moved it (TORCH_HOME, XDG_CACHE_HOME), and torchvision and timm
    keep their weights there too.
    """
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    if in_checkout():
        return SHIPPED
    return Path(torch.hub.get_dir(), "checkpoints", "cycleisp")


def how_to_restore(path: Path) -> str:
    """Returns what a user can do about a shipped file that is missing or damaged."""
    return f"restore it: git checkout -- {path}" if in_checkout() else "reinstall the package"
