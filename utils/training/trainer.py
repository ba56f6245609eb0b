"""The training loop of every network here: run it again and it goes on, bit for bit on a CPU.

The data of step s are patches s * B ... s * B + B - 1 of an endless stream, and the learning rate is a function of s,
so a checkpoint is: step, weights, optimizer, moving average, random states. Nothing else has a position.
"""

import json
import logging
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
import yaml
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset, default_collate
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from cycleisp.utils.config import Training, TrainingRecipe, dump_recipe
from cycleisp.utils.devices import pick_device, tf32, training_precision
from cycleisp.utils.errors import UserError
from cycleisp.utils.metrics import psnr
from cycleisp.utils.output.files import write_bytes, written_aside
from cycleisp.utils.output.preview import target_key, training_strip
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.training.made_ahead import Batch, MadeAhead
from cycleisp.utils.version import code_version
from cycleisp.utils.weights.files import save_weights

log = logging.getLogger(__name__)

# Keys of Training that may differ when a run is resumed: they do not change what is learned.
HOUSEKEEPING = frozenset({"save_memory", "compiled", "workers", "log_every", "checkpoint_every", "validate_every"})


class TrainingError(UserError):
    """Training that cannot start or go on; the message says why and what to do."""


class Objective(Protocol):
    """What to learn. Outputs are named after the batch keys that they should equal: `KEY` or `KEY_from_SOMETHING`."""

    def outputs(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]: ...

    def loss(self, outputs: dict[str, Tensor], batch: Batch) -> Tensor: ...


def make_fabric(device: str, precision: str) -> Fabric:
    """Fabric for `device` (auto, cpu, cuda, mps) and `precision` (utils/devices.py); torchrun sets the rest.

    Half precision is mixed: weights, optimizer and losses stay float32.

    Raises:
        UserError: a device asked for and absent, or half precision on a CPU.
    """
    kind = pick_device(device).type
    plugins = {"float32": "32-true", "tf32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
    plugin: Any = plugins[training_precision(precision, torch.device(kind))]
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1)), int(os.environ.get("GROUP_WORLD_SIZE", 1))
    return Fabric(accelerator=kind, devices=processes[0], num_nodes=processes[1], precision=plugin)


def start(recipe: TrainingRecipe, device: str) -> Fabric:
    """Launch the processes of a run on `device` and seed torch, from which networks draw their first weights.

    Raises:
        UserError: as `make_fabric`.
    """
    fabric = make_fabric(device, recipe.train.precision)
    fabric.launch()
    torch.manual_seed(recipe.seed)
    return fabric


def learning_rate(recipe: Training, step: int) -> float:
    """The learning rate of step `step`, counted from 0."""
    if recipe.schedule == "step":
        return recipe.learning_rate * recipe.gamma ** sum(step >= milestone for milestone in recipe.milestones)
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    progress = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return recipe.final_learning_rate + (recipe.learning_rate - recipe.final_learning_rate) * cosine


class StepBatches:
    """Batch sampler: for each step from `start`, the numbers of this process's share of the step's patches."""

    def __init__(self, start: int, steps: int, batch_size: int, rank: int, world_size: int) -> None:
        if batch_size % world_size:
            raise TrainingError(f"batch_size {batch_size} cannot be split over {world_size} processes")
        self._range = range(start, steps)
        self._batch_size, self._share, self._rank = batch_size, batch_size // world_size, rank

    def __len__(self) -> int:
        return len(self._range)

    def __iter__(self) -> Iterator[list[int]]:
        for step in self._range:
            first = step * self._batch_size + self._rank * self._share
            yield list(range(first, first + self._share))


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """Collect SIGTERM and Ctrl-C instead of dying in the middle of a step; a second one has its usual effect."""
    received: list[int] = []
    usual: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def remember(number: int, frame: object) -> None:
        received.append(number)
        signal.signal(number, usual[number])

    try:
        for number in usual:
            signal.signal(number, remember)
        yield received
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)


