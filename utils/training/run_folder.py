"""The folder of a run: its recipe, its checkpoint, its weights and its measurements."""

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.fabric import Fabric
from torch import nn

from cycleisp.utils.config import TrainingRecipe, dump_recipe
from cycleisp.utils.output.files import atomic_path, write_bytes
from cycleisp.utils.training.errors import TrainingError
from cycleisp.utils.version import code_version
from cycleisp.utils.weights.files import save_weights

# Keys of a recipe's `train` that may differ when a run is resumed: they do not change what is
# learned.
HOUSEKEEPING = frozenset({"save_memory", "compiled", "workers", "log_every", "checkpoint_every", "validate_every"})
log = logging.getLogger(__name__)


class RunFolder:
    """Everything that a run keeps on disk.

    `recipe.yaml` holds the resolved recipe, `checkpoint.ckpt` what is needed to resume,
    `weights.safetensors` the network to use, and `metrics.jsonl` one line for every validation.
    TensorBoard's events lie beside them.

    Args:
        path: the folder. It is made, or holds an unfinished run.
        recipe: the whole experiment.
        sizes: the arguments of the network, from which a weight file can build it again.
        fabric: of the run. With several processes only the first one writes.

    Raises:
        TrainingError: the folder holds a run with another recipe.
    """

    def __init__(self, path: Path, recipe: TrainingRecipe, sizes: Mapping[str, object], fabric: Fabric) -> None:
        self.path, self.checkpoint, self.metrics = path, path / "checkpoint.ckpt", path / "metrics.jsonl"
        self._recipe, self._sizes, self._fabric = dump_recipe(recipe), dict(sizes), fabric
        self._version = code_version()
        self._store_recipe(path / "recipe.yaml")

    def _store_recipe(self, stored: Path) -> None:
        """Writes the recipe, after comparing it with the one that the folder may hold already."""
        if stored.is_file():
            before, now = (_flatten(yaml.safe_load(text)) for text in (stored.read_text(), self._recipe))
            changed = [key for key in before.keys() | now.keys() if before.get(key) != now.get(key)]
            changed = sorted(key for key in changed if key.rpartition(".")[2] not in HOUSEKEEPING)
            if changed:
                raise TrainingError(
                    f"{self.path} holds a run with another recipe (differs in {', '.join(changed)}); "
                    "give another --run-dir, or the recipe it was started with"
                )
        if self._fabric.is_global_zero:
            write_bytes(stored, self._recipe.encode())

    def save(self, state: Mapping[str, Any], network: nn.Module) -> None:
        """Writes the checkpoint and the weights. Neither file is ever seen half written.

        Args:
            state: whatever `resume` restores: `step`, and objects that have a `state_dict`.
            network: the network whose weights to write.
        """
        writes = self._fabric.is_global_zero  # the others take part in saving without writing
        with atomic_path(self.checkpoint) if writes else nullcontext(Path("unused")) as aside:
            self._fabric.save(aside, {**state, **self._surroundings()})
        if writes:
            header = {"network": type(network).__name__, "sizes": self._sizes, "recipe": self._recipe}
            header |= {"step": state["step"], "version": self._version}
            save_weights(self.path / "weights.safetensors", network, header)

    def resume(self, state: Mapping[str, Any]) -> int:
        """Restores the checkpoint and torch's random states, if the folder has a checkpoint.

        Args:
            state: as given to `save`; its objects are changed in place.

        Returns:
            The step to go on from, which is `state["step"]` where there is no checkpoint.
        """
        if not self.checkpoint.is_file():
            return state["step"]
        restored = {**state, **self._surroundings()}
        self._fabric.load(self.checkpoint, restored)
        torch.set_rng_state(restored["rng"].cpu())
        if restored["cuda_rng"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all([rng.cpu() for rng in restored["cuda_rng"]])
        log.info("resuming %s at step %d", self.path, restored["step"])
        return restored["step"]

    def _surroundings(self) -> dict[str, Any]:
        """Returns what a checkpoint holds beside the state of the run."""
        cuda_rng = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        texts = {"recipe": self._recipe, "version": self._version}
        return {**texts, "rng": torch.get_rng_state(), "cuda_rng": cuda_rng}


def _flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the values of nested mappings by their keys, joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
