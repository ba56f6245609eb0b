"""Sizes of tiny networks, and registries of weights made by the tests."""

from pathlib import Path
from typing import Any

import yaml

from cycleisp.utils.weights import registry

_BRANCH = {"width": 8, "num_groups": 1, "num_blocks": 1, "reduction": 8}
TINY_SIZES: dict[str, dict[str, Any]] = {  # of a CycleISP
    "rgb2raw": {**_BRANCH, "unshuffle": 2},
    "raw2rgb": _BRANCH,
    "color_correction": {**_BRANCH, "unshuffle": 2},
}
DENOISER_SIZES = {"denoiser": {"width": 8, "num_groups": 1, "num_blocks": 1, "reduction": 4, "unshuffle": 2}}

ENTRY: dict[str, Any] = {  # of a file that is to be fetched
    "name": "tiny",
    "file": "folder/tiny.pth",
    "bytes": 1234,
    "sha256": "0" * 64,
    "network": "SrgbDenoiser",
    "sizes": {"denoiser": {"width": 8}},
    "space": "srgb",
    "training_data": "none",
    "licence": "none",
    "sources": ["gdrive:abc", "https://example.org/tiny.pth"],
}


def write_registry(folder: Path, *entries: dict[str, Any], **content: Any) -> Path:
    """Writes the registry of a folder of weights, and returns the folder."""
    (folder / registry.FILE_NAME).write_text(yaml.safe_dump({"weights": list(entries), **content}))
    return folder
