"""Sources of the registry on the Hugging Face hub."""

import hashlib
from pathlib import Path

import pytest
from pydantic import ValidationError

from cycleisp.utils.weights.downloads.fetching import fetch
from cycleisp.utils.weights.downloads.hub_addresses import url_of
from cycleisp.utils.weights.errors import DownloadError
from cycleisp.utils.weights.registry import Weights
from tests.support.hub import running_hub
from tests.support.weights import ENTRY

URLS = {
    "hf://owner/name/a.safetensors": "https://huggingface.co/owner/name/resolve/main/a.safetensors",
    "hf://owner/name@v1.0/folder/a.pth": "https://huggingface.co/owner/name/resolve/v1.0/folder/a.pth",
}
BAD = ["hf:x", "hf://owner/a.pth", "hf://owner/name/", "hf://owner/name/../a.pth", "hf://o/n/a.pth?b", "hf://o/n@/a"]


def entry(source: str, content: bytes) -> Weights:
    return Weights.model_validate(
        {**ENTRY, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "sources": [source]}
    )


@pytest.mark.parametrize("source", URLS)
def test_addresses_become_those_of_the_web(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert url_of(source) == URLS[source]


@pytest.mark.parametrize("source", BAD)
def test_other_addresses_are_refused_by_the_registry(source: str) -> None:
    with pytest.raises(ValidationError, match="hf://OWNER/NAME"):
        entry(source, b"x")


def test_a_file_comes_from_the_hub_and_is_held_to_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"PK" + bytes(5000)
    monkeypatch.setenv("no_proxy", "*")
    with running_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", f"{hub.endpoint}/")
        hub.files["owner/name/tiny.pth"] = content
        got = fetch(entry("hf://owner/name/tiny.pth", content), tmp_path)
        assert got.read_bytes() == content and hub.requests == ["/owner/name/resolve/main/tiny.pth"]
        got.unlink()
        hub.files["owner/name/tiny.pth"] = content[::-1]
        with pytest.raises(DownloadError, match="SHA-256"):
            fetch(entry("hf://owner/name/tiny.pth", content), tmp_path)
        with pytest.raises(DownloadError, match="HTTP 404"):
            fetch(entry("hf://owner/name/gone.pth", content), tmp_path)
