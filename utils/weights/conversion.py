"""Converting weight files: from the released layout into safetensors and back, and to float16."""

from pathlib import Path
from typing import Any

from torch import Tensor

from cycleisp.utils.fingerprints import file_sha256
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.weights import kinds
from cycleisp.utils.weights.errors import WeightsError
from cycleisp.utils.weights.files import read_metadata, read_tensors, save_tensors
from cycleisp.utils.weights.formats import released_layout
from cycleisp.utils.weights.formats.released_files import RELEASED_SUFFIXES, read_released, write_released

LICENCE_REMARK = (
    "That of the source: conversion changes none. The released CycleISP weights are for academic, non-commercial use, "
    "share-alike; what is made from them stays so."
)
UNUSED_REMARK = "RAW2RGB's convolution `conv1x1.0`, never used, is filled with zeros: the source has none."


def convert(source: Path, destination: Path, network: str | None = None) -> str:
    """Converts a weight file between the released layout and ours; the suffixes tell the direction.

    A card, the destination's name with .md, is written beside it.

    Args:
        source: `.pth` in the released layout, or `.safetensors` of ours.
        destination: a file of the other layout. Neither it nor its card may exist.
        network: what a `.pth` holds, one of `released_layout.BRANCHES`. It is needed only where
            RGB2RAW and the sRGB denoiser cannot be told apart.

    Returns:
        The card.

    Raises:
        WeightsError: a file that cannot be used, or that the other layout cannot express.
    """
    into = destination.suffix.lower()
    to_ours = source.suffix.lower() in RELEASED_SUFFIXES and into == ".safetensors"
    to_released = source.suffix.lower() == ".safetensors" and into in RELEASED_SUFFIXES
    if not (to_ours or to_released):
        raise WeightsError(
            f"{source} to {destination}: expected .pth to .safetensors, or .safetensors to .pth, by their suffixes"
        )
    card_path = destination.with_suffix(".md")
    for path in (destination, card_path):
        if path.exists():
            raise WeightsError(f"{path}: exists; give another destination, or remove it")
    try:
        if to_ours:
            kind, sizes, count = _to_ours(source, destination, network)
        else:
            kind, sizes, count = _to_released(source, destination)
    except released_layout.LayoutError as error:
        raise WeightsError(f"{source}: {error}") from None
    except OSError as error:
        raise WeightsError(f"{destination}: cannot be written ({error.strerror})") from None
    card = _card(source, destination, kind, sizes, count, with_zeros=to_released and kind == "Raw2Rgb")
    write_bytes(card_path, card.encode())
    return card


def _to_ours(source: Path, destination: Path, network: str | None) -> tuple[str, dict[str, Any], int]:
    """Writes a safetensors file; returns kind of network, sizes, and number of parameters."""
    released = read_released(source)
    said = read_metadata(source)  # a .pth that we wrote says what it is
    kind, sizes = released_layout.describe(released, network or said.get("network"))
    ours = released_layout.from_released(released)
    released_layout.check_complete(ours, kind, sizes)
    tensors = _each_once(ours)
    kept = {key: said[key] for key in ("recipe", "step", "version") if isinstance(said.get(key), (str, int))}
    save_tensors(destination, tensors, {**kept, "network": kind, "sizes": sizes, "source": _origin(source)})
    return kind, sizes, _count(tensors)


def _to_released(source: Path, destination: Path) -> tuple[str, dict[str, Any], int]:
    """Writes a `.pth`; returns kind of network, sizes, and number of parameters."""
    said = read_metadata(source)
    kind, sizes = said.get("network"), said.get("sizes")
    if not isinstance(kind, str) or not isinstance(sizes, dict):
        raise WeightsError(f"{source}: its header does not say which network it holds")
    tensors = read_tensors(source)
    released = released_layout.to_released(tensors, kind, sizes)
    write_released(destination, released, {**said, "source": _origin(source)})
    return kind, sizes, _count(_each_once(tensors))


def halve(source: Path, destination: Path) -> str:
    """Stores weights in float16 for shipping. They load into float32 networks as any others do.

    Args:
        source: `.safetensors` of ours.
        destination: `.safetensors`, which must not exist.

    Returns:
        A line that says how large the change is.

    Raises:
        WeightsError: a file that cannot be used, or values beyond the range of float16.
    """
    if source.suffix != ".safetensors" or destination.suffix != ".safetensors":
        raise WeightsError(f"{source} to {destination}: expected two .safetensors")
    if destination.exists():
        raise WeightsError(f"{destination}: exists; give another destination, or remove it")
    tensors = read_tensors(source)
    halved = {name: tensor.half() for name, tensor in tensors.items()}
    for name, tensor in halved.items():
        if not tensor.isfinite().all():
            largest = float(tensors[name].abs().max())
            raise WeightsError(f"{source}: {name} holds {largest:g}, float16 ends at 65504; ship it in float32")
    save_tensors(destination, halved, read_metadata(source))
    pairs = [(tensors[name], tensor.float()) for name, tensor in halved.items()]
    change = max(float((before - after).abs().max() / before.abs().max().clamp(min=1e-12)) for before, after in pairs)
    return f"{destination}: {destination.stat().st_size} bytes, values changed by at most {change:.1e} of the largest\n"


def _origin(source: Path) -> dict[str, str]:
    return {"file": source.name, "sha256": file_sha256(source)}


def _each_once(ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns weights by our names without the further names of the shared PReLU."""
    return {name: tensor for name, tensor in ours.items() if not name.endswith(".activation.weight")}


def _count(tensors: dict[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors.values())


def _card(source: Path, destination: Path, kind: str, sizes: dict[str, Any], count: int, with_zeros: bool) -> str:
    branch = sizes[kinds.KINDS[kind].part]
    rows = {
        "Network": f"`{kind}`, {count:,} parameters",
        "Sizes": ", ".join(f"{key} {branch[key]}" for key in kinds.KINDS[kind].sizes.model_fields if key in branch),
        "From": f"`{source.name}`, SHA-256 `{file_sha256(source)}`",
        "SHA-256": f"`{file_sha256(destination)}`",
        "Licence": LICENCE_REMARK,
    }
    if with_zeros:
        rows["Unused"] = UNUSED_REMARK
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    what = "converted by `python -m cycleisp.utils.weights convert`; only names and container changed, no value"
    return f"# {destination.stem}\n\n`{destination.name}`: {what}.\n\n| | |\n|---|---|\n{table}\n"
