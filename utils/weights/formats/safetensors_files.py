"""The container of our weights, safetensors: the same bytes for the same content, and a checksum.

The library safetensors writes the header's metadata in an order that differs from run to run, and
knows no checksum. `seal` mends both in a file that the library has written; any program that reads
safetensors reads the result.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from cycleisp.utils.errors import reading
from cycleisp.utils.weights.errors import WeightsError
from cycleisp.utils.weights.formats.contents import layout_of

CHECKSUM = "content_sha256"  # the metadata's key
LARGEST_HEADER = 16 << 20  # bytes; that of the paper's CycleISP has 0.1 MB
_LENGTH = 8  # bytes of the header's length, before the header


@dataclass(frozen=True)
class Stored:
    """What a safetensors file holds.

    Attributes:
        metadata: of the header, as text, without the checksum.
        tensors: by their names.
    """

    metadata: dict[str, str]
    tensors: dict[str, Tensor]


def read_stored(path: Path) -> Stored:
    """Reads a safetensors file and, where it has a checksum, compares it with the content.

    Raises:
        WeightsError: missing, truncated, damaged or not a safetensors file.
    """
    if layout_of(path) != "safetensors":
        raise WeightsError(f"{path}: holds a file of PyTorch under another name; rename it to .pth")
    with reading(path, WeightsError, "not a whole safetensors file, get it again"):
        content = path.read_bytes()
        specs, metadata, data = _parse(content)
        tensors = safetensors.torch.load(content)
        told = metadata.pop(CHECKSUM, None)
        if told is not None and told != _checksum(specs, metadata, data):
            raise WeightsError(
                f"{path}: damaged, its content does not match the checksum in its header "
                "(or another program has changed it and kept the header); get it again"
            )
    return Stored(metadata, tensors)


def seal(path: Path) -> None:
    """Puts the header of a safetensors file into a fixed order, and adds a checksum to it.

    Files of equal tensors and equal metadata become equal byte for byte. The data stay as they are.

    Args:
        path: a file that the library has just written.
    """
    specs, metadata, data = _parse(path.read_bytes())
    metadata.pop(CHECKSUM, None)
    metadata[CHECKSUM] = _checksum(specs, metadata, data)
    in_order = sorted(specs.items(), key=lambda item: (item[1]["data_offsets"], item[0]))
    text = json.dumps(
        {"__metadata__": dict(sorted(metadata.items())), **dict(in_order)}, separators=(",", ":")
    ).encode()
    text += b" " * (-len(text) % 8)  # the data begin at a multiple of eight bytes
    path.write_bytes(len(text).to_bytes(_LENGTH, "little") + text + data)


def _parse(content: bytes) -> tuple[dict[str, Any], dict[str, str], memoryview]:
    """Returns the tensors' descriptions, the metadata, and the data of a file."""
    length = int.from_bytes(content[:_LENGTH], "little")
    if length > min(LARGEST_HEADER, len(content) - _LENGTH):
        raise ValueError(f"its header claims {length} bytes of the file's {len(content)}")
    text = content[_LENGTH : _LENGTH + length].decode()
    header = json.loads(text, object_pairs_hook=_each_key_once)
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are no texts by name")
    return header, metadata, memoryview(content)[_LENGTH + length :]


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice in its header")
    return found


def _checksum(specs: Mapping[str, Any], metadata: Mapping[str, str], data: memoryview) -> str:
    """Returns the SHA-256 of metadata and of tensors: names, types, shapes and bytes.

    The order and the spacing of the header do not count, so that a program may write the same
    content anew.
    """
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(specs):
        begin, end = specs[name]["data_offsets"]
        digest.update(json.dumps([name, specs[name]["dtype"], specs[name]["shape"], end - begin]).encode())
        digest.update(data[begin:end])
    return digest.hexdigest()
