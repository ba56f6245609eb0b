"""Weights by name and by path, with registries of the tests' own that fetch from a folder."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cycleisp.networks import CycleISP, Raw2Rgb, RawDenoiser, Rgb2Raw, SrgbDenoiser
from cycleisp.networks.pretrained import (
    build,
    find_weights,
    load_any,
    load_cycleisp,
    load_denoiser,
    load_denoisers,
    load_network,
    weights_sha256,
)
from cycleisp.utils.weights.errors import DownloadError, WeightsError
from cycleisp.utils.weights.files import save_weights
from cycleisp.utils.weights.formats.released_files import write_released
from cycleisp.utils.weights.formats.released_layout import BRANCHES, to_released
from cycleisp.utils.weights.kinds import KINDS
from denoise import main as denoise
from tests.support.pictures import random_picture, write_png
from tests.support.scripts import call_script
from tests.support.weights import ENTRY, write_registry

TINY = {"denoiser": {"width": 8, "num_groups": 1, "num_blocks": 2, "reduction": 4, "unshuffle": 1}}
PAPER: dict[str, dict[str, Any]] = {
    name: {part: sizes().model_dump() for part, sizes in kind.parts.items()} for name, kind in KINDS.items()
}


def network_of(kind: str, sizes: dict[str, Any], seed: int = 5) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(kind, sizes).eval()


def write_silent(path: Path, network: nn.Module, sizes: dict[str, Any]) -> Path:
    """Writes a file in the released layout that does not say what it holds, like the authors'."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_released(path, to_released(network.state_dict(), type(network).__name__, sizes), {})
    return path


def same(one: nn.Module, other: nn.Module) -> bool:
    states = one.state_dict(), other.state_dict()
    return states[0].keys() == states[1].keys() and all(
        torch.equal(states[0][key], states[1][key]) for key in states[0]
    )


@pytest.fixture
def offered(tmp_path: Path) -> Callable[..., tuple[nn.Module, dict[str, Any]]]:
    """A function: `offered("name", "SrgbDenoiser", sizes)` returns a network and a registry entry.

    The entry fetches the network as a .pth that does not say what it holds.
    """

    def offer(name: str, kind: str, sizes: dict[str, Any], **changes: Any) -> tuple[nn.Module, dict[str, Any]]:
        network = network_of(kind, sizes)
        path = write_silent(tmp_path / "elsewhere" / f"{name}.pth", network, sizes)
        content = path.read_bytes()
        facts = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "sources": [path.as_uri()]}
        about = {"name": name, "file": f"released/{name}.pth", "network": kind, "sizes": sizes}
        return network, {**ENTRY, **about, **facts, **changes}

    return offer


Offer = Callable[..., tuple[nn.Module, dict[str, Any]]]


def test_a_name_is_fetched_and_has_the_sizes_of_the_registry(models: Path, offered: Offer) -> None:
    network, entry = offered("tiny", "SrgbDenoiser", TINY)
    write_registry(models, entry)
    assert same(load_network("tiny", SrgbDenoiser), network)
    assert find_weights("tiny") == models / "released" / "tiny.pth"
    Path(entry["sources"][0].removeprefix("file://")).unlink()
    assert same(load_network("tiny", SrgbDenoiser), network)  # present now


def test_denoisers_by_name_and_by_path(models: Path, offered: Offer, tmp_path: Path) -> None:
    raw, raw_entry = offered("a", "RawDenoiser", TINY)
    srgb, srgb_entry = offered("b", "SrgbDenoiser", TINY)
    write_registry(models, raw_entry, srgb_entry)
    for name, expected in (("a", (None, raw)), ("b", (srgb, None))):
        for found, wanted in zip(load_denoisers(name, ("srgb", "raw")), expected, strict=True):
            assert (found is None) == (wanted is None)
            assert found is None or (wanted is not None and same(found, wanted))
    for kind in ("RawDenoiser", "SrgbDenoiser"):
        network = network_of(kind, PAPER[kind])
        path = write_silent(tmp_path / f"{kind}.pth", network, PAPER[kind])
        found_srgb, found_raw = load_denoisers(str(path), ("srgb", "raw"))
        found = found_raw if kind == "RawDenoiser" else found_srgb
        assert found is not None
        assert same(found, network)
        assert (found_srgb is None) == (kind == "RawDenoiser")


def test_a_script_fetches_what_it_needs(models: Path, offered: Offer, tmp_path: Path) -> None:
    write_registry(models, offered("tiny", "SrgbDenoiser", TINY, licence="for tests only")[1])
    photo = write_png(tmp_path / "photo.png", random_picture(16, 24))
    result = call_script(denoise, photo, "--output", tmp_path / "out", "--weights", "tiny", "--device", "cpu")
    assert result.returncode == 0, result.stderr
    assert "tiny: licence: for tests only" in result.stderr
    assert (tmp_path / "out" / "photo.png").is_file()


def test_a_bundle_is_fetched_into_a_folder(models: Path, offered: Offer) -> None:
    files = {"rgb2raw_joint": "Rgb2Raw", "raw2rgb_joint": "Raw2Rgb", "ccm_joint": "ColorCorrection"}
    offers = {name: offered(name, kind, PAPER[kind]) for name, kind in files.items()}
    bundle = {"name": "all_three", "network": "CycleISP", "space": "srgb and raw", "members": list(files)}
    write_registry(models, *(entry for _, entry in offers.values()), bundles=[bundle])
    network, sha256 = load_cycleisp("all_three")
    assert find_weights("all_three") == models / "released"
    assert same(network.rgb2raw, offers["rgb2raw_joint"][0])
    assert same(network.guided_raw2rgb.raw2rgb, offers["raw2rgb_joint"][0])
    assert same(network.guided_raw2rgb.color_correction, offers["ccm_joint"][0])
    assert sha256 == "+".join(entry["sha256"] for _, entry in offers.values())
    with pytest.raises(WeightsError, match="released: a folder serves as CycleISP; a Rgb2Raw is needed here"):
        load_network(models / "released", Rgb2Raw)


