"""Networks from weight files: of a registered name, fetched where they are missing, or of a path."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from torch import nn

from cycleisp.networks import blocks
from cycleisp.networks.cycleisp import CycleISP, GuidedRaw2Rgb
from cycleisp.networks.denoiser import RawDenoiser, SrgbDenoiser
from cycleisp.networks.raw2rgb import ColorCorrection, Raw2Rgb
from cycleisp.networks.rgb2raw import Rgb2Raw
from cycleisp.utils.weights import registry
from cycleisp.utils.weights.download import fetch
from cycleisp.utils.weights.files import (
    RELEASED_SUFFIXES,
    WeightsError,
    file_sha256,
    load_weights,
    read_metadata,
    read_released,
)
from cycleisp.utils.weights.released_layout import BRANCHES

SHIPPED_DENOISERS = {False: "compact_srgb", True: "compact_raw"}  # whether for RAW -> name
Sizes = Mapping[str, Any]
Network = TypeVar("Network", bound=nn.Module)


def _guided_raw2rgb(sizes: Sizes) -> GuidedRaw2Rgb:
    return GuidedRaw2Rgb(Raw2Rgb(**sizes["raw2rgb"]), ColorCorrection(**sizes["color_correction"]))


BUILDERS: dict[str, Callable[[Sizes], nn.Module]] = {
    "Rgb2Raw": lambda sizes: Rgb2Raw(**sizes["rgb2raw"]),
    "Raw2Rgb": lambda sizes: Raw2Rgb(**sizes["raw2rgb"]),
    "ColorCorrection": lambda sizes: ColorCorrection(**sizes["color_correction"]),
    "GuidedRaw2Rgb": _guided_raw2rgb,
    "CycleISP": lambda sizes: CycleISP(Rgb2Raw(**sizes["rgb2raw"]), _guided_raw2rgb(sizes)),
    "RawDenoiser": lambda sizes: RawDenoiser(**sizes["denoiser"], stabilized=sizes.get("stabilized", False)),
    "SrgbDenoiser": lambda sizes: SrgbDenoiser(**sizes["denoiser"]),
}

# Files of a folder of released CycleISP weights -> the part of CycleISP that each fills.
RELEASED_ISP = {
    "rgb2raw_joint.pth": "rgb2raw",
    "raw2rgb_joint.pth": "guided_raw2rgb.raw2rgb",
    "ccm_joint.pth": "guided_raw2rgb.color_correction",
}


def build(kind: str, sizes: Sizes, save_memory: bool = False) -> nn.Module:
    """A network with random weights.

    Args:
        kind: a key of BUILDERS.
        sizes: one mapping of arguments a branch.
        save_memory: train it with less memory, see `networks.blocks.save_memory`.
    """
    network = BUILDERS[kind](sizes)
    if save_memory:
        blocks.save_memory(network)
    return network


def find_weights(name_or_path: str | Path) -> Path:
    """The file or folder meant by a name of the registry, as `compact_isp`, or by a path. What is missing is fetched.

    Raises:
        WeightsError: neither; the message lists the names.
        DownloadError: a missing file that no source gives.
    """
    if Path(name_or_path).exists():
        return Path(name_or_path)
    known = registry.read_registry(registry.FOLDER)
    entry = known.find(str(name_or_path))
    if entry is None:
        raise WeightsError(f"{name_or_path}: neither a file nor shipped weights; {known.names()}")
    paths = [fetch(weights, registry.FOLDER) for weights in known.members(entry)]
    return paths[0] if isinstance(entry, registry.Weights) else paths[0].parent


def _registered(name_or_path: str | Path) -> registry.Weights | registry.Bundle | None:
    """The registry's entry, unless a path is meant."""
    if Path(name_or_path).exists():
        return None
    return registry.read_registry(registry.FOLDER).find(str(name_or_path))


def load_network(name_or_path: str | Path, expected: type[Network]) -> Network:
    """Build and fill a network; ready for inference.

    Args:
        name_or_path: name of the registry or path. Of a safetensors file the header says what it holds; a `.pth` in the
            released layout has the sizes of the registry, by path those of the paper. A CycleISP may also come from a
            folder that holds the three released files rgb2raw_joint.pth, raw2rgb_joint.pth and ccm_joint.pth.
        expected: the class of networks/ that the caller can use.

    Raises:
        WeightsError: no such weights, damaged, of another network, or without its sizes.
        DownloadError: a missing file that no source gives.
    """
    entry = _registered(name_or_path)
    if entry is not None and entry.network != expected.__name__:  # before anything is fetched
        raise WeightsError(f"{name_or_path}: is a {entry.network}, a {expected.__name__} is needed here")
    path = find_weights(name_or_path)
    network: nn.Module
    if path.is_dir():
        network = _load_released_isp(path, expected)
    else:
        kind, sizes = _contents(path, entry, expected)
        if kind not in BUILDERS or not isinstance(sizes, dict):
            raise WeightsError(f"{path}: its header does not say which network it holds; load it with load_weights")
        if kind != expected.__name__:
            raise WeightsError(f"{path}: holds a {kind}, a {expected.__name__} is needed here")
        try:
            network = build(str(kind), sizes)
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"{path}: its sizes are none of a {kind} of this version ({error})") from None
        load_weights(network, path)
    assert isinstance(network, expected)
    return network.eval().requires_grad_(False)


