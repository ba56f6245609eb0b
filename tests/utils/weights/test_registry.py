"""The registry: the shipped files are what it says, and wrong entries are refused."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cycleisp.networks import pretrained
from cycleisp.utils.config import ConfigError
from cycleisp.utils.fingerprints import file_sha256
from cycleisp.utils.weights import folders, registry
from cycleisp.utils.weights.files import read_metadata
from cycleisp.utils.weights.kinds import KINDS, SIZES, default_sizes
from cycleisp.utils.weights.registry import read_registry, table
from tests.support.weights import ENTRY, write_registry

SHIPPED = folders.SHIPPED


def shipped() -> list[registry.Weights]:
    return [weights for weights in read_registry(SHIPPED).weights if not weights.sources]


@pytest.mark.parametrize("weights", shipped(), ids=lambda weights: weights.name)
def test_a_shipped_file_is_what_the_registry_says(weights: registry.Weights) -> None:
    path = SHIPPED / weights.file
    said = read_metadata(path)
    truth = {
        "bytes": path.stat().st_size,
        "sha256": file_sha256(path),
        "network": said["network"],
        "sizes": said["sizes"],
    }
    as_registered = weights.model_dump(include={"bytes", "sha256", "network"})
    right = {**as_registered, "sizes": weights.sizes} == {**truth, "sizes": SIZES.model_validate(said["sizes"])}
    assert right, f"write into {registry.FILE_NAME}, at {weights.name}:\n{yaml.safe_dump(truth, sort_keys=False)}"
    assert truth["sha256"] in path.with_suffix(".md").read_text(), f"write the SHA-256 into {weights.name}.md, too"


def test_every_shipped_file_is_registered() -> None:
    assert {path.name for path in SHIPPED.glob("*.safetensors")} == {weights.file for weights in shipped()}


def test_the_released_files_have_the_sizes_of_the_paper() -> None:
    released = [weights for weights in read_registry(SHIPPED).weights if weights.name.startswith("released_")]
    assert len(released) == 8
    for weights in released:
        assert weights.sizes == SIZES.model_validate(default_sizes(weights.network)), weights.name
        assert weights.sha256 is None
        assert "non-commercial" in weights.licence
        assert weights.sources[0].startswith("gdrive:")


def test_the_registry_knows_every_network() -> None:
    assert KINDS.keys() == pretrained.CLASSES.keys()
    bundle = read_registry(SHIPPED).find("released_isp")
    assert isinstance(bundle, registry.Bundle)
    files = {Path(weights.file).name for weights in read_registry(SHIPPED).members(bundle)}
    assert files == pretrained.RELEASED_ISP.keys()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"colour": "red"}, r"registry\.yaml: weights\.0\.colour"),
        ({"bytes": -1}, r"weights\.0\.bytes"),
        ({"sha256": "abc"}, r"weights\.0\.sha256"),
        ({"network": "UNet"}, "expected one of Rgb2Raw"),
        ({"sizes": {"rgb2raw": {}}}, "a SrgbDenoiser has sizes for denoiser"),
        ({"sizes": {"denoiser": {"depth": 3}}}, r"sizes\.denoiser\.depth"),
        ({"file": "/etc/tiny.pth"}, "below the registry's folder"),
        ({"file": "../tiny.pth"}, "below the registry's folder"),
        ({"file": "tiny.zip"}, "below the registry's folder"),
        ({"sources": ["ftp://example.org/tiny.pth"]}, "gdrive:ID"),
        ({"sources": ["gdrive:"]}, "gdrive:ID"),
        ({"name": "a b"}, r"weights\.0\.name"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        read_registry(write_registry(tmp_path, {**ENTRY, **change}))


@pytest.mark.parametrize("key", ["bytes", "sha256", "licence", "file"])
def test_what_is_unknown_must_be_said(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"weights\.0\.{key}"):
        read_registry(write_registry(tmp_path, {name: value for name, value in ENTRY.items() if name != key}))


def test_names_and_files_occur_once_and_bundles_lie_together(tmp_path: Path) -> None:
    other = {**ENTRY, "name": "other", "file": "elsewhere/other.pth"}
    bundle = {"name": "both", "network": "CycleISP", "space": "srgb and raw", "members": ["tiny", "other"]}
    for entries, bundles, complaint in [
        ([ENTRY, {**other, "name": "tiny"}], [], "twice: tiny"),
        ([ENTRY, {**other, "file": ENTRY["file"]}], [], "twice: folder/tiny.pth"),
        ([ENTRY, other], [bundle], "different folders"),
        ([ENTRY], [bundle], "other are not in the registry"),
        ([ENTRY, other], [{**bundle, "name": "tiny"}], "twice: tiny"),
    ]:
        with pytest.raises(ConfigError, match=complaint):
            read_registry(write_registry(tmp_path, *entries, bundles=bundles))


def test_the_table_says_what_is_there(models: Path) -> None:
    other = {**ENTRY, "name": "other", "file": "folder/other.pth", "bytes": None}
    bundle = {"name": "both", "network": "CycleISP", "space": "srgb and raw", "members": ["tiny", "other"]}
    (models / "folder").mkdir()
    (models / "folder" / "tiny.pth").touch()
    lines = table(read_registry(write_registry(models, ENTRY, other, bundles=[bundle]))).splitlines()
    cells = [re.split(r"\s{2,}", line) for line in lines]
    assert cells == [
        ["name", "network", "space", "bytes", "present", "licence", "path"],
        ["tiny", "SrgbDenoiser", "srgb", "1,234", "yes", "none", str(models / "folder" / "tiny.pth")],
        ["other", "SrgbDenoiser", "srgb", "unknown", "no", "none", str(models / "folder" / "other.pth")],
        ["both", "CycleISP", "srgb and raw", "2 files", "1 of 2", "none", str(models / "folder")],
    ]


def test_a_missing_registry_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"registry\.yaml: cannot be read"):
        read_registry(tmp_path)


def test_the_file_is_parsed_once_and_again_when_it_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[Path] = []
    parse = registry.read_yaml
    monkeypatch.setattr(registry, "read_yaml", lambda path: parsed.append(path) or parse(path))
    write_registry(tmp_path, ENTRY)
    assert read_registry(tmp_path) is read_registry(tmp_path)
    write_registry(tmp_path, {**ENTRY, "name": "another"})
    assert [weights.name for weights in read_registry(tmp_path).weights] == ["another"]
    assert len(parsed) == 2
    (tmp_path / registry.FILE_NAME).unlink()
    for _ in range(2):  # an error is none that is remembered
        with pytest.raises(ConfigError, match=registry.FILE_NAME):
            read_registry(tmp_path)
