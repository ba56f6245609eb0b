"""Weights from the released layout into safetensors and back, and halved: python -m cycleisp.utils.weights.files."""

import argparse
from pathlib import Path
from typing import Any

from torch import Tensor

from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.weights import released_layout
from cycleisp.utils.weights.files import (
    RELEASED_SUFFIXES,
    WeightsError,
    file_sha256,
    read_metadata,
    read_released,
    read_tensors,
    save_tensors,
    write_released,
)

LICENCE_REMARK = (
    "That of the source: conversion changes none. The released CycleISP weights are for academic, non-commercial use, "
    "share-alike; what is made from them stays so."
)
UNUSED_REMARK = "RAW2RGB's convolution `conv1x1.0`, never used, is filled with zeros: the source has none."


def convert(source: Path, destination: Path, network: str | None = None) -> str:
    """Convert a weight file; which way is told by the suffixes. A card, DST's stem with .md, is written beside it.

    Args:
        source: `.pth` in the released layout, or `.safetensors` of ours.
        destination: of the other kind; neither it nor its card may exist.
        network: what a `.pth` holds, a key of `released_layout.BRANCHES`; needed only where RGB2RAW and the sRGB
            denoiser cannot be told apart.

    Returns:
        The card.

    Raises:
        WeightsError: a file that cannot be used, or that the other layout cannot express.
    """
    to_ours = source.suffix in RELEASED_SUFFIXES and destination.suffix == ".safetensors"
    to_released = source.suffix == ".safetensors" and destination.suffix in RELEASED_SUFFIXES
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
    said = read_metadata(source)
    kind, sizes = said.get("network"), said.get("sizes")
    if not isinstance(kind, str) or not isinstance(sizes, dict):
        raise WeightsError(f"{source}: its header does not say which network it holds")
    tensors = read_tensors(source)
    released = released_layout.to_released(tensors, kind, sizes)
    write_released(destination, released, {**said, "source": _origin(source)})
    return kind, sizes, _count(_each_once(tensors))


def halve(source: Path, destination: Path) -> str:
    """Store weights in float16 for shipping. They are loaded into float32 networks as any others.

    Args:
        source: `.safetensors` of ours.
        destination: `.safetensors`, must not exist.

    Returns:
        A line that says how large the change is.

    Raises:
        WeightsError: a file that cannot be used, or values that float16 has not.
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
    """Weights by our names without the further names of the shared PReLU."""
    return {name: tensor for name, tensor in ours.items() if not name.endswith(".activation.weight")}


def _count(tensors: dict[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors.values())


def _card(source: Path, destination: Path, kind: str, sizes: dict[str, Any], count: int, with_zeros: bool) -> str:
    branch = sizes[released_layout.BRANCHES[kind][0]]
    rows = {
        "Network": f"`{kind}`, {count:,} parameters",
        "Sizes": ", ".join(f"{key} {value}" for key, value in branch.items()),
        "From": f"`{source.name}`, SHA-256 `{file_sha256(source)}`",
        "SHA-256": f"`{file_sha256(destination)}`",
        "Licence": LICENCE_REMARK,
    }
    if with_zeros:
        rows["Unused"] = UNUSED_REMARK
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    what = "converted by `python -m cycleisp.utils.weights.files convert`; only names and container changed, no value"
    return f"# {destination.stem}\n\n`{destination.name}`: {what}.\n\n| | |\n|---|---|\n{table}\n"


def main() -> int:
    """The command line of `python -m cycleisp.utils.weights.files`."""
    parser = argparse.ArgumentParser(prog="python -m cycleisp.utils.weights.files", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="convert|halve", dest="command")
    converting = commands.add_parser("convert", help="a released .pth into safetensors, or back")
    halving = commands.add_parser("halve", help="safetensors in float16, half the size")
    for command in (converting, halving):
        command.add_argument("source", type=Path, metavar="SRC")
        command.add_argument("destination", type=Path, metavar="DST")
    converting.add_argument(
        "--network",
        choices=sorted(released_layout.BRANCHES),
        help="what a .pth holds; needed where sizes other than the paper's leave two possibilities",
    )
    args = parser.parse_args()
    if args.command == "halve":
        print(halve(args.source, args.destination), end="")
    else:
        print(convert(args.source, args.destination, args.network), end="")
    return 0
