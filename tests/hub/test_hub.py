"""Networks go to the Hugging Face hub and come back, through the hub's own library.

The hub is a server of tests/support/hub.py, or a folder; nothing leaves the machine.
"""

import builtins
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from cycleisp import networks
from cycleisp.networks.pretrained import find_weights, load_network
from cycleisp.utils.errors import UserError
from cycleisp.utils.weights.kinds import KINDS
from tests.support.hub import Hub, running_hub

library = pytest.importorskip("huggingface_hub", reason="the hub needs the extra hub: huggingface_hub")
from cycleisp import hub as doors  # noqa: E402  # after the check that its package is there


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub to which the library is directed, as HF_ENDPOINT would do when it is imported."""
    with running_hub() as running:
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setattr(library.constants, "ENDPOINT", running.endpoint)
        template = f"{running.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(library.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(library.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield running


def test_every_network_has_its_class_on_the_hub() -> None:
    for kind in KINDS:
        assert issubclass(getattr(doors, kind), getattr(networks, kind))


def test_weights_go_to_the_hub_and_come_back_byte_for_byte(hub: Hub, tmp_path: Path) -> None:
    network = doors.SrgbGatedDenoiser.from_pretrained("fast_srgb")
    network.push_to_hub("owner/name", token="hf_of_a_test")
    assert hub.files["owner/name/model.safetensors"] == find_weights("fast_srgb").read_bytes()
    back = doors.from_pretrained("owner/name", cache_dir=tmp_path / "cache")
    assert type(back) is doors.SrgbGatedDenoiser and isinstance(back, networks.SrgbGatedDenoiser)
    photo = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(back(photo), load_network("fast_srgb", networks.SrgbGatedDenoiser)(photo))
    check_card(hub, tmp_path)


def check_card(hub: Hub, tmp_path: Path) -> None:
    """Checks that the hub's library understands the card, and what it says of `fast_srgb`."""
    folder = tmp_path / "downloaded"
    folder.mkdir()
    card_path = folder / "README.md"
    card_path.write_bytes(hub.files["owner/name/README.md"])
    card = library.ModelCard.load(card_path)
    facts = card.data.to_dict()
    assert [facts[key] for key in ("library_name", "license", "pipeline_tag")] == [
        "cycleisp",
        "apache-2.0",
        "image-to-image",
    ]
    assert {"image-denoising", "srgb"} <= set(card.data.tags)
    assert "475,764" in card.text and "CC0" in card.text and 'hub.SrgbGatedDenoiser.from_pretrained("' in card.text
    config = json.loads(hub.files["owner/name/config.json"])
    assert config == {"network": "SrgbGatedDenoiser", "sizes": config["sizes"]} and "gated" in config["sizes"]


def test_a_folder_serves_as_the_hub_does(tmp_path: Path, tiny_weights: Path) -> None:
    network = doors.CycleISP.from_pretrained(tiny_weights)
    network.save_pretrained(tmp_path / "saved", model_card_kwargs={"licence": "CC0-1.0", "training_data": "noise"})
    assert (tmp_path / "saved" / "model.safetensors").read_bytes() == tiny_weights.read_bytes()
    card = (tmp_path / "saved" / "README.md").read_text(encoding="utf-8")
    assert "license: other" in card and "CC0-1.0" in card and "| noise |" in card
    again = doors.CycleISP.from_pretrained(tmp_path / "saved")
    assert all(torch.equal(one, two) for one, two in zip(network.parameters(), again.parameters(), strict=True))


def test_a_network_that_was_trained_further_is_stored_as_it_is(tmp_path: Path) -> None:
    network = doors.SrgbGatedDenoiser.from_pretrained("fast_srgb").train().requires_grad_()
    first = next(iter(network.parameters()))
    with torch.no_grad():
        first += 1e-6  # too little for float16, in which this file is stored
    network.save_pretrained(tmp_path / "saved")
    again = doors.SrgbGatedDenoiser.from_pretrained(tmp_path / "saved")
    assert torch.equal(next(iter(again.parameters())), first)


@pytest.mark.parametrize(
    ("where", "kind", "said"),
    [
        ("owner/name", "SrgbDenoiser", "owner/name: is not on the hub"),
        ("nothing at all", "SrgbDenoiser", "expected OWNER/NAME on the hub"),
        ("compact_isp", "SrgbDenoiser", "holds a CycleISP, a SrgbDenoiser is needed here"),
        (".", "CycleISP", "model.safetensors"),
    ],
)
def test_what_cannot_be_had_is_one_error(
    where: str, kind: str, said: str, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said):
        getattr(doors, kind).from_pretrained(where, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("damaged", ["model.safetensors", "config.json"])
def test_a_damaged_file_of_the_hub_is_refused(damaged: str, hub: Hub, tmp_path: Path, tiny_weights: Path) -> None:
    for file, content in {"model.safetensors": tiny_weights.read_bytes(), "config.json": b'{"sizes": {}}'}.items():
        hub.files[f"owner/name/{file}"] = content[: -len(content) // 2] if file == damaged else content
    with pytest.raises(UserError, match=r"model\.safetensors|owner/name"):
        doors.CycleISP.from_pretrained("owner/name", cache_dir=tmp_path / "cache")


def test_without_its_package_the_hub_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "huggingface_hub":
            raise ModuleNotFoundError(f"No module named {name!r}", name="huggingface_hub")
        return usual(name, *rest, **options)

    for name in [one for one in sys.modules if one.startswith("cycleisp.hub")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match="pip install huggingface_hub"):
        importlib.import_module("cycleisp.hub")