def _leave_stopping_to_the_run(_worker: int) -> None:
    """Loader processes outlive a request to stop, which may reach the whole process group: the run still saves."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


class Trainer:
    """Trains one network in `run_dir`, which holds everything about the run.

    `checkpoint.ckpt` to go on from, `weights.safetensors` (the moving average, if the recipe has one), `recipe.yaml`,
    `metrics.jsonl` with every validation, and TensorBoard events.

    Args:
        fabric: where and how to compute.
        network: what to train.
        objective: what to learn.
        recipe: the whole experiment; `recipe.train` has the loop's settings; all goes into run folder and weights.
        metadata: `network` and `sizes`, so that the weight file describes itself.
        run_dir: folder of the run; an unfinished run in it is resumed.
        stop_after: minutes after which to save and stop, None for no limit.
        make_batch: what to do, on the device, with every batch of the loader before it is used; None for nothing. On
            CUDA it is called in a thread, while the network learns from the batch before.
        record: makes later forward and backward passes of the network faster, given one forward pass and the precision
            (`networks.acceleration.record_trunks`); for single GPUs. None for nothing.

    Raises:
        TrainingError: `run_dir` holds a run with another recipe.
    """

    def __init__(
        self,
        fabric: Fabric,
        network: nn.Module,
        objective: Objective,
        recipe: TrainingRecipe,
        metadata: Mapping[str, object],
        run_dir: Path,
        stop_after: float | None = None,
        make_batch: Callable[[Batch], Batch] | None = None,
        record: Callable[[nn.Module, Callable[[], object], str], None] | None = None,
    ) -> None:
        self.fabric, self.objective, self.recipe = fabric, objective, recipe.train
        self.run_dir, self.recipe_text, self.metadata = run_dir, dump_recipe(recipe), dict(metadata)
        self.stop_after, self.version = stop_after, code_version()
        self.make_batch: Callable[[Batch], Batch] = make_batch or (lambda batch: batch)
        self._made_ahead = MadeAhead(self.make_batch, fabric.device)
        self.record = record if fabric.device.type == "cuda" and fabric.world_size == 1 else None
        self.step = 0
        self._check_recipe()
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster, on CPUs as on GPUs
        averaged = (
            AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(self.recipe.ema_decay))
            if self.recipe.ema_decay
            else None
        )
        self.average = averaged.to(fabric.device) if averaged else None
        if self.average is not None:
            self.average.n_averaged = self.average.n_averaged.cpu()  # read at every step, which must not wait for a GPU
        algorithm = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[self.recipe.optimizer]
        precision = training_precision(self.recipe.precision, fabric.device)
        optimizer = algorithm(
            network.parameters(),
            lr=self.recipe.learning_rate,
            betas=self.recipe.betas,
            weight_decay=self.recipe.weight_decay,
            fused=fabric.device.type == "cuda" and precision != "fp16",  # whose gradients are scaled, and clipped
        )
        self.network, self.optimizer = fabric.setup(network, optimizer)

    # ------------------------------------------------------------ run folder

    @property
    def checkpoint_path(self) -> Path:
        return self.run_dir / "checkpoint.ckpt"

    def _check_recipe(self) -> None:
        stored = self.run_dir / "recipe.yaml"
        if stored.is_file():
            before, now = (_flatten(yaml.safe_load(text)) for text in (stored.read_text(), self.recipe_text))
            changed = [key for key in before.keys() | now.keys() if before.get(key) != now.get(key)]
            changed = sorted(key for key in changed if key.rpartition(".")[2] not in HOUSEKEEPING)
            if changed:
                raise TrainingError(
                    f"{self.run_dir} holds a run with another recipe (differs in {', '.join(changed)}); "
                    "give another --run-dir, or the recipe it was started with"
                )
        if self.fabric.is_global_zero:
            write_bytes(stored, self.recipe_text.encode())

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = {"network": self.network, "optimizer": self.optimizer, "step": self.step}
        state["recipe"], state["version"] = self.recipe_text, self.version
        state["rng"] = torch.get_rng_state()
        state["cuda_rng"] = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        if self.average is not None:
            state["average"] = self.average
        return state

    def save(self) -> None:
        """Write the checkpoint and the weights, each aside first."""
        with written_aside(self.checkpoint_path) if self.fabric.is_global_zero else _nowhere() as aside:
            self.fabric.save(aside, self._state())
        if self.fabric.is_global_zero:
            header = {**self.metadata, "recipe": self.recipe_text, "step": self.step, "version": self.version}
            save_weights(self.run_dir / "weights.safetensors", self.best_network(), header)

    def resume(self) -> None:
        """Take up the checkpoint of the run folder, if there is one."""
        if not self.checkpoint_path.is_file():
            return
        state = self._state()
        self.fabric.load(self.checkpoint_path, state)
        self.step = state["step"]
        torch.set_rng_state(state["rng"].cpu())
        if state["cuda_rng"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all([rng.cpu() for rng in state["cuda_rng"]])
        log.info("resuming %s at step %d", self.run_dir, self.step)

    def best_network(self) -> nn.Module:
        """The network to use: the moving average where there is one."""
        return self.average.module if self.average is not None else self.network.module

    # ------------------------------------------------------------ the loop

    def fit(self, training: Dataset[Any], validation: Dataset[Any]) -> bool:
        """Train to the recipe's last step, resuming if the folder holds a checkpoint.

        Args:
            training: item n is the n-th patch of the stream, a dict of tensors.
            validation: the crops to measure on.

        Returns:
            True when the recipe is finished, False when stopped early (saved, run again to go on).

        Raises:
            TrainingError: the loss became infinite or no number.
        """
        recipe = self.recipe
        self.resume()
        batches = StepBatches(
            self.step, recipe.steps, recipe.batch_size, self.fabric.global_rank, self.fabric.world_size
        )
        loader: Any = DataLoader(
            training,
            batch_sampler=batches,
            num_workers=recipe.workers,
            pin_memory=self.fabric.device.type == "cuda",
            worker_init_fn=_leave_stopping_to_the_run,
            generator=torch.Generator().manual_seed(0),  # else every start of a loader draws from the global one
        )
        loader = self.fabric.setup_dataloaders(loader, use_distributed_sampler=False)
        board = SummaryWriter(str(self.run_dir), purge_step=self.step) if self.fabric.is_global_zero else None
        bar = progress_bar(
            total=recipe.steps,
            initial=self.step,
            desc=self.run_dir.name,
            unit="step",
            disable=board is None,
            smoothing=0.05,
        )
        started = time.monotonic()
        precision = training_precision(recipe.precision, self.fabric.device)
        with _stop_requests() as stop_requests, bar, tf32(precision != "float32"):
            if self.record is not None and len(batches):
                self._record(training, next(iter(batches)), precision)
            waiting = time.monotonic()
            for batch in self._made_ahead.batches(loader):
                data_time = time.monotonic() - waiting
                losses = self._train_step(batch)
                self.step += 1
                bar.update()
                if self.step % recipe.log_every == 0 or self.step == recipe.steps:
                    seconds = {"data_seconds": data_time, "step_seconds": time.monotonic() - waiting}
                    self._log(board, bar, batch, losses | seconds)
                if self.step % recipe.validate_every == 0 or self.step == recipe.steps:
                    self._validate(board, validation)
                timed_out = self.stop_after is not None and time.monotonic() - started > 60 * self.stop_after
                stopping = self._all_stop(bool(stop_requests) or timed_out)
                if stopping or self.step % recipe.checkpoint_every == 0 or self.step == recipe.steps:
                    self.save()
                if stopping and self.step < recipe.steps:
                    log.info(
                        "stopped at step %d of %d, saved; run the same command again to go on", self.step, recipe.steps
                    )
                    break
                waiting = time.monotonic()
        if board is not None:
            board.close()
        return self.step >= recipe.steps

    def _all_stop(self, wanted: bool) -> bool:
        """Several processes stop at the same step: where they log, since to agree is to wait for the GPUs."""
        if self.fabric.world_size == 1:
            return wanted
        if self.step % self.recipe.log_every:
            return False
        return bool(self.fabric.all_reduce(torch.tensor(float(wanted)), reduce_op="max"))

    def _record(self, training: Dataset[Any], indices: list[int], precision: str) -> None:
        first: Any = self.fabric.to_device(default_collate([training[index] for index in indices]))
        batch = self.make_batch(first)
        self.network.train()
        assert self.record is not None
        self.record(self.network.module, lambda: self.objective.outputs(self.network, batch), precision)

    def _train_step(self, batch: Batch) -> dict[str, Any]:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.step)
        self.network.train()
        outputs = self.objective.outputs(self.network, batch)
        loss = self.objective.loss(outputs, batch)
        self.fabric.backward(loss)
        limit = self.recipe.gradient_clip or math.inf
        norm = self.fabric.clip_gradients(self.network, self.optimizer, max_norm=limit, error_if_nonfinite=False)
        self.optimizer.step()
        torch.autograd.graph.increment_version(list(self.network.module.parameters()))  # fused optimizers do not
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self._follow(self.average)
        return {
            "loss": loss.detach(),
            "gradient_norm": norm,
            "outputs": {name: out.detach() for name, out in outputs.items()},
        }

    def _follow(self, average: AveragedModel) -> None:
        """average.update_parameters(network), which from the second time on would wait for the GPU."""
        if average.n_averaged == 0:
            average.update_parameters(self.network.module)
            return
        update = get_ema_multi_avg_fn(self.recipe.ema_decay)
        update(list(average.module.parameters()), list(self.network.module.parameters()), average.n_averaged)
        average.n_averaged += 1

    def _log(self, board: SummaryWriter | None, bar: tqdm, batch: Batch, values: dict[str, Any]) -> None:
        outputs = values.pop("outputs")
        scalars = {name: float(value) for name, value in values.items()}
        if not math.isfinite(scalars["loss"]):
            raise TrainingError(
                f"the loss of step {self.step} is {scalars['loss']}; lower train.learning_rate or set "
                f"train.gradient_clip, and go on from {self.checkpoint_path} in a new run"
            )
        scalars["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        quality = {f"psnr_{name}": psnr(out.float(), batch[target_key(name)]) for name, out in outputs.items()}
        times = {name: f"{1000 * scalars[f'{name}_seconds']:.0f}ms" for name in ("data", "step")}
        shown = {"loss": f"{scalars['loss']:.4f}", **{name: f"{value:.1f}" for name, value in quality.items()}, **times}
        bar.set_postfix(shown)
        if board is not None:
            for name, value in {**scalars, **quality}.items():
                board.add_scalar(f"train/{name}", value, self.step)

    @torch.no_grad()
    def _validate(self, board: SummaryWriter | None, validation: Dataset[Any]) -> None:
        if board is None:  # one process measures, the others wait at the next step's reduction
            return
        self._made_ahead.wait()
        network = self.best_network().eval()
        sums: dict[str, float] = {}
        count = len(validation)  # type: ignore[arg-type]
        for index in range(count):
            item = {name: value[None].to(self.fabric.device) for name, value in validation[index].items()}
            batch = self.make_batch(item)
            outputs = self.objective.outputs(network, batch)
            for name, out in outputs.items():
                sums[name] = sums.get(name, 0.0) + psnr(out.float(), batch[target_key(name)]) / count
            if index < 4:
                board.add_image(f"validation/{index}", training_strip(batch, outputs), self.step)
        record = {"step": self.step, **{f"psnr_{name}": round(value, 3) for name, value in sums.items()}}
        for name, value in sums.items():
            board.add_scalar(f"validation/psnr_{name}", value, self.step)
        with (self.run_dir / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")
        log.info("validation %s", record)


@contextmanager
def _nowhere() -> Iterator[Path]:
    """Processes other than the first take part in saving without writing."""
    yield Path("unused")


def _flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
