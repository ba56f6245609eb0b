"""How other programs wrap a state dict: the entry that holds it, and what stands before its names.

Training frameworks save more than weights. BasicSR puts them under `params` and their moving
average under `params_ema`, MMEngine under `state_dict`, others under `model`; wrappers of networks
add a prefix to every name, as `module.` or `generator.`.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from cycleisp.utils.weights.errors import WeightsError

logger = logging.getLogger(__name__)

# The moving averages come first: they are what such programs test.
ENTRIES = (
    *("params_ema", "state_dict_ema", "model_ema", "ema_state_dict", "ema"),
    *("state_dict", "params", "model_state_dict", "model", "network", "net", "generator", "netG"),
)
FIRST_LAYERS = ("head.0.weight", "head.weight")  # of every network here: released names, and ours


def state_dict_of(content: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    """Returns the state dict of a file of PyTorch, by plain names.

    Args:
        content: all that the file holds.
        path: the file, for messages.

    Raises:
        WeightsError: no state dict in it, or those of several networks.
    """
    state = _tensors(content)
    if state is None:
        held = {entry: found for entry in ENTRIES if (found := _tensors(content.get(entry)))}
        if not held:
            raise WeightsError(f"{path}: expected a dict with `state_dict`, got {_contents(content)}; {_others()}")
        entry, state = next(iter(held.items()))
        if len(held) > 1:
            logger.warning("%s: holds %s; %s is taken", path, " and ".join(held), entry)
    return plain_names(state, path)


def plain_names(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Removes what wrappers of networks put before every name, as `module.` or `generator.`.

    Entries without that prefix belong to something else, such as a discriminator, and are left out.

    Raises:
        WeightsError: several networks, of which none is the moving average of the others.
    """
    prefixes = {name.removesuffix(first) for name in state for first in FIRST_LAYERS if name.endswith(first)}
    prefixes = {prefix for prefix in prefixes if not prefix or prefix.endswith(".")}
    if "" in prefixes:
        return dict(state)
    if len(prefixes) > 1:
        prefixes = {prefix for prefix in prefixes if "ema" in prefix.lower()} or prefixes
    if len(prefixes) > 1:
        several = ", ".join(repr(prefix) for prefix in sorted(prefixes)[:4])
        raise WeightsError(f"{path}: holds several networks, by the prefixes {several}; save one of them alone")
    prefix = prefixes.pop() if prefixes else "module."
    kept = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    if not kept:
        return dict(state)
    if len(kept) < len(state):
        logger.warning("%s: takes %s*, leaves out %d other entries", path, prefix, len(state) - len(kept))
    return kept


def _tensors(content: object) -> dict[str, Tensor] | None:
    """Returns a dict of tensors by their names as text; None for everything else, and for none."""
    if not isinstance(content, Mapping) or not content:
        return None
    if not all(isinstance(tensor, Tensor) for tensor in content.values()):
        return None
    return {str(name): tensor for name, tensor in content.items()}


def _contents(content: Mapping[Any, Any]) -> str:
    shown = [f"{str(key)[:40]!r} ({type(value).__name__})" for key, value in list(content.items())[:4]]
    return f"a dict of {', '.join(shown)}" if shown else "an empty dict"


def _others() -> str:
    return f"also taken: {', '.join(entry for entry in ENTRIES if entry != 'state_dict')}"
