"""The start of a run: its processes, its device, its precision and its seed."""

import os
import warnings
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies import DDPStrategy

from cycleisp.utils.config import TrainingRecipe
from cycleisp.utils.devices import pick_device, training_precision
from cycleisp.utils.processes.lifetimes import stop_when_orphaned
from cycleisp.utils.training.checkpoint import CheckedCheckpoints
from cycleisp.utils.training.mishaps import in_words


def launch(recipe: TrainingRecipe, device: str) -> Fabric:
    """Starts the processes of a run and seeds torch, from which networks draw their first weights.

    Args:
        recipe: the whole experiment.
        device: "auto", "cpu", "cuda" or "mps".

    Returns:
        The Fabric that the trainer computes with.

    Raises:
        UserError: as `make_fabric`; or another process of the run has ended.
    """
    stop_when_orphaned()
    fabric = make_fabric(device, recipe.train.precision)
    with in_words(fabric.world_size):  # a process may end while the others begin
        fabric.launch()
    torch.manual_seed(recipe.seed)
    return fabric


def make_fabric(device: str, precision: str) -> Fabric:
    """Returns a Fabric for a device and a precision; torchrun's environment sets the rest.

    Half precision is mixed: weights, optimizer and losses stay float32.

    Args:
        device: "auto", "cpu", "cuda" or "mps".
        precision: one of `utils.precisions.PRECISIONS`.

    Raises:
        UserError: the device does not exist here, or cannot compute in this precision.
    """
    kind = pick_device(device).type
    precisions = {"float32": "32-true", "tf32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
    chosen: Any = precisions[training_precision(precision, torch.device(kind))]
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1)), int(os.environ.get("GROUP_WORLD_SIZE", 1))
    strategy: Any = "auto"
    if kind == "cpu" and processes[0] * processes[1] > 2:
        # PyTorch sorts gradients anew after the first step, and the place of one decides in which
        # order more than two processes add it up. A run that goes on must add as before: with this
        # option gradients keep their places.
        strategy = DDPStrategy(find_unused_parameters=True)
        warnings.filterwarnings("ignore", "find_unused_parameters=True was specified")
    return Fabric(
        accelerator=kind,
        strategy=strategy,
        devices=processes[0],
        num_nodes=processes[1],
        precision=chosen,
        plugins=[CheckedCheckpoints()],
    )