def _contents(
    path: Path, entry: registry.Weights | registry.Bundle | None, expected: type[nn.Module]
) -> tuple[object, object]:
    """Network and sizes by the file's own word. The authors' files say nothing: by the registry's, or the paper's."""
    said = read_metadata(path)
    if "network" in said or path.suffix not in RELEASED_SUFFIXES:
        return said.get("network"), said.get("sizes")
    if isinstance(entry, registry.Weights):
        return entry.network, entry.sizes.arguments()
    if expected.__name__ not in BRANCHES:
        raise WeightsError(f"{path}: released files hold one branch each; {expected.__name__} is none")
    return expected.__name__, {BRANCHES[expected.__name__][0]: {}}


def load_cycleisp(name_or_path: str | Path) -> tuple[CycleISP, str]:
    """A CycleISP ready for inference, and the SHA-256 of its weights (of all three files of a released folder).

    Raises:
        WeightsError: as `load_network`.
    """
    network = load_network(name_or_path, CycleISP)
    path = find_weights(name_or_path)
    files = [path / name for name in RELEASED_ISP] if path.is_dir() else [path]
    return network, "+".join(file_sha256(file) for file in files)


def load_denoisers(
    name_or_path: str | None, spaces: Collection[bool]
) -> tuple[SrgbDenoiser | None, RawDenoiser | None]:
    """The denoisers for photos and for RAW, ready for inference.

    Args:
        name_or_path: one denoiser, of either kind, as `load_network` takes it; the other is then None. None takes the
            shipped ones.
        spaces: what is needed of the shipped ones: False for photos, True for RAW.

    Raises:
        WeightsError: as `load_network`; or the file holds no denoiser.
    """
    if name_or_path is None:
        srgb = load_network(SHIPPED_DENOISERS[False], SrgbDenoiser) if False in spaces else None
        raw = load_network(SHIPPED_DENOISERS[True], RawDenoiser) if True in spaces else None
    elif _holds_raw_denoiser(name_or_path):
        srgb, raw = None, load_network(name_or_path, RawDenoiser)
    else:
        srgb, raw = load_network(name_or_path, SrgbDenoiser), None
    return srgb, raw


def load_denoiser(name_or_path: str | Path, space: Literal["raw", "srgb"]) -> tuple[SrgbDenoiser | RawDenoiser, str]:
    """The denoiser of a space, ready for inference, and the SHA-256 of its file.

    Raises:
        WeightsError: as `load_network`.
    """
    kinds: dict[str, type[SrgbDenoiser | RawDenoiser]] = {"raw": RawDenoiser, "srgb": SrgbDenoiser}
    return load_network(name_or_path, kinds[space]), file_sha256(find_weights(name_or_path))


def _holds_raw_denoiser(name_or_path: str) -> bool:
    entry = _registered(name_or_path)
    if entry is not None:
        return entry.network == "RawDenoiser"
    path = find_weights(name_or_path)
    said = {} if path.is_dir() else read_metadata(path)
    if "network" in said or path.suffix not in RELEASED_SUFFIXES:
        return said.get("network") == "RawDenoiser"
    first = read_released(path).get("head.0.weight")
    return first is not None and first.shape[1:2] == (8,)  # RAW and its variance; photos have 3


def _load_released_isp(folder: Path, expected: type[nn.Module]) -> nn.Module:
    if expected is not CycleISP:
        raise WeightsError(f"{folder}: a folder serves as CycleISP; a {expected.__name__} is needed here")
    missing = [name for name in RELEASED_ISP if not (folder / name).is_file()]
    if missing:
        raise WeightsError(f"{folder}: a folder serves as released CycleISP weights, it lacks {', '.join(missing)}")
    network = CycleISP(Rgb2Raw(), GuidedRaw2Rgb(Raw2Rgb(), ColorCorrection()))
    for name, part in RELEASED_ISP.items():
        load_weights(network.get_submodule(part), folder / name)
    return network
