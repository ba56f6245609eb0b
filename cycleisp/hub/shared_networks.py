"""The networks of `cycleisp.networks` with the mixin of huggingface_hub.

On the hub, and in a folder of `save_pretrained`, a network has three files:

    model.safetensors   our weight file: its header says what it holds, and has a checksum
    config.json         kind and sizes once more, since the hub counts downloads by this file
    README.md           the card
"""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub import ModelCard, ModelHubMixin, hf_hub_download
from torch import nn

from cycleisp import networks
from cycleisp.hub.cards import card
from cycleisp.networks.onnx_files.origins import UNKNOWN, Origin, origin_of
from cycleisp.networks.pretrained import find_weights, load_network
from cycleisp.utils.errors import UserError, reason
from cycleisp.utils.fingerprints import file_sha256
from cycleisp.utils.weights.errors import WeightsError
from cycleisp.utils.weights.files import read_metadata, save_weights
from cycleisp.utils.weights.registry import read_registry

FILE = "model.safetensors"
Shared = TypeVar("Shared", bound="SharedNetwork")


class SharedNetwork(ModelHubMixin):
    """What a network needs to come from the hub and to go there.

    `save_pretrained` and `push_to_hub` are the hub's own. For a network that has not changed they
    write the very bytes of the weight file, unless that is older than the present order of keys.
    """

    _header: dict[str, Any] | None = None
    _origin = Origin("", "")

    @classmethod
    def from_pretrained(cls: type[Shared], pretrained_model_name_or_path: str | Path, **options: Any) -> Shared:
        """Loads a network, ready for inference.

        Training goes on after `network.train().requires_grad_()`.

        Args:
            pretrained_model_name_or_path: OWNER/NAME on the hub, a folder that `save_pretrained`
                has written, a weight file, or the name of registered weights.
            options: for the hub, as its own method takes them: revision, token, cache_dir,
                force_download, local_files_only.

        Raises:
            UserError: the hub does not give it, or the file is damaged or of another network.
        """
        where = str(pretrained_model_name_or_path)
        if Path(where).is_file() or read_registry().find(where) is not None:
            return cls._open(find_weights(where))
        try:
            return super().from_pretrained(where, **options)
        except UserError:
            raise
        except Exception as error:  # of the network, of the hub's library, of what the server sends
            expected = "expected OWNER/NAME on the hub, a folder, a weight file or the name of registered weights"
            raise WeightsError(f"{where}: is not on the hub ({reason(error)}); {expected}") from error

    @classmethod
    def _from_pretrained(cls: type[Shared], *, model_id: str, **options: Any) -> Shared:
        if Path(model_id).is_dir():
            return cls._open(Path(model_id, FILE))
        hub = {key: options[key] for key in ("revision", "cache_dir", "force_download", "token", "local_files_only")}
        return cls._open(Path(hf_hub_download(model_id, FILE, **hub)))

    @classmethod
    def _open(cls: type[Shared], path: Path) -> Shared:
        """Loads a weight file as `load_network` does, and keeps what its header says."""
        network: Any = load_network(path, _plain(cls))
        header = read_metadata(path) if path.suffix == ".safetensors" else {}
        # The loader builds the plain class. This one adds methods only, so the class may change.
        network.__class__ = cls
        network._header = header
        network._origin = _origin(path)
        network._hub_mixin_config = {"network": cls.__name__, "sizes": header.get("sizes")}
        return network

    def _save_pretrained(self, save_directory: Path) -> None:
        if not self._header:
            raise WeightsError(f"this {type(self).__name__} does not come from a weight file of ours; load it from one")
        path = save_directory / FILE
        save_weights(path, _as_stored(self), self._header)
        self._origin = replace(self._origin, sha256=file_sha256(path))

    def generate_model_card(
        self,
        licence: str | None = None,
        training_data: str | None = None,
        numbers: tuple[str, ...] | None = None,
        **_: Any,
    ) -> ModelCard:
        """Returns the card. `model_card_kwargs` of `push_to_hub` come here.

        Args:
            licence: such as "Apache-2.0"; None takes the registry's.
            training_data: what the network learned from; None takes the registry's.
            numbers: results, each with its benchmark; None takes the registry's.
        """
        given: dict[str, Any] = {"licence": licence, "training_data": training_data, "numbers": numbers}
        origin = replace(self._origin, **{key: value for key, value in given.items() if value is not None})
        assert isinstance(self, nn.Module)
        return card(type(self).__name__, sum(one.numel() for one in self.parameters()), origin)


class Rgb2Raw(SharedNetwork, networks.Rgb2Raw):
    """`networks.Rgb2Raw` on the hub."""


class Raw2Rgb(SharedNetwork, networks.Raw2Rgb):
    """`networks.Raw2Rgb` on the hub."""


class ColorCorrection(SharedNetwork, networks.ColorCorrection):
    """`networks.ColorCorrection` on the hub."""


class GuidedRaw2Rgb(SharedNetwork, networks.GuidedRaw2Rgb):
    """`networks.GuidedRaw2Rgb` on the hub."""


class CycleISP(SharedNetwork, networks.CycleISP):
    """`networks.CycleISP` on the hub."""


class RawDenoiser(SharedNetwork, networks.RawDenoiser):
    """`networks.RawDenoiser` on the hub."""


class SrgbDenoiser(SharedNetwork, networks.SrgbDenoiser):
    """`networks.SrgbDenoiser` on the hub."""


class RawGatedDenoiser(SharedNetwork, networks.RawGatedDenoiser):
    """`networks.RawGatedDenoiser` on the hub."""


class SrgbGatedDenoiser(SharedNetwork, networks.SrgbGatedDenoiser):
    """`networks.SrgbGatedDenoiser` on the hub."""


CLASSES: dict[str, type[SharedNetwork]] = {one.__name__: one for one in SharedNetwork.__subclasses__()}


def from_pretrained(where: str | Path, **options: Any) -> SharedNetwork:
    """Loads a network of any kind; the arguments are those of `SharedNetwork.from_pretrained`.

    Raises:
        UserError: as `SharedNetwork.from_pretrained`.
    """
    return _AnyNetwork.from_pretrained(where, **options)


class _AnyNetwork(SharedNetwork):
    """Finds the class of a network in its weight file."""

    @classmethod
    def _open(cls, path: Path) -> Any:
        kind = read_metadata(path).get("network")
        if kind not in CLASSES:
            raise WeightsError(f"{path}: its header does not say which network it holds")
        return CLASSES[kind]._open(path)


def _plain(shared: type) -> type[nn.Module]:
    """Returns the class of `cycleisp.networks` that a class of this file extends."""
    plain: type[nn.Module] = getattr(networks, shared.__name__)
    return plain


def _origin(path: Path) -> Origin:
    """Returns what is known of a weight file. The registry knows its files by their hash, too."""
    origin = origin_of(path)
    for entry in read_registry().weights:
        if origin.licence == UNKNOWN and entry.sha256 == origin.sha256:
            facts: dict[str, Any] = {
                "licence": entry.licence,
                "training_data": entry.training_data,
                "numbers": entry.numbers,
            }
            return replace(origin, name=entry.name, **facts)
    return origin


def _as_stored(network: Any) -> nn.Module:
    """Returns a network as its file stores it: in float16 if that holds every weight exactly."""
    if all(torch.equal(one.half().float(), one) for one in network.state_dict().values()):
        return copy.deepcopy(network).half()
    assert isinstance(network, nn.Module)
    return network
