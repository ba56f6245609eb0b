"""The page beside an ONNX file, for whoever uses it or passes it on: its contract and origin."""

from collections.abc import Sequence

from cycleisp.networks.onnx_files.contracts import Contract, Port
from cycleisp.networks.onnx_files.models import OPSET
from cycleisp.networks.onnx_files.origins import Origin


def card(
    file: str, sha256: str, contract: Contract, origin: Origin, network: str, tile: int | None, half: bool, agrees: str
) -> str:
    """Returns the page of a file, as Markdown.

    Args:
        file, sha256: name and hash of the ONNX file.
        contract, origin: of the network.
        network: its class.
        tile: the side of the only image that the file takes, or None.
        half: whether it computes in float16.
        agrees: how near its results come to PyTorch's, as measured.
    """
    rows = {
        "Task": contract.task,
        "Network": f"`{network}`",
        "Weights": f"`{origin.name}`, SHA-256 `{origin.sha256}`",
        "Licence": origin.licence,
        "Training data": origin.training_data,
        "Results": "; ".join(origin.numbers) or "none are recorded for these weights",
        "ONNX": f"opset {OPSET}, {'float16 inside, inputs and outputs are float32' if half else 'float32'}",
        "Sizes": _sizes(contract, tile),
        "Against PyTorch": agrees,
        "SHA-256 of this file": f"`{sha256}`",
    }
    table = "\n".join(f"| {key} | {value.replace('|', ' ')} |" for key, value in rows.items())
    return f"""# {file}

| | |
|---|---|
{table}

The facts above, the meaning of the tensors and the recipe of the training are also inside the file,
in `metadata_props`.

## Tensors

All are float32, (batch, channels, height, width).

| | name | shape | meaning |
|---|---|---|---|
{_ports("input", contract.inputs, contract, tile)}
{_ports("output", contract.outputs, contract, tile)}

## Tiles

{_tiles(contract, tile)}
"""


def _ports(kind: str, ports: Sequence[Port], contract: Contract, tile: int | None) -> str:
    base = None if tile is None else tile // contract.inputs[0].scale
    lines = []
    for port in ports:
        if base is None:
            factor = "" if port.scale == 1 else f"{port.scale}"
            shape = f"(B, {port.channels}, {factor}H, {factor}W)"
        else:
            shape = f"(1, {port.channels}, {port.scale * base}, {port.scale * base})"
        lines.append(f"| {kind} | `{port.name}` | {shape} | {port.meaning} |")
    return "\n".join(lines)


def _sizes(contract: Contract, tile: int | None) -> str:
    first = contract.inputs[0]
    if tile is not None:
        return f"one image, `{first.name}` of {tile}x{tile}"
    least, batch = first.scale * contract.least, "batches of any number of images of one size"
    if first.scale > 1:
        return f"sides of `{first.name}` are multiples of {first.scale}, at least {least}; {batch}"
    return f"images of any size; {batch}" if least == 1 else f"sides of `{first.name}` are at least {least}; {batch}"


def _tiles(contract: Contract, tile: int | None) -> str:
    name = contract.inputs[0].name
    if contract.halo is None or contract.pools:
        halo = "" if contract.halo is None else f" Apart from that, {contract.halo} pixels around a tile count."
        return (
            "This network weights its channels by their means over the whole image. A tile is weighted by its own\n"
            f"means, so that tiles differ from the whole image and from each other.{halo}\n"
            "Pass images whole where that matters."
        )
    core = "" if tile is None else f" Of a tile of {tile} pixels the inner {tile - 2 * contract.halo} are kept."
    return f"""A pixel's result depends on nothing further away than {contract.halo} pixels of `{name}`, the halo. So
tiles come out as the whole image does, but for rounding, if

1. the image is first padded by reflection, at the bottom and right, to sides that are multiples of
   {contract.multiple} and not smaller than a tile;
2. every tile begins at a row and a column that are multiples of {contract.multiple}, and lies inside of the
   image: the last one is moved back, not padded;
3. of each tile the {contract.halo} pixels at its edges are left out, except where its edge is that of the
   image.{core}"""
