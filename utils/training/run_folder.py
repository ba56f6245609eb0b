"""The folder of a run: its recipe, its checkpoint, its weights and its measurements."""

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from safetensors import SafetensorError
from torch import nn

from cycleisp.utils.config import TrainingRecipe, dump_recipe, read_yaml
from cycleisp.utils.config.denoiser import Synthesis
from cycleisp.utils.config.yaml_text import parse_yaml
from cycleisp.utils.errors import UserError, reading, reason
from cycleisp.utils.output.files import atomic_path, write_bytes
from cycleisp.utils.training.checkpoint import check_whole, read_state
from cycleisp.utils.training.errors import TrainingError
from cycleisp.utils.version import code_version
from cycleisp.utils.weights.files import read_tensors, save_weights

# Keys of a recipe's `train` that may differ when a run is resumed: they do not change what is
# learned.
HOUSEKEEPING = frozenset({"save_memory", "compiled", "workers", "log_every", "checkpoint_every", "validate_every"})
RECIPE, CHECKPOINT = "recipe.yaml", "checkpoint.ckpt"
DAMAGED = "remove it to begin anew, or begin another run with weights.safetensors of this folder (--start)"
DAMAGED_RECIPE = f"remove it: {CHECKPOINT} beside it holds the recipe, too"
LISTED = 4  # differences in one message
log = logging.getLogger(__name__)


