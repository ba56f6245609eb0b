"""The training loop of every network here. The same call resumes a run, bit for bit on a CPU.

The data and the learning rate of a step follow from its number alone (schedule.py). So a checkpoint
is: step, weights, optimizer, moving average, random states, and
the number of threads. Nothing else has a position.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate

from cycleisp.utils.config import TrainingRecipe
from cycleisp.utils.devices import tf32, training_precision
from cycleisp.utils.errors import UserError
from cycleisp.utils.training.errors import TrainingError
from cycleisp.utils.training.journal import Journal
from cycleisp.utils.training.loading import Loader, LoaderError
from cycleisp.utils.training.made_ahead import MadeAhead
from cycleisp.utils.training.mishaps import in_words
from cycleisp.utils.training.moving_average import MovingAverage
from cycleisp.utils.training.objective import Batch, Objective, Outputs
from cycleisp.utils.training.run_folder import RunFolder
from cycleisp.utils.training.schedule import StepBatches, learning_rate
from cycleisp.utils.training.stopping import StopRequests
from cycleisp.utils.training.threads import Threads
from cycleisp.utils.training.validation import validate

MakeBatch = Callable[[Batch], Batch]
Record = Callable[[nn.Module, Callable[[], object], str], None]
STOPPED = "stopped at step %d of %d, saved; run the same command again to go on"
log = logging.getLogger(__name__)


class Trainer:
    """Trains one network in a run folder (run_folder.py).

    Args:
        fabric: where and how to compute, from `utils.training.launch.launch`.
        network: the network to train.
        objective: what the network learns.
        recipe: the whole experiment. `recipe.train` has the settings of the loop.
        run_dir: the run folder. An unfinished run in it is resumed.
        sizes: the arguments of the network, for the header of the weight file.
        make_batch: is applied, on the device, to every batch of the loader before it is used. On
            CUDA it is called in a thread, while the network learns from the batch before. None
            uses batches as they are.
        record: makes later forward and backward passes of the network faster, given one forward
            pass and the precision (`networks.acceleration.record_trunks`). It is called on a single
            GPU only. None records nothing.

    Raises:
        UserError: `run_dir` holds a run with another recipe, or a recipe that cannot be read.
    """

    def __init__(
        self,
        fabric: Fabric,
        network: nn.Module,
        objective: Objective,
        *,
        recipe: TrainingRecipe,
        run_dir: Path,
        sizes: Mapping[str, object],
        make_batch: MakeBatch | None = None,
        record: Record | None = None,
    ) -> None:
        self.fabric, self.objective, self.recipe, self.step = fabric, objective, recipe.train, 0
        self.folder = RunFolder(run_dir, recipe, sizes, fabric)
        self.make_batch: MakeBatch = make_batch or (lambda batch: batch)
        self._made_ahead = MadeAhead(self.make_batch, fabric.device)
        self._record = record if fabric.device.type == "cuda" and fabric.world_size == 1 else None
        self._precision = training_precision(self.recipe.precision, fabric.device)
        # channels innermost: faster on CPUs as well as on GPUs
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._saved, self._threads = 0, self._choose_threads(None)
        self._loss: Tensor | None = None  # of the last step
        decay = self.recipe.ema_decay
        self.average = MovingAverage(network, decay, fabric.device) if decay else None
        self.network, self.optimizer = fabric.setup(network, self._make_optimizer(network))

    def _make_optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        algorithm = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[self.recipe.optimizer]
        return algorithm(
            network.parameters(),
            lr=self.recipe.learning_rate,
            betas=self.recipe.betas,
            weight_decay=self.recipe.weight_decay,
            # the gradients of fp16 are scaled, and clipping needs them unscaled
            fused=self.fabric.device.type == "cuda" and self._precision != "fp16",
        )

    # ------------------------------------------------------------ the loop

    def fit(self, training: Dataset[Any], validation: Dataset[Any], stop_after: float | None = None) -> bool:
        """Trains to the recipe's last step, from the checkpoint of the run folder if there is one.

        Args:
            training: item n is the n-th patch of the stream, a dict of tensors.
            validation: the crops to measure on, dicts of tensors.
            stop_after: minutes after which to save and stop, None for no limit.

        Returns:
            True when the recipe is finished, False when the run was stopped early. It is saved, and
            the same call resumes it.

        Raises:
            LoaderError: a batch cannot be loaded. What was trained until then is saved.
            TrainingError: the loss is infinite or no number; the checkpoint is damaged; the disk or
                the memory is full; or another process of the run has ended.
        """
        self.resume()
        if self._is_finished() and self.fabric.is_global_zero and not self.folder.has_weights():
            self.folder.save_weights(self.step, self.best_network())
        journal = Journal(self.folder, self.recipe, self.step, silent=not self.fabric.is_global_zero)
        stopping = StopRequests(stop_after)
        with journal, stopping, tf32(self._precision != "float32"), in_words(self.fabric.world_size), self._threads:
            try:
                with Loader(training, self._step_batches(), self.recipe.workers, self.fabric.device) as loaded:
                    self.network.train()
                    self._record_passes(training)
                    batches = self._threads.over(self._made_ahead.batches(loaded), self.step)
                    self._learn(batches, validation, journal, stopping)
            except LoaderError:
                self._save_what_is_done()
                raise
        return self._is_finished()

    def _learn(
        self, batches: Iterable[Batch], validation: Dataset[Any], journal: Journal, requests: StopRequests
    ) -> None:
        """Takes a step for each batch, to the last one or to a request to stop."""
        for batch in journal.timed(batches):
            outputs, loss = self._forward(batch)
            self.fabric.backward(loss)
            values = self._update_weights()
            self.step += 1
            outputs, self._loss = _without_graph(outputs), loss.detach()
            journal.log(self.step, batch, outputs, loss=self._loss, **values)
            if self._is_due(self.recipe.validate_every):
                self._validate(validation, journal)
            stopping = self._agree_to_stop(requests.pending())
            if stopping or self._is_due(self.recipe.checkpoint_every):
                self.save()
            if stopping and not self._is_finished():
                log.info(STOPPED, self.step, self.recipe.steps)
                break

    def _save_what_is_done(self) -> None:
        """Saves the steps before a batch that could not be loaded, if it needs no other process."""
        if self.fabric.world_size > 1 or self.step == self._saved:
            return
        try:
            self.save()
            log.info("saved at step %d of %d", self.step, self.recipe.steps)
        except TrainingError as error:  # the error of the batch counts for more
            log.warning("%s", error)

    def _step_batches(self) -> StepBatches:
        rank, world_size = self.fabric.global_rank, self.fabric.world_size
        return StepBatches(self.step, self.recipe.steps, self.recipe.batch_size, rank, world_size)

    def _record_passes(self, training: Dataset[Any]) -> None:
        """Records the network's passes on the first batch of this run."""
        batches = self._step_batches()
        if self._record is None or not len(batches):
            return
        patches: Any = default_collate([training[number] for number in next(iter(batches))])
        first: Any = self.fabric.to_device(patches)
        batch = self.make_batch(first)
        self._record(self.network.module, lambda: self.objective.outputs(self.network, batch), self._precision)

    def _forward(self, batch: Batch) -> tuple[Outputs, Tensor]:
        """Returns the network's outputs for a batch, and their loss."""
        outputs = self.objective.outputs(self.network, batch)
        return outputs, self.objective.loss(outputs, batch)

    def _update_weights(self) -> dict[str, Any]:
        """Takes a step of the optimizer; returns the gradient's norm and the learning rate."""
        rate = learning_rate(self.recipe, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        limit = self.recipe.gradient_clip or math.inf
        norm = self.fabric.clip_gradients(self.network, self.optimizer, max_norm=limit, error_if_nonfinite=False)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.network.module)
        return {"gradient_norm": norm, "learning_rate": rate}

    def _validate(self, validation: Dataset[Any], journal: Journal) -> None:
        """Measures in the first process. The others wait for it at the next step's reduction."""
        if journal.silent:
            return
        self._made_ahead.wait()
        network, device = self.best_network(), self.fabric.device
        try:
            measured = validate(network, self.objective, validation, self.make_batch, device)
        except UserError as error:  # a file is gone, and the weights are those of a whole step
            raise LoaderError(str(error)) from None
        journal.log_validation(self.step, measured)
        self.network.train()

    def _is_due(self, every: int) -> bool:
        """Returns whether this step is one of every `every` steps, or the last one."""
        return self.step % every == 0 or self._is_finished()

    def _is_finished(self) -> bool:
        return self.step >= self.recipe.steps

    def _agree_to_stop(self, wanted: bool) -> bool:
        """Returns whether to stop now, the same answer in all processes.

        Several processes agree only where they log, since to agree is to wait for the GPUs.
        """
        if self.fabric.world_size == 1:
            return wanted
        if self.step % self.recipe.log_every:
            return False
        return bool(self.fabric.all_reduce(torch.tensor(float(wanted)), reduce_op="max"))

    # ------------------------------------------------------------ state

    def best_network(self) -> nn.Module:
        """Returns the network to use: the moving average, if the recipe has one."""
        return self.average.module if self.average is not None else self.network.module

    def save(self) -> None:
        """Writes the checkpoint and the weights of the run folder.

        Raises:
            TrainingError: as `RunFolder.save`; or the last loss is infinite or no number.
        """
        if self._loss is not None and not math.isfinite(self._loss):
            raise self.folder.diverged(self.step, float(self._loss))
        self.folder.save(self._state(), self.best_network())
        self._saved = self.step

    def resume(self) -> None:
        """Restores the checkpoint of the run folder, if there is one."""
        restored = self.folder.resume(self._state())
        self.step = self._saved = restored["step"]
        self._threads = self._choose_threads(restored.get("threads"))

    def _choose_threads(self, begun: int | None) -> Threads:
        alone = self.fabric.device.type == "cpu" and self.fabric.world_size == 1
        return Threads(self.recipe.steps, begun, alone)

    def _state(self) -> dict[str, Any]:
        average = {} if self.average is None else {"average": self.average}
        trains = f"{type(self.best_network()).__name__} with {type(self.objective).__name__}"
        numbers = {"step": self.step, "threads": self._threads.chosen, "trains": trains}
        return {"network": self.network, "optimizer": self.optimizer, **numbers, **average}


def _without_graph(outputs: Outputs) -> Outputs:
    """Returns outputs that no longer keep the graph of their step alive."""
    return {name: out.detach() for name, out in outputs.items()}
