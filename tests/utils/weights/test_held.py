"""Registered weights are held to their hash when they are opened, by name and by path."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from cycleisp.networks import SrgbDenoiser
from cycleisp.networks.pretrained import build, find_weights, load_denoisers, load_network
from cycleisp.utils.weights import folders, held
from cycleisp.utils.weights.errors import WeightsError
from cycleisp.utils.weights.files import save_weights
from denoise import main as denoise
from tests.support.pictures import random_picture, write_png
from tests.support.scripts import call_script, error_line
from tests.support.weights import DENOISER_SIZES, ENTRY, write_registry


def flip_last_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def register(models: Path, **changes: Any) -> Path:
    path = models / "tiny.safetensors"
    save_weights(path, build("SrgbDenoiser", DENOISER_SIZES), {"network": "SrgbDenoiser", "sizes": DENOISER_SIZES})
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    entry = {**ENTRY, "file": path.name, "sizes": DENOISER_SIZES, "sha256": sha256, "sources": [], **changes}
    write_registry(models, entry)
    return path


@pytest.mark.parametrize("by", ["name", "path", "link"])
def test_one_bit_of_a_shipped_file_is_found(models: Path, tmp_path: Path, by: str) -> None:
    path = register(models)
    (tmp_path / "link.safetensors").symlink_to(path)
    given: str | Path = {"name": "tiny", "path": path, "link": tmp_path / "link.safetensors"}[by]
    load_network(given, SrgbDenoiser)
    flip_last_bit(path)
    with pytest.raises(WeightsError, match=r"tiny: .*SHA-256 \w{64}, expected \w{64}: .*restore it: git checkout -- "):
        load_network(given, SrgbDenoiser)
    with pytest.raises(WeightsError, match="write its hash into registry"):
        find_weights(given)


def test_another_network_in_its_place_is_found(models: Path) -> None:
    path = register(models)
    save_weights(path, build("SrgbDenoiser", DENOISER_SIZES), {"network": "SrgbDenoiser", "sizes": DENOISER_SIZES})
    with pytest.raises(WeightsError, match="damaged or changed"):
        load_denoisers("tiny", ("srgb",))


def test_a_script_says_how_to_restore_it(models: Path, tmp_path: Path) -> None:
    flip_last_bit(register(models))
    photo = write_png(tmp_path / "photo.png", random_picture(8, 8))
    result = call_script(denoise, photo, "--output", tmp_path / "out", "--weights", "tiny")
    assert "git checkout -- " in error_line(result)
    assert not (tmp_path / "out").exists()


def test_a_fetched_file_is_held_to_what_was_recorded(models: Path) -> None:
    path = register(models, sha256=None, bytes=None, sources=["https://example.org/tiny.safetensors"])
    load_network("tiny", SrgbDenoiser)  # nobody knows its hash
    held.record(path, held.file_sha256(path))
    load_network("tiny", SrgbDenoiser)
    flip_last_bit(path)
    with pytest.raises(WeightsError, match=r"remove it and fetch it again, or mend tiny\.safetensors\.sha256"):
        load_network(path, SrgbDenoiser)


def test_files_elsewhere_are_held_to_nothing(models: Path, tmp_path: Path) -> None:
    register(models, sha256="0" * 64)
    shutil.copy(models / "tiny.safetensors", tmp_path / "copy.safetensors")
    shutil.copy(models / "tiny.safetensors", models / "copy.safetensors")
    load_network(tmp_path / "copy.safetensors", SrgbDenoiser)
    load_network(models / "copy.safetensors", SrgbDenoiser)


def test_a_file_is_hashed_once_unless_it_changes(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, hashed = register(models), []
    monkeypatch.setattr(held, "file_sha256", lambda path: hashed.append(path) or hashlib.sha256(b"").hexdigest())
    held._sha256.cache_clear()
    for _ in range(2):
        with pytest.raises(WeightsError):
            held.check_registered(path)
    assert len(hashed) == 1
    path.write_bytes(b"changed")
    with pytest.raises(WeightsError):
        held.check_registered(path)
    assert len(hashed) == 2


@pytest.mark.parametrize("record", [b"", b"no hash\n", b"\xff\xfe" * 9, b"0" * 63, b"0" * 100_000])
def test_a_damaged_record_is_one_error(models: Path, record: bytes) -> None:
    path = register(models, sha256=None, bytes=None, sources=["https://example.org/tiny.safetensors"])
    path.with_name(f"{path.name}.sha256").write_bytes(record)
    with pytest.raises(Exception, match=r"tiny\.safetensors\.sha256: .*remove it, and the hash"):
        load_network("tiny", SrgbDenoiser)


def test_the_shipped_files_are_the_registered_ones() -> None:
    for path in folders.SHIPPED.glob("*.safetensors"):
        held.check_registered(path)