class RunFolder:
    """Everything that a run keeps on disk.

    `recipe.yaml` holds the resolved recipe, `checkpoint.ckpt` what is needed to resume,
    `weights.safetensors` the network to use, and `metrics.jsonl` one line for every validation.
    TensorBoard's events lie beside them, and photos.jsonl (dataloaders/photo_check.py).

    Args:
        path: the folder. It is made, or holds an unfinished run.
        recipe: the whole experiment.
        sizes: the arguments of the network, from which a weight file can build it again.
        fabric: of the run. With several processes only the first one writes.

    Raises:
        UserError: the folder holds a run with another recipe, or a recipe that cannot be read.
    """

    def __init__(self, path: Path, recipe: TrainingRecipe, sizes: Mapping[str, object], fabric: Fabric) -> None:
        self.path, self.metrics = path, path / "metrics.jsonl"
        self.checkpoint, self.weights = path / CHECKPOINT, path / "weights.safetensors"
        self._recipe, self._sizes, self._fabric = dump_recipe(recipe), dict(sizes), fabric
        self._version = code_version()
        check_run_folder(path, recipe)
        if fabric.is_global_zero:
            with writing(path / RECIPE):
                write_bytes(path / RECIPE, self._recipe.encode())

    def save(self, state: Mapping[str, Any], network: nn.Module) -> None:
        """Writes the checkpoint and the weights. Neither file is ever seen half written.

        Args:
            state: whatever `resume` restores: `step`, `threads`, `trains` (text that tells the
                network and its objective), and objects that have a `state_dict`.
            network: the network whose weights to write.

        Raises:
            TrainingError: the disk is full, or cannot be written. The checkpoint before is kept.
        """
        writes = self._fabric.is_global_zero  # the others take part in saving without writing
        if writes:  # first: a run that is killed in between writes them again, from the checkpoint before
            self.save_weights(state["step"], network)
        with writing(self.checkpoint), atomic_path(self.checkpoint) if writes else nullcontext(Path("unused")) as aside:
            self._fabric.save(aside, {**state, **self._surroundings()})
        self._fabric.barrier()  # no process ends while the first one writes

    def save_weights(self, step: int, network: nn.Module) -> None:
        """Writes the weights of a step. Raises TrainingError as `save`."""
        header: dict[str, object] = {"network": type(network).__name__, "sizes": self._sizes}
        header |= {"recipe": self._recipe, "step": step, "version": self._version}
        with writing(self.weights):
            save_weights(self.weights, network, header)

    def resume(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Restores the checkpoint and torch's random states, if the folder has a checkpoint.

        Args:
            state: as given to `save`; its objects are changed in place.

        Returns:
            What the checkpoint holds beside the objects, among it `step` and `threads`; `state`
            where there is no checkpoint.

        Raises:
            TrainingError: the checkpoint is damaged, or of another run.
        """
        if not self.checkpoint.exists():
            return dict(state)
        restored = {**state, **self._surroundings()}
        for later in ("threads", "trains"):  # checkpoints of earlier versions do not have them
            del restored[later]
        with reading(self.checkpoint, TrainingError, advice=DAMAGED):
            self._check_run(read_state(self.checkpoint), restored.keys(), str(state["trains"]))
            rest = self._fabric.load(self.checkpoint, restored)
            torch.set_rng_state(restored["rng"].cpu())
            if restored["cuda_rng"] and torch.cuda.is_available():
                torch.cuda.set_rng_state_all([rng.cpu() for rng in restored["cuda_rng"]])
        log.info("resuming %s at step %d", self.path, restored["step"])
        return rest | restored

    def diverged(self, step: int, loss: float) -> TrainingError:
        """Returns the error of a loss that is infinite or no number."""
        return TrainingError(
            f"the loss of step {step} is {loss}; lower train.learning_rate or set train.gradient_clip, in another "
            f"--run-dir; {self.weights} has the last good weights"
        )

    def has_weights(self) -> bool:
        """Returns whether the folder holds a whole file of weights."""
        try:
            read_tensors(self.weights)
        except UserError:
            return False
        return True

    def _check_run(self, stored: Mapping[str, Any], needed: Collection[str], trains: str) -> None:
        """Compares what a checkpoint says of its run with this one, before anything is changed."""
        if lacking := [name for name in needed if name not in stored]:
            raise ValueError(f"it lacks {', '.join(lacking)}")
        step = stored["step"]
        if not isinstance(step, int) or step < 0:
            raise ValueError(f"its step is {step!r}")
        if (before := stored.get("trains", trains)) != trains:
            raise TrainingError(
                f"{self.path} holds a run that trains {before!s:.100}, this one trains {trains}; "
                "give another --run-dir, or the options it was started with"
            )
        changed = _differences(parse_yaml(stored["recipe"]), self._recipe)
        if changed:
            raise TrainingError(
                f"{self.checkpoint}: of a run with another recipe (differs in {', '.join(changed)}); {DAMAGED}"
            )

    def _surroundings(self) -> dict[str, Any]:
        """Returns what a checkpoint holds beside the state of the run."""
        cuda_rng = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        texts = {"recipe": self._recipe, "version": self._version}
        return {**texts, "rng": torch.get_rng_state(), "cuda_rng": cuda_rng}


def check_run_folder(path: Path, recipe: TrainingRecipe) -> None:
    """Checks whether a run can begin in a folder, or go on there.

    Args:
        path: the folder, which need not exist.
        recipe: the whole experiment.

    Raises:
        UserError: the folder holds a damaged checkpoint, a run with another recipe, or a recipe
            that cannot be read.
    """
    stored, checkpoint = path / RECIPE, path / CHECKPOINT
    if checkpoint.exists():
        with reading(checkpoint, TrainingError, advice=DAMAGED):
            check_whole(checkpoint)
    if stored.exists():
        changed = _differences(read_yaml(stored, DAMAGED_RECIPE), dump_recipe(recipe))
        if changed:
            raise TrainingError(
                f"{path} holds a run with another recipe (differs in {', '.join(changed)}); "
                "give another --run-dir, or the recipe it was started with"
            )


def _differences(stored: Mapping[str, Any], recipe: str) -> list[str]:
    """Returns the keys, with both values, that make a stored recipe one of another run."""
    now = _flatten(parse_yaml(recipe))
    before = _completed(_flatten(stored), now)
    changed = [key for key in before.keys() | now.keys() if before.get(key) != now.get(key)]
    changed = sorted(key for key in changed if key.rpartition(".")[2] not in HOUSEKEEPING)
    more = [f"and {len(changed) - LISTED} more"] if len(changed) > LISTED else []
    return [f"{key}: {before.get(key)} there, {now.get(key)} here" for key in changed[:LISTED]] + more


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what goes wrong while a file is written into one error that names it.

    Raises:
        TrainingError: the disk is full, or cannot be written.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"{path}: cannot be written ({reason(error)}); make room or give the rights; the last whole checkpoint "
            "is kept, and the same command goes on from it"
        ) from None


def _completed(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Adds the keys that a recipe of an earlier version lacks, with values that mean what it did.

    It validated on what it trained on, unless it named files to hold out. Its noise had no parts
    but those that it names.
    """
    added: dict[str, Any] = {
        key: now[key] for key in ("data.holdout_by", "data.scene_gap", "data.pair_shares") if key in now
    }
    if "data.holdout_share" in now:
        names_files = before.get("data.holdout") or before.get("data.holdout_count")
        added["data.holdout_share"] = now["data.holdout_share"] if names_files else 0.0
    defaults = _flatten({"synthesis": Synthesis().model_dump(mode="json")})
    added |= {key: value for key, value in defaults.items() if key in now}
    return {**added, **before}


def _flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the values of nested mappings by their keys, joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
