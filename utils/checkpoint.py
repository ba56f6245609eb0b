"""Weight files: ours (safetensors that describe themselves) and the released CycleISP layout (.pth).

Nothing here ever runs code from a file: safetensors holds none, and .pth is read with `weights_only=True`.
"""

import hashlib
import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from utils.errors import UserError
from utils.files import written_aside


class WeightsError(UserError):
    """A weight file that cannot be used; the message says which file, what was expected, and what came."""


# ---------------------------------------------------------------- our files


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def save_weights(path: Path, network: nn.Module, metadata: Mapping[str, object]) -> None:
    """Write a network's weights as safetensors, aside first and renamed when whole.

    A parameter that several blocks share is stored once. `metadata` values are stored as JSON in the file's header.
    """
    header = {key: json.dumps(value) for key, value in metadata.items()}
    with written_aside(path) as aside:
        safetensors.torch.save_model(network, str(aside), metadata=header)
        aside.chmod(0o644)  # safetensors makes files that only their owner can read


def read_metadata(path: Path) -> dict[str, object]:
    """The metadata that `save_weights` stored.

    Raises:
        WeightsError: missing, truncated or not a safetensors file.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such weight file") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(f"{path}: not a whole safetensors file ({error}); get it again") from None
    # save_model adds plain strings of its own for the tensors that share memory
    return {key: json.loads(text) for key, text in header.items() if key in METADATA_KEYS}


METADATA_KEYS = ("network", "sizes", "recipe", "step", "version", "training", "validation")


def load_weights(network: nn.Module, path: Path | str) -> None:
    """Fill `network` from a file, strictly: every parameter must come, and nothing may be left over.

    Args:
        network: any of networks/, built with the sizes of the file.
        path: `.safetensors` of ours, or `.pth` of the released CycleISP (a dict with `state_dict`; names may begin with
            `module.`; a PReLU that all blocks share appears under every block's name; RAW2RGB holds a 1x1 convolution
            that is never used; the colour branch holds its fixed blur).

    Raises:
        WeightsError: missing or damaged file, another network's weights, code in the pickle.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such weight file")
    if path.suffix == ".safetensors":
        read_metadata(path)  # speaks clearly where the file is damaged
        state = safetensors.torch.load_file(path)
        # A shared parameter is stored under one of its names.
        aliases = _aliases(network)
        state = {alias: tensor for name, tensor in state.items() for alias in aliases.get(name, [name])}
    elif path.suffix in (".pth", ".pt"):
        state = from_released_names(_read_pickle(path), network, path)
    else:
        raise WeightsError(f"{path}: expected .safetensors or .pth, got {path.suffix or 'no suffix'}")
    _check_fits(network, state, path)
    network.load_state_dict(state)


def _aliases(network: nn.Module) -> dict[str, list[str]]:
    """For each state name, all names of the same tensor."""
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
        found += [f"has {len(surplus)} that it knows not, first {surplus[0]!r}"] if surplus else []
        raise WeightsError(f"{path}: these are not the weights of this {kind}: the file {' and '.join(found)}")
    for name, tensor in expected.items():
        if state[name].shape != tensor.shape:
            raise WeightsError(
                f"{path}: {name} has shape {tuple(state[name].shape)}, this {kind} needs {tuple(tensor.shape)}; "
                "build the network with the sizes of the file"
            )


# ---------------------------------------------------------------- the released layout


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(f"{path}: refused, holds more than tensors or is damaged ({_first_line(error)})") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{path}: not a whole PyTorch file ({_first_line(error)}); get it again") from None
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise WeightsError(f"{path}: expected a dict with `state_dict`, got {type(content).__name__}")
    return {str(name): tensor for name, tensor in state.items()}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


# Released name -> ours, applied in order; N stands for the number of groups or blocks, known from the network.
_IN_BLOCK = [
    (r"SA\.spatial\.conv", "spatial_attention.conv"),
    (r"CA\.conv_du\.0", "channel_attention.squeeze"),
    (r"CA\.conv_du\.2", "channel_attention.excite"),
    (r"body\.0", "conv1"),
    (r"body\.1", "activation"),
    (r"body\.2", "conv2"),
    (r"conv1x1", "fuse"),
]
_OUTSIDE = [
    (r"head\.0", "head"),
    (r"tail\.0", "tail"),
    (r"tail\.1", "activation"),
    (r"tail_rgb\.0", "to_rgb"),
]
_NEVER_USED = re.compile(r"conv1x1\.0\.(weight|bias)")  # RAW2RGB stores it, its forward pass ignores it


def _our_name(released: str, num_groups: int, num_blocks: int) -> str:
    match = re.fullmatch(r"body\.(\d+)\.body\.(\d+)\.(.+)", released)
    if match and int(match[2]) < num_blocks:
        group, block, rest = match.groups()
        for old, new in _IN_BLOCK:
            rest, count = re.subn(rf"^{old}\.", f"{new}.", rest)
            if count:
                break
        return f"deep.groups.{group}.blocks.{block}.{rest}"
    if match:
        return f"deep.groups.{match[1]}.conv.{match[3]}"
    match = re.fullmatch(r"body\.(\d+)\.(weight|bias)", released)
    if match:
        return f"deep.conv.{match[2]}" if int(match[1]) == num_groups else f"activation.{match[2]}"
    for old, new in _OUTSIDE:
        released, count = re.subn(rf"^{old}\.", f"{new}.", released)
        if count:
            break
    return released


def from_released_names(state: Mapping[str, Tensor], network: nn.Module, path: Path) -> dict[str, Tensor]:
    """Translate a released state dict to the names of `network`.

    Where the copies of the shared PReLU differ, the last one in the file is in force everywhere, as it is when PyTorch
    loads such a file into modules that share a tensor. The unused convolution is dropped; the stored blur must equal
    the network's own.

    Raises:
        WeightsError: the stored blur differs, or `network` is none of networks/.
    """
    deep = getattr(network, "deep", None)
    if deep is None:
        raise WeightsError(f"{path}: released files hold one branch each; {type(network).__name__} is none")
    num_groups, num_blocks = len(deep.groups), len(deep.groups[0].blocks)
    ours: dict[str, Tensor] = {}
    slopes: Tensor | None = None
    for full_name, tensor in state.items():
        released = full_name.removeprefix("module.")
        if _NEVER_USED.fullmatch(released):
            continue
        if released == "blur.weight":
            _check_blur(network, tensor, path)
            continue
        name = _our_name(released, num_groups, num_blocks)
        if name.endswith("activation.weight"):
            slopes = tensor
        ours[name] = tensor
    if slopes is not None:
        for name in network.state_dict():
            if name.endswith("activation.weight") and name in ours:
                ours[name] = slopes
        ours["activation.weight"] = slopes
    return ours


def _check_blur(network: nn.Module, stored: Tensor, path: Path) -> None:
    blur = getattr(network, "blur", None)
    if blur is None:
        raise WeightsError(f"{path}: holds a blur, which a {type(network).__name__} has not; is it the colour branch?")
    own = torch.outer(blur.taps, blur.taps).expand(3, 1, -1, -1)
    if stored.shape != own.shape or not torch.allclose(stored, own, atol=1e-6):
        raise WeightsError(
            f"{path}: its blur of {tuple(stored.shape)} is not the network's {tuple(own.shape)}; "
            "build ColorCorrection with blur='released'"
        )
