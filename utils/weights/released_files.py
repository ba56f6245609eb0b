"""Weight files in the layout of the released CycleISP, `.pth`.

No code from a file ever runs: PyTorch reads them with `weights_only=True`.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cycleisp.utils.output.files import atomic_path
from cycleisp.utils.weights import released_layout
from cycleisp.utils.weights.errors import WeightsError

RELEASED_SUFFIXES = (".pth", ".pt")


def read_pickle(path: Path) -> dict[str, Any]:
    """Reads everything in a `.pth`: the state dict, and what stands beside it.

    Raises:
        WeightsError: missing or damaged file, code in the pickle, or no dict.
    """
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


def read_released(path: Path) -> dict[str, Tensor]:
    """Reads the state dict of a `.pth`, by the released names without `module.`.

    Raises:
        WeightsError: missing or damaged file, code in the pickle, or no state dict.
    """
    content = read_pickle(path)
    state = content.get("state_dict", content)
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise WeightsError(f"{path}: expected a dict with `state_dict`, got {type(state).__name__} of other things")
    return released_layout.plain_names({str(name): tensor for name, tensor in state.items()})


def write_released(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, object]) -> None:
    """Writes a released state dict as `.pth`, with plain metadata beside it.

    The file appears under its name only when it is whole.
    """
    with atomic_path(path) as aside:
        torch.save({"state_dict": dict(state), **metadata}, aside)


def read_for(network: nn.Module, path: Path) -> dict[str, Tensor]:
    """Reads the state dict of a `.pth` by our names, for one branch of CycleISP.

    A network of several branches is refused, and so is a blur other than the network's own. Whether
    every parameter is there remains to be checked.

    Raises:
        WeightsError: as `read_released`; or the file cannot be one of this network.
    """
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
