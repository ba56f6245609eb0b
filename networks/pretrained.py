"""Networks from weight files that say what they are."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from networks.cycleisp import CycleISP, GuidedRaw2Rgb
from networks.denoiser import RawDenoiser, SrgbDenoiser
from networks.raw2rgb import ColorCorrection, Raw2Rgb
from networks.rgb2raw import Rgb2Raw
from utils.checkpoint import WeightsError, file_sha256, load_weights, read_metadata

SHIPPED = Path(__file__).resolve().parents[1] / "pretrained_models"
SHIPPED_DENOISERS = {False: "compact_srgb", True: "compact_raw"}  # whether for RAW -> name
Sizes = Mapping[str, Any]
Network = TypeVar("Network", bound=nn.Module)


def _guided_raw2rgb(sizes: Sizes) -> GuidedRaw2Rgb:
    return GuidedRaw2Rgb(Raw2Rgb(**sizes["raw2rgb"]), ColorCorrection(**sizes["color_correction"]))


BUILDERS: dict[str, Callable[[Sizes], nn.Module]] = {
    "Rgb2Raw": lambda sizes: Rgb2Raw(**sizes["rgb2raw"]),
    "GuidedRaw2Rgb": _guided_raw2rgb,
    "CycleISP": lambda sizes: CycleISP(Rgb2Raw(**sizes["rgb2raw"]), _guided_raw2rgb(sizes)),
    "RawDenoiser": lambda sizes: RawDenoiser(**sizes["denoiser"]),
    "SrgbDenoiser": lambda sizes: SrgbDenoiser(**sizes["denoiser"]),
}

# Files of a folder of released CycleISP weights -> the part of CycleISP that each fills.
RELEASED_ISP = {
    "rgb2raw_joint.pth": "rgb2raw",
    "raw2rgb_joint.pth": "guided_raw2rgb.raw2rgb",
    "ccm_joint.pth": "guided_raw2rgb.color_correction",
}


def build(kind: str, sizes: Sizes) -> nn.Module:
    """A network of `kind`, a key of BUILDERS, with random weights; `sizes` holds one mapping of arguments a branch."""
    return BUILDERS[kind](sizes)


def find_weights(name_or_path: str | Path) -> Path:
    """The file or folder meant by a shipped name, as `compact_isp`, or by a path.

    Raises:
        WeightsError: neither; the message lists the shipped names.
    """
    if Path(name_or_path).exists():
        return Path(name_or_path)
    shipped = SHIPPED / f"{name_or_path}.safetensors"
    if shipped.is_file():
        return shipped
    names = ", ".join(sorted(path.stem for path in SHIPPED.glob("*.safetensors"))) or "none"
    raise WeightsError(f"{name_or_path}: neither a file nor shipped weights; shipped are: {names}")


def load_network(name_or_path: str | Path, expected: type[Network]) -> Network:
    """Build and fill the network that a safetensors file of ours holds; ready for inference.

    Args:
        name_or_path: shipped name or path. A CycleISP may also come from a folder that holds the three released files
            rgb2raw_joint.pth, raw2rgb_joint.pth and ccm_joint.pth.
        expected: the class of networks/ that the caller can use.

    Raises:
        WeightsError: no such weights, damaged, of another network, or without its sizes.
    """
    path = find_weights(name_or_path)
    network: nn.Module
    if path.is_dir():
        network = _load_released_isp(path, expected)
    else:
        metadata = read_metadata(path)
        kind, sizes = metadata.get("network"), metadata.get("sizes")
        if kind not in BUILDERS or not isinstance(sizes, dict):
            raise WeightsError(f"{path}: its header does not say which network it holds; load it with load_weights")
        if kind != expected.__name__:
            raise WeightsError(f"{path}: holds a {kind}, a {expected.__name__} is needed here")
        network = build(str(kind), sizes)
        load_weights(network, path)
    assert isinstance(network, expected)
    return network.eval().requires_grad_(False)


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
        name_or_path: one denoiser, of either kind; the other is then None. None takes the shipped ones.
        spaces: what is needed of the shipped ones: False for photos, True for RAW.

    Raises:
        WeightsError: as `load_network`; or the file holds no denoiser.
    """
    if name_or_path is None:
        srgb = load_network(SHIPPED_DENOISERS[False], SrgbDenoiser) if False in spaces else None
        raw = load_network(SHIPPED_DENOISERS[True], RawDenoiser) if True in spaces else None
    elif read_metadata(find_weights(name_or_path)).get("network") == "RawDenoiser":
        srgb, raw = None, load_network(name_or_path, RawDenoiser)
    else:
        srgb, raw = load_network(name_or_path, SrgbDenoiser), None
    return srgb, raw


def _load_released_isp(folder: Path, expected: type[nn.Module]) -> nn.Module:
    missing = [name for name in RELEASED_ISP if not (folder / name).is_file()]
    if expected is not CycleISP or missing:
        raise WeightsError(f"{folder}: a folder serves as released CycleISP weights, it lacks {', '.join(missing)}")
    network = CycleISP(Rgb2Raw(), GuidedRaw2Rgb(Raw2Rgb(), ColorCorrection()))
    for name, part in RELEASED_ISP.items():
        load_weights(network.get_submodule(part), folder / name)
    return network
