"""Weight files in the layout of the released CycleISP, `.pth`."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from cycleisp.utils.output.files import atomic_path
from cycleisp.utils.weights.errors import WeightsError
from cycleisp.utils.weights.formats import dialects, released_layout
from cycleisp.utils.weights.formats.pickles import read_pickle

RELEASED_SUFFIXES = (".pth", ".pt")


def read_released(path: Path) -> dict[str, Tensor]:
    """Reads the state dict of a `.pth`, by the released names without `module.` and the like.

    Raises:
        WeightsError: missing or damaged file, code in the pickle, or no state dict.
    """
    return dialects.state_dict_of(read_pickle(path), path)


def write_released(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, object]) -> None:
    """Writes a released state dict as `.pth`, with plain metadata beside it.

    The file appears under its name only when it is whole. Its bytes depend on its content alone.
    """
    with atomic_path(path) as aside, aside.open("wb") as file:  # given a path, PyTorch stores its name
        torch.save({"state_dict": dict(state), **metadata}, file)


def read_for(network: nn.Module, path: Path) -> dict[str, Tensor]:
    """Reads the state dict of a `.pth` by our names, for one branch of CycleISP.

    A state dict by our names is taken as it is. A network of several branches is refused, and so is
    a blur other than the network's own. Whether every parameter is there remains to be checked.

    Raises:
        WeightsError: as `read_released`; or the file cannot be one of this network.
    """
    released = read_released(path)
    if released.keys() == network.state_dict().keys():
        return released
    if not hasattr(network, "deep"):
        raise WeightsError(f"{path}: released files hold one branch each; {type(network).__name__} is none")
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
    if stored.shape != own.shape or not (own.is_meta or torch.allclose(stored.float(), own, atol=1e-6)):
        raise WeightsError(
            f"{path}: its blur of {tuple(stored.shape)} is not the network's {tuple(own.shape)}; "
            "build ColorCorrection with blur='released'"
        )
