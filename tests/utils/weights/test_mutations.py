"""Damaged weight files, registries and records: the project's own errors come out, nothing else.

Two hundred damages of each kind; the mark in tests/test_mutations.py runs more.
"""

import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from cycleisp.networks.pretrained import build, load_any
from cycleisp.utils.errors import UserError
from cycleisp.utils.weights import held, registry
from cycleisp.utils.weights.files import save_weights
from cycleisp.utils.weights.formats.released_files import read_released
from cycleisp.utils.weights.formats.released_layout import to_released
from tests.support.mutation import mutant
from tests.support.weights import ENTRY, write_registry

COUNT = 200
SIZES = {"denoiser": {"width": 8, "num_groups": 1, "num_blocks": 1, "reduction": 4, "unshuffle": 1}}
METADATA = {"network": "SrgbDenoiser", "sizes": SIZES}


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Valid files, by kind."""
    folder = tmp_path_factory.mktemp("valid")
    network = build("SrgbDenoiser", SIZES)
    save_weights(folder / "sealed", network, METADATA)
    header = {"network": '"SrgbDenoiser"', "sizes": '{"denoiser": {"width": 8, "num_groups": 1, "num_blocks": 1}}'}
    safetensors.torch.save_model(network, str(folder / "plain"), metadata=header)
    state = to_released(network.state_dict(), "SrgbDenoiser", SIZES)
    for name, is_zip in (("zip", True), ("legacy", False)):
        torch.save({"state_dict": state, **METADATA}, folder / name, _use_new_zipfile_serialization=is_zip)
    write_registry(folder, ENTRY, {**ENTRY, "name": "other", "file": "other.pth", "sources": [], "sha256": None})
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def attack(read: Callable[[Path], object], path: Path, files: list[bytes], count: int = COUNT) -> int:
    """Reads damaged files; returns how many were refused."""
    refused = 0
    for number in range(count):
        path.write_bytes(mutant(files, 17, number))
        begin = time.monotonic()
        try:
            read(path)
        except UserError as error:
            refused += 1
            assert path.name in str(error), f"mutant {number} does not name the file: {error}"
            assert "\n" not in str(error), f"mutant {number} takes several lines: {error}"
        except Exception as error:
            raise AssertionError(f"mutant {number} ends in {error!r}") from error
        assert time.monotonic() - begin < 20, f"mutant {number} takes too long"
    return refused


@pytest.mark.parametrize(
    ("kinds", "name", "least"),
    [
        (["sealed"], "a.safetensors", 0.9),
        (["plain"], "a.safetensors", 0.5),
        (["zip"], "a.pth", 0.7),
        (["legacy"], "a.pth", 0.5),
        (["sealed", "zip", "legacy"], "b.pth", 0.7),
    ],
)
def test_damaged_weights_are_refused(
    tmp_path: Path, valid: dict[str, bytes], kinds: list[str], name: str, least: float
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = attack(load_any, tmp_path / name, [valid[kind] for kind in kinds])
    assert refused >= least * COUNT
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # KiB: 1 GiB more


def test_damaged_registries_are_refused(tmp_path: Path, valid: dict[str, bytes]) -> None:
    assert attack(
        lambda path: registry.read_registry(path.parent), tmp_path / "registry.yaml", [valid["registry.yaml"]]
    )


def test_damaged_records_are_refused(tmp_path: Path, models: Path) -> None:
    """A record says which hash a file was found to have when it came."""
    write_registry(models, {**ENTRY, "file": "tiny.pth", "bytes": None, "sha256": None})
    (models / "tiny.pth").write_bytes(b"some weights")
    held.record(models / "tiny.pth", held.file_sha256(models / "tiny.pth"))
    record = models / "tiny.pth.sha256"
    held.check_registered(models / "tiny.pth")
    content = record.read_bytes()
    refused = attack(lambda _: held.check_registered(models / "tiny.pth"), record, [content])
    assert refused > 0.5 * COUNT


def test_pickles_that_are_bombs_are_refused(tmp_path: Path) -> None:
    """Each asks for much memory or time in a few bytes."""
    head = b"\x80\x02"
    bombs = {
        "memo": head + b"}r\xff\xff\xff\x7f.",
        "long": head + b"\x8b\xff\xff\xff\x7f" + b"1" * 100 + b".",
        "bytes": head + b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f" + b"1" * 100,
        "frame": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f}.",
        "digits": head + b"I" + b"9" * 100_000 + b"\n.",
        "depth": head + b"]" * 200_000 + b"a" * 199_999 + b".",
        "tuples": head + b"K\x01" + b"\x85" * 200_000 + b".",
        "doubling": head + b"]q\x00" + b"".join(b"(h\x00h\x00t0h\x00" for _ in range(10_000)) + b".",
    }
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, content in bombs.items():
        path = tmp_path / f"{name}.pth"
        path.write_bytes(content)
        with pytest.raises(UserError, match=name):
            read_released(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20
