"""Networks from weight files: by a name of the registry, fetched if missing, or by a path."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from pydantic import ValidationError
from torch import nn

from cycleisp import networks
from cycleisp.networks import blocks
from cycleisp.networks.cycleisp import CycleISP
from cycleisp.networks.denoiser import Denoiser
from cycleisp.utils.config.sizes import count_blocks
from cycleisp.utils.errors import reason
from cycleisp.utils.fingerprints import file_sha256
from cycleisp.utils.images import Space
from cycleisp.utils.weights import held, registry
from cycleisp.utils.weights.downloads.fetching import fetch
from cycleisp.utils.weights.errors import WeightsError
from cycleisp.utils.weights.files import check_weights, count_tensors, load_weights, read_metadata
from cycleisp.utils.weights.formats.contents import check_suffix, layout_of
from cycleisp.utils.weights.formats.released_files import read_released
from cycleisp.utils.weights.formats.released_layout import BRANCHES, LayoutError, denoised_space, describe
from cycleisp.utils.weights.kinds import KINDS, SIZES, default_sizes, denoisers_of

SHIPPED_DENOISERS: Mapping[Space, str] = {"srgb": "compact_srgb", "raw": "compact_raw"}
CLASSES: dict[str, type[nn.Module]] = {kind: getattr(networks, kind) for kind in KINDS}
Sizes = Mapping[str, Any]
Network = TypeVar("Network", bound=nn.Module)

# Files of a folder of released CycleISP weights -> the part of CycleISP that each fills.
RELEASED_ISP = {
    "rgb2raw_joint.pth": "rgb2raw",
    "raw2rgb_joint.pth": "guided_raw2rgb.raw2rgb",
    "ccm_joint.pth": "guided_raw2rgb.color_correction",
}


# ---------------------------------------------------------------- networks with random weights


def build(kind: str, sizes: Sizes, save_memory: bool = False) -> nn.Module:
    """Builds a network with random weights.

    Args:
        kind: one of `utils.weights.kinds.KINDS`.
        sizes: for each part of that kind the arguments, as the header of a weight file states them.
        save_memory: train it with less memory, see `networks.blocks.save_memory`.
    """
    network = _build(kind, sizes)
    if save_memory:
        blocks.save_memory(network)
    return network


def _build(kind: str, sizes: Sizes) -> nn.Module:
    entry = KINDS[kind]
    if entry.branches:
        return CLASSES[kind](*(_build(branch, sizes) for branch in entry.branches))
    options = {option: sizes[option] for option in entry.options if option in sizes}
    return CLASSES[kind](**sizes[entry.part], **options)


# ---------------------------------------------------------------- networks with weights


def find_weights(name_or_path: str | Path) -> Path:
    """Returns the file or folder of a name of the registry, such as `compact_isp`, or of a path.

    A registered file that is missing is fetched. One that is there must have its SHA-256, whether
    it is given by name or by path.

    Raises:
        WeightsError: neither a file nor a name, in which case the message lists the names; or a
            registered file that is damaged.
        DownloadError: a missing file that no source gives.
    """
    path = _find(name_or_path)
    for file in [path / name for name in RELEASED_ISP] if path.is_dir() else [path]:
        held.check_registered(file)
    return path


def _find(name_or_path: str | Path) -> Path:
    if _exists(name_or_path):
        return Path(name_or_path)
    known = registry.read_registry()
    entry = known.find(str(name_or_path))
    if entry is None:
        raise WeightsError(f"{name_or_path}: neither a file nor shipped weights; {known.names()}")
    paths = [fetch(weights, registry.folder_of(weights)) for weights in known.members(entry)]
    return paths[0] if isinstance(entry, registry.Weights) else paths[0].parent


def weights_sha256(name_or_path: str | Path) -> str:
    """Returns the SHA-256 of a weight file; of a folder of released files all three, joined by `+`.

    Raises:
        WeightsError, DownloadError: as `find_weights`.
    """
    path = find_weights(name_or_path)
    files = [path / name for name in RELEASED_ISP] if path.is_dir() else [path]
    return "+".join(file_sha256(file) for file in files)


def load_network(name_or_path: str | Path, expected: type[Network]) -> Network:
    """Builds a network and fills it with weights, ready for inference.

    Args:
        name_or_path: name of the registry or path. The header of a safetensors file says what it
            holds. A `.pth` in the released layout has the sizes of the registry, by path those of
            the paper. A CycleISP may also come from a folder that holds the three released files
            rgb2raw_joint.pth, raw2rgb_joint.pth and ccm_joint.pth.
        expected: the class of networks/ that the caller can use.

    Raises:
        WeightsError: no such weights, damaged, of another network, or without its sizes.
        DownloadError: a missing file that no source gives.
    """
    network = _load(name_or_path, [expected.__name__])
    assert isinstance(network, expected)
    return network


def load_any(name_or_path: str | Path) -> nn.Module:
    """Builds the network that some weights hold, whatever its kind, ready for inference.

    Args:
        name_or_path: as `load_network` takes it. A `.pth` in the released layout, given by path, is
            recognised by its shapes.

    Raises:
        WeightsError, DownloadError: as `load_network`; or a released file that two networks fit.
    """
    wanted = list(KINDS)
    if _registered(name_or_path) is None:
        path = find_weights(name_or_path)
        if path.is_file() and _is_silent(path):
            try:
                wanted = [describe(read_released(path))[0]]
            except LayoutError as error:
                raise WeightsError(f"{path}: {error}") from None
    return _load(name_or_path, wanted)


def load_cycleisp(name_or_path: str | Path) -> tuple[CycleISP, str]:
    """Returns a CycleISP ready for inference, and its hash as `weights_sha256` returns it.

    Raises:
        WeightsError, DownloadError: as `load_network`.
    """
    return load_network(name_or_path, CycleISP), weights_sha256(name_or_path)


def load_denoiser(name_or_path: str | Path, space: Space) -> tuple[Denoiser, str]:
    """Returns a denoiser for images of a space, ready for inference, and the SHA-256 of its file.

    Raises:
        WeightsError, DownloadError: as `load_network`.
    """
    return cast(Denoiser, _load(name_or_path, denoisers_of(space))), weights_sha256(name_or_path)


def load_denoisers(
    name_or_path: str | Path | None, spaces: Collection[Space]
) -> tuple[Denoiser | None, Denoiser | None]:
    """Returns the denoisers for photos and for RAW, ready for inference.

    Args:
        name_or_path: one denoiser, of either space, as `load_network` takes it; the other one is
            then None. None loads the shipped ones.
        spaces: which of the shipped ones to load; the others are None.

    Raises:
        WeightsError, DownloadError: as `load_network`; or the file holds no denoiser.
    """
    if name_or_path is None:
        chosen: dict[Space, str | Path] = {space: SHIPPED_DENOISERS[space] for space in spaces}
    else:
        chosen = {_space_of(name_or_path): name_or_path}
    loaded = {space: cast(Denoiser, _load(weights, denoisers_of(space))) for space, weights in chosen.items()}
    return loaded.get("srgb"), loaded.get("raw")


def _load(name_or_path: str | Path, wanted: Sequence[str]) -> nn.Module:
    """Builds and fills a network, which must be of a wanted kind."""
    needed = f"a {' or '.join(wanted)} is needed here"
    entry = _registered(name_or_path)
    if entry is not None and entry.network not in wanted:  # before anything is fetched
        raise WeightsError(f"{name_or_path}: is a {entry.network}, {needed}")
    path = find_weights(name_or_path)
    if path.is_dir():
        if "CycleISP" not in wanted:
            raise WeightsError(f"{path}: a folder serves as CycleISP; {needed}")
        network = _load_released_isp(path)
    else:
        kind, sizes = _contents(path, entry, wanted)
        if not isinstance(kind, str) or kind not in KINDS or not isinstance(sizes, dict):
            raise WeightsError(f"{path}: its header does not say which network it holds; load it with load_weights")
        if kind not in wanted:
            raise WeightsError(f"{path}: holds a {kind}, {needed}")
        network = _build_for(path, kind, sizes)
        load_weights(network, path)
    return network.eval().requires_grad_(False)


def _build_for(path: Path, kind: str, sizes: Sizes) -> nn.Module:
    """Builds the network of a file, after comparing the sizes with the tensors that it stores.

    A header can claim any size in a few bytes. So the network is first built without memory, on
    PyTorch's `meta` device, and only when the file's tensors fit it is it built in earnest.
    """
    try:
        described = SIZES.model_validate(sizes)
        parts = [getattr(described, part) for part in KINDS[kind].parts if sizes[part] is not None]
        claimed = sum(count_blocks(part) for part in parts)
        stored = count_tensors(path)
        if claimed > stored:
            raise WeightsError(
                f"{path}: these are not the weights of this {kind}: {claimed} blocks are claimed, "
                f"{stored} tensors are stored"
            )
        with torch.device("meta"):
            skeleton = build(kind, sizes)
        check_weights(skeleton, path)
        return build(kind, sizes)
    except ValidationError as error:
        first = error.errors()[0]
        words = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise WeightsError(f"{path}: its sizes are none of a {kind} of this version ({words})") from None
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise WeightsError(f"{path}: its sizes are none of a {kind} of this version ({reason(error)})") from None


def _registered(name_or_path: str | Path) -> registry.Weights | registry.Bundle | None:
    """Returns the registry's entry, or None where a path is meant."""
    if _exists(name_or_path):
        return None
    return registry.read_registry().find(str(name_or_path))


