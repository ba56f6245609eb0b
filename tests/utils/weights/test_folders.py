"""Where weight files lie: in a checkout, and beside an installed package."""

import shutil
from pathlib import Path

import pytest
import torch

from cycleisp.networks import SrgbDenoiser
from cycleisp.networks.pretrained import build, find_weights, load_network
from cycleisp.utils.weights import folders
from cycleisp.utils.weights.downloads.fetching import check_present
from cycleisp.utils.weights.errors import DownloadError
from cycleisp.utils.weights.files import save_weights
from cycleisp.utils.weights.registry import read_registry, table
from tests.support.paths import ROOT
from tests.support.weights import DENOISER_SIZES, ENTRY, write_registry


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of shipped weights of an installed package."""
    folder = tmp_path / "site-packages" / "cycleisp" / "pretrained_models"
    folder.mkdir(parents=True)
    monkeypatch.setattr(folders, "SHIPPED", folder)
    monkeypatch.delenv(folders.VARIABLE, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return folder


def offered(tmp_path: Path) -> dict[str, object]:
    """Makes a denoiser's file elsewhere, and returns a registry entry with it as source."""
    path = tmp_path / "elsewhere" / "tiny.safetensors"
    network = build("SrgbDenoiser", DENOISER_SIZES)
    save_weights(path, network, {"network": "SrgbDenoiser", "sizes": DENOISER_SIZES})
    facts = {"bytes": path.stat().st_size, "sha256": None, "sizes": DENOISER_SIZES, "sources": [path.as_uri()]}
    return {**ENTRY, **facts, "file": "released/tiny.safetensors"}


def test_this_is_a_checkout() -> None:
    assert folders.in_checkout()
    assert ROOT / "pretrained_models" == folders.SHIPPED


def test_a_checkout_keeps_fetched_files_beside_the_shipped_ones(models: Path) -> None:
    assert folders.in_checkout()
    assert folders.fetched() == models


def test_an_installed_package_is_left_as_it_is(package: Path, tmp_path: Path) -> None:
    write_registry(package, offered(tmp_path))
    assert isinstance(load_network("tiny", SrgbDenoiser), SrgbDenoiser)
    cache = tmp_path / "torch" / "hub" / "checkpoints" / "cycleisp"
    assert find_weights("tiny") == cache / "released" / "tiny.safetensors"
    assert [path.name for path in package.rglob("*")] == ["registry.yaml"]
    assert Path(torch.hub.get_dir()) in cache.parents


def test_the_environment_names_the_folder(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(folders.VARIABLE, str(tmp_path / "mine"))
    write_registry(package, offered(tmp_path))
    assert find_weights("tiny") == tmp_path / "mine" / "released" / "tiny.safetensors"
    assert not (tmp_path / "torch").exists()
    line = table(read_registry()).splitlines()[1]
    assert line.endswith(str(tmp_path / "mine" / "released" / "tiny.safetensors"))
    monkeypatch.setenv(folders.VARIABLE, "")
    assert folders.fetched() == Path(torch.hub.get_dir()) / "checkpoints" / "cycleisp"


def test_shipped_files_lie_in_the_package(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(folders.VARIABLE, str(tmp_path / "mine"))
    entry = offered(tmp_path)
    source = tmp_path / "elsewhere" / "tiny.safetensors"
    write_registry(package, {**entry, "file": "tiny.safetensors", "sources": []})
    with pytest.raises(DownloadError, match=r"tiny\.safetensors is missing; it is part of the package, reinstall"):
        load_network("tiny", SrgbDenoiser)
    shutil.copy(source, package)
    assert isinstance(load_network("tiny", SrgbDenoiser), SrgbDenoiser)
    assert not (tmp_path / "mine").exists()


def test_a_damaged_file_of_the_package_asks_for_a_new_installation(package: Path) -> None:
    (package / "folder").mkdir()
    (package / "folder" / "tiny.pth").write_bytes(b"damaged")
    write_registry(package, {**ENTRY, "sources": []})
    with pytest.raises(DownloadError, match="; reinstall the package"):
        check_present(read_registry().weights[0], package)
