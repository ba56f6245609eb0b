"""Weight files: ours (safetensors that describe themselves) and those in the released CycleISP layout (.pth).

Nothing here ever runs code from a file: safetensors holds none, and .pth is read with `weights_only=True`.

    python -m cycleisp.utils.weights.files convert SRC DST    a released .pth into safetensors, or back
    python -m cycleisp.utils.weights.files halve SRC DST      safetensors in float16, half the size, for float32
    networks
"""

import hashlib
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from cycleisp.utils.errors import UserError
from cycleisp.utils.output.files import written_aside
from cycleisp.utils.weights import released_layout

RELEASED_SUFFIXES = (".pth", ".pt")
METADATA_KEYS = ("network", "sizes", "recipe", "step", "version", "training", "validation", "source")


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
    with written_aside(path) as aside:
        safetensors.torch.save_model(network, str(aside), metadata=_header(metadata))
        aside.chmod(0o644)  # safetensors makes files that only their owner can read


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, object]) -> None:
    """As `save_weights`, from tensors by our names; the shared PReLU comes once, as `activation.weight`."""
    with written_aside(path) as aside:
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        safetensors.torch.save_file(contiguous, str(aside), metadata=_header(metadata))
        aside.chmod(0o644)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by our names; a shared one under one of its names.

    Raises:
        WeightsError: missing, truncated or not a safetensors file.
    """
    _read_header(path)  # speaks clearly where the file is damaged
    return safetensors.torch.load_file(path)


def _header(metadata: Mapping[str, object]) -> dict[str, str]:
    return {key: json.dumps(value) for key, value in metadata.items()}


def read_metadata(path: Path) -> dict[str, Any]:
    """What a file says of itself, by METADATA_KEYS; nothing where it is one of the authors' `.pth`.

    Raises:
        WeightsError: missing, truncated or no weight file; code in the pickle.
    """
    if path.suffix in RELEASED_SUFFIXES:
        content = _read_pickle(path)
        return {key: content[key] for key in METADATA_KEYS if key in content}
    # save_model adds plain strings of its own for the tensors that share memory
    return {key: json.loads(text) for key, text in _read_header(path).items() if key in METADATA_KEYS}


def _read_header(path: Path) -> dict[str, str]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such weight file") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(f"{path}: not a whole safetensors file ({error}); get it again") from None


def load_weights(network: nn.Module, path: Path | str) -> None:
    """Fill `network` from a file, strictly: every parameter must come, and nothing may be left over.

    Args:
        network: any of networks/, built with the sizes of the file.
        path: `.safetensors` of ours, or `.pth` in the layout of the released CycleISP
            (`utils/weights/released_layout.py`).

    Raises:
        WeightsError: missing or damaged file, another network's weights, code in the pickle.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such weight file")
    if path.suffix == ".safetensors":
        state = read_tensors(path)
        # A shared parameter is stored under one of its names.
        aliases = _aliases(network)
        state = {alias: tensor for name, tensor in state.items() for alias in aliases.get(name, [name])}
    elif path.suffix in RELEASED_SUFFIXES:
        state = _state_for(network, path)
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


# ---------------------------------------------------------------- files in the released layout


def read_released(path: Path) -> dict[str, Tensor]:
    """The state dict of a `.pth`, by the released names without `module.`; no code in it runs.

    Raises:
        WeightsError: missing or damaged file, code in the pickle, or no state dict.
    """
    content = _read_pickle(path)
    state = content.get("state_dict", content)
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise WeightsError(f"{path}: expected a dict with `state_dict`, got {type(state).__name__} of other things")
    return released_layout.plain_names({str(name): tensor for name, tensor in state.items()})


def write_released(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, object]) -> None:
    """Write a released state dict as `.pth`, with plain metadata beside it, aside first and renamed when whole."""
    with written_aside(path) as aside:
        torch.save({"state_dict": dict(state), **metadata}, aside)


def _read_pickle(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such weight file") from None
    except pickle.UnpicklingError as error:
        raise WeightsError(f"{path}: refused, holds more than tensors or is damaged ({_first_line(error)})") from None
    except Exception as error:  # damaged bytes lead the unpickler anywhere
        raise WeightsError(f"{path}: not a whole PyTorch file ({_first_line(error)}); get it again") from None
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: expected a dict with `state_dict`, got {type(content).__name__}")
    return content


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _state_for(network: nn.Module, path: Path) -> dict[str, Tensor]:
    """A released file by the names of `network`."""
    if not hasattr(network, "deep"):
        raise WeightsError(f"{path}: released files hold one branch each; {type(network).__name__} is none")
    released = read_released(path)
    blur = released.get(released_layout.BLUR)
    if blur is not None:
        _check_blur(network, blur, path)
    try:
        return released_layout.from_released(released)
    except released_layout.LayoutError as error:
        raise WeightsError(f"{path}: {error}") from None


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


if __name__ == "__main__":
    from cycleisp.utils.cli import run_script
    from cycleisp.utils.weights.conversion import main  # builds on this module

    run_script(main)
