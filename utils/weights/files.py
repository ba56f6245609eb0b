"""Weight files: what they say of themselves, what they hold, and loading them into networks.

`read_metadata` and `load_weights` take files of either layout: safetensors of ours, whose header
says what they hold (safetensors_files.py), and `.pth` in the released layout (released_files.py).
No code from a file ever runs.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from cycleisp.utils.errors import reading
from cycleisp.utils.output.files import atomic_path
from cycleisp.utils.weights.errors import WeightsError
from cycleisp.utils.weights.formats.contents import check_suffix, layout_of
from cycleisp.utils.weights.formats.pickles import read_pickle
from cycleisp.utils.weights.formats.released_files import read_for, read_released
from cycleisp.utils.weights.formats.safetensors_files import read_stored, seal

METADATA_KEYS = ("network", "sizes", "recipe", "step", "version", "training", "validation", "source")


# ---------------------------------------------------------------- writing


def save_weights(path: Path, network: nn.Module, metadata: Mapping[str, object]) -> None:
    """Writes a network's weights as safetensors, with a checksum in the header.

    The file appears under its name only when it is whole. A parameter that several blocks share is
    stored once. Equal weights and metadata give files that are equal byte for byte.

    Args:
        path: of the file; its folder is made if necessary.
        network: any of networks/.
        metadata: stored in the file's header, each value as JSON.
    """
    with atomic_path(path) as aside:
        safetensors.torch.save_model(network, str(aside), metadata=_header(metadata))
        seal(aside)
        aside.chmod(0o644)  # safetensors makes files that only their owner can read


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, object]) -> None:
    """Writes tensors by our names as `save_weights` does.

    The shared PReLU must be there once, as `activation.weight`.
    """
    with atomic_path(path) as aside:
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        safetensors.torch.save_file(contiguous, str(aside), metadata=_header(metadata))
        seal(aside)
        aside.chmod(0o644)


def _header(metadata: Mapping[str, object]) -> dict[str, str]:
    return {key: json.dumps(value, sort_keys=True) for key, value in metadata.items()}


# ---------------------------------------------------------------- reading


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Reads the tensors of a safetensors file by our names; a shared one has one of its names.

    Raises:
        WeightsError: missing, truncated, damaged or not a safetensors file.
    """
    return read_stored(path).tensors


def read_metadata(path: Path) -> dict[str, Any]:
    """Reads what a weight file says of itself, by METADATA_KEYS; the authors' `.pth` say nothing.

    Raises:
        WeightsError: missing, truncated or no weight file; code in the pickle.
    """
    if layout_of(path) != "safetensors":
        content = read_pickle(path)
        return {key: content[key] for key in METADATA_KEYS if key in content}
    said = read_stored(path).metadata
    with reading(path, WeightsError, "its header is none of ours, get it again"):
        # save_model adds plain strings of its own for the tensors that share memory
        return {key: json.loads(text) for key, text in said.items() if key in METADATA_KEYS}


def count_tensors(path: Path) -> int:
    """Returns how many tensors a weight file of either layout stores.

    Raises:
        WeightsError: as `read_metadata`.
    """
    return len(read_tensors(path) if layout_of(path) == "safetensors" else read_released(path))


def load_weights(network: nn.Module, path: Path | str) -> None:
    """Fills a network from a file that must hold every parameter of it, and nothing else.

    Args:
        network: any of networks/, built with the sizes of the file.
        path: `.safetensors` of ours, or `.pth` in the layout of the released CycleISP
            (`utils/weights/formats/released_layout.py`).

    Raises:
        WeightsError: missing or damaged file, another network's weights, code in the pickle, or
            values that are not finite.
    """
    network.load_state_dict(_fitting_state(network, Path(path)))


def check_weights(network: nn.Module, path: Path) -> None:
    """Checks whether a file would fill a network, which may lie on PyTorch's `meta` device.

    Raises:
        WeightsError: as `load_weights`.
    """
    _fitting_state(network, path)


def _fitting_state(network: nn.Module, path: Path) -> dict[str, Tensor]:
    """Reads the state dict of a network, under all names that its parameters have."""
    if path.is_file():
        check_suffix(path)
    if layout_of(path) == "safetensors":
        state = read_tensors(path)
        # A shared parameter is stored under one of its names.
        aliases = _aliases(network)
        state = {alias: tensor for name, tensor in state.items() for alias in aliases.get(name, [name])}
    else:
        state = read_for(network, path)
    _check_fits(network, state, path)
    return state


def _aliases(network: nn.Module) -> dict[str, list[str]]:
    """Returns for each state name all names of the same tensor."""
    by_identity: dict[int, list[str]] = {}
    state = network.state_dict(keep_vars=True)
    for name, tensor in state.items():
        by_identity.setdefault(id(tensor), []).append(name)
    return {name: names for names in by_identity.values() for name in names}


def _check_fits(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    expected = network.state_dict()
    kind = type(network).__name__
    missing = [name for name in expected if name not in state]
    surplus = [name for name in state if name not in expected]
    if missing or surplus:
        found = [f"lacks {len(missing)}, first {missing[0]!r}"] if missing else []
        found += [f"has {len(surplus)} that it knows not, first {surplus[0][:100]!r}"] if surplus else []
        raise WeightsError(f"{path}: these are not the weights of this {kind}: the file {' and '.join(found)}")
    for name, tensor in expected.items():
        if state[name].shape != tensor.shape:
            raise WeightsError(
                f"{path}: {name} has shape {tuple(state[name].shape)}, this {kind} needs {tuple(tensor.shape)}; "
                "build the network with the sizes of the file"
            )
        _check_values(name, state[name], path)


def _check_values(name: str, tensor: Tensor, path: Path) -> None:
    """Checks that a tensor holds plain numbers, one for each place, and that all are finite."""
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_nested
    if not plain or not tensor.is_floating_point():
        raise WeightsError(
            f"{path}: {name} is of type {tensor.dtype}, {tensor.layout}, expected floating-point numbers"
        )
    if not tensor.float().isfinite().all():
        raise WeightsError(
            f"{path}: {name} holds values that are not finite (damaged, or of a training that diverged); get it again"
        )