def _exists(name_or_path: str | Path) -> bool:
    """Returns whether there is a file or folder of this name, which may be no path at all."""
    try:
        return Path(name_or_path).exists()
    except (OSError, ValueError):
        return False


def _is_silent(path: Path) -> bool:
    """Returns whether a file is a `.pth` that does not say what it holds, like the authors'."""
    check_suffix(path)
    return layout_of(path) != "safetensors" and "network" not in read_metadata(path)


def _contents(
    path: Path, entry: registry.Weights | registry.Bundle | None, wanted: Sequence[str]
) -> tuple[object, object]:
    """Returns the kind of network and the sizes that a file states.

    The authors' files state nothing. For them the registry's are returned, or by path the first
    wanted kind that such files can hold, with the paper's sizes.
    """
    if not _is_silent(path):
        said = read_metadata(path)
        return said.get("network"), said.get("sizes")
    if isinstance(entry, registry.Weights):
        return entry.network, entry.sizes.model_dump(exclude_none=True)
    possible = [kind for kind in wanted if kind in BRANCHES]
    if not possible:
        raise WeightsError(f"{path}: released files hold one branch each; {' or '.join(wanted)} is none")
    return possible[0], default_sizes(possible[0])


def _space_of(name_or_path: str | Path) -> Space:
    """Returns the space of the images that a denoiser is for; `srgb` for other networks."""
    entry = _registered(name_or_path)
    if entry is not None:
        return KINDS[entry.network].denoises or "srgb"
    path = find_weights(name_or_path)
    if path.is_dir():
        return "srgb"
    if not _is_silent(path):
        kind = KINDS.get(str(read_metadata(path).get("network")))
        return (kind and kind.denoises) or "srgb"
    return denoised_space(read_released(path)) or "srgb"


def _load_released_isp(folder: Path) -> nn.Module:
    missing = [name for name in RELEASED_ISP if not (folder / name).is_file()]
    if missing:
        raise WeightsError(f"{folder}: a folder serves as released CycleISP weights, it lacks {', '.join(missing)}")
    network = build("CycleISP", default_sizes("CycleISP"))
    for name, part in RELEASED_ISP.items():
        load_weights(network.get_submodule(part), folder / name)
    return network
