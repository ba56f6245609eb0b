"""Addresses of files on the Hugging Face hub: `hf://OWNER/NAME/FILE`, as its library writes them.

A branch, tag or commit may follow the name: `hf://OWNER/NAME@v1/FILE`. The environment variable
HF_ENDPOINT names another server with the same addresses, as it does for the hub's library.
"""

import os
import re
from urllib.parse import quote

ENDPOINT = "https://huggingface.co"
FORM = "hf://OWNER/NAME/FILE"
_WORD = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_ADDRESS = re.compile(rf"hf://({_WORD}/{_WORD})(?:@({_WORD}))?/({_WORD}(?:/{_WORD})*)")


def is_address(source: str) -> bool:
    """Returns whether a text is the address of a file on the hub."""
    return _ADDRESS.fullmatch(source) is not None


def url_of(source: str) -> str:
    """Returns the URL of a file on the hub.

    >>> url_of("hf://owner/name/denoiser.safetensors")
    'https://huggingface.co/owner/name/resolve/main/denoiser.safetensors'

    Raises:
        ValueError: the text is no such address.
    """
    match = _ADDRESS.fullmatch(source)
    if match is None:
        raise ValueError(f"expected {FORM}, got {source!r}")
    repository, revision, file = match.groups()
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or ENDPOINT
    return f"{endpoint}/{repository}/resolve/{quote(revision or 'main')}/{quote(file)}"