def test_another_network_is_refused_before_it_is_fetched(models: Path, offered: Offer) -> None:
    write_registry(models, offered("tiny", "SrgbDenoiser", TINY)[1])
    with pytest.raises(WeightsError, match="tiny: is a SrgbDenoiser, a CycleISP is needed here"):
        load_network("tiny", CycleISP)
    assert not list(models.rglob("*.pth"))


def test_what_cannot_be_found_is_told(models: Path, offered: Offer) -> None:
    gone = offered("gone", "SrgbDenoiser", TINY, sources=["file:///nowhere/gone.pth"])[1]
    shipped = offered("shipped", "SrgbDenoiser", TINY, sources=[])[1]
    write_registry(models, gone, shipped)
    with pytest.raises(
        WeightsError, match=r"nothing: neither a file nor shipped weights; shipped are: shipped; .*gone"
    ):
        load_network("nothing", SrgbDenoiser)
    with pytest.raises(DownloadError, match="no source gives"):
        load_network("gone", SrgbDenoiser)
    with pytest.raises(DownloadError, match=r"git checkout -- .*shipped\.pth"):
        load_denoisers("shipped", ("srgb",))


def test_by_path_a_silent_file_has_the_sizes_of_the_paper(tmp_path: Path) -> None:
    for kind, network_class in (("Rgb2Raw", Rgb2Raw), ("Raw2Rgb", Raw2Rgb), ("RawDenoiser", RawDenoiser)):
        network = network_of(kind, PAPER[kind])
        path = write_silent(tmp_path / f"{kind}.pth", network, PAPER[kind])
        assert same(load_network(path, network_class), network)
        with pytest.raises(WeightsError, match=rf"{kind}\.pth: .*(SrgbDenoiser|has shape)"):
            load_network(path, SrgbDenoiser)
    tiny = write_silent(tmp_path / "tiny.pth", network_of("SrgbDenoiser", TINY), TINY)
    with pytest.raises(WeightsError, match=r"tiny\.pth: these are not the weights of this SrgbDenoiser"):
        load_network(tiny, SrgbDenoiser)
    with pytest.raises(WeightsError, match=r"tiny\.pth: released files hold one branch each; CycleISP is none"):
        load_network(tiny, CycleISP)


def test_a_file_that_says_what_it_is_needs_no_registry(tmp_path: Path) -> None:
    network = network_of("SrgbDenoiser", TINY)
    state = to_released(network.state_dict(), "SrgbDenoiser", TINY)
    write_released(tmp_path / "tiny.pth", state, {"network": "SrgbDenoiser", "sizes": TINY})
    assert same(load_network(tmp_path / "tiny.pth", SrgbDenoiser), network)
    assert load_denoisers(str(tmp_path / "tiny.pth"), ("srgb",))[0] is not None
    with pytest.raises(WeightsError, match="holds a SrgbDenoiser, a RawDenoiser is needed here"):
        load_network(tmp_path / "tiny.pth", RawDenoiser)


@pytest.mark.parametrize(
    "sizes", [{}, {"denoiser": {"width": 8, "colour": "red"}}, {"denoiser": {**TINY["denoiser"], "width": 9}}]
)
def test_sizes_that_fit_no_network_are_told(tmp_path: Path, sizes: dict[str, Any]) -> None:
    path = tmp_path / "odd.safetensors"
    save_weights(path, network_of("SrgbDenoiser", TINY), {"network": "SrgbDenoiser", "sizes": sizes})
    with pytest.raises(WeightsError, match=r"odd\.safetensors: its sizes are none of a SrgbDenoiser"):
        load_network(path, SrgbDenoiser)


def test_every_branch_can_be_built() -> None:
    for name, kind in BRANCHES.items():
        sizes = {kind.part: kind.sizes.model_validate({"width": 8, "reduction": 4}).model_dump()}
        assert type(build(name, sizes)).__name__ == name


def test_any_network_is_recognised(models: Path, offered: Offer, tmp_path: Path) -> None:
    network, entry = offered("tiny", "SrgbDenoiser", TINY)
    write_registry(models, entry)
    assert same(load_any("tiny"), network)
    paper = network_of("RawDenoiser", PAPER["RawDenoiser"])
    assert same(load_any(write_silent(tmp_path / "raw.pth", paper, PAPER["RawDenoiser"])), paper)
    silent = write_silent(tmp_path / "tiny.pth", network, TINY)
    with pytest.raises(WeightsError, match=r"tiny\.pth: Rgb2Raw and SrgbDenoiser of these sizes look the same"):
        load_any(silent)


def test_shipped_denoisers_are_loaded_for_the_spaces_asked_for() -> None:
    for spaces, expected in (((), (None, None)), (("raw",), (None, RawDenoiser)), (("srgb",), (SrgbDenoiser, None))):
        found = load_denoisers(None, spaces)
        assert [network and type(network) for network in found] == list(expected)


def test_a_denoiser_of_a_space_and_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    save_weights(path, network_of("RawDenoiser", TINY), {"network": "RawDenoiser", "sizes": TINY})
    network, sha256 = load_denoiser(path, "raw")
    assert isinstance(network, RawDenoiser)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == weights_sha256(path)
    with pytest.raises(WeightsError, match="holds a RawDenoiser, a SrgbDenoiser or SrgbGatedDenoiser is needed here"):
        load_denoiser(path, "srgb")
