"""What a run tells while it trains: progress bar, TensorBoard events and metrics.jsonl."""

import json
import logging
import math
import time
from collections.abc import Iterable, Iterator

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from cycleisp.utils.config import Training
from cycleisp.utils.metrics import psnr
from cycleisp.utils.output.preview import target_key
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.training.errors import TrainingError
from cycleisp.utils.training.objective import Batch, Outputs
from cycleisp.utils.training.run_folder import RunFolder
from cycleisp.utils.training.validation import Validation

log = logging.getLogger(__name__)


class Journal:
    """Tells of every step of a run. Used in a `with` block, which closes the files.

    Args:
        folder: the folder of the run.
        recipe: the settings of the loop.
        step: the step from which the run begins or goes on.
        silent: whether to write and show nothing, as processes other than the first one do.
    """

    def __init__(self, folder: RunFolder, recipe: Training, step: int, silent: bool) -> None:
        self.silent = silent
        self._folder, self._recipe = folder, recipe
        self._board = None if silent else SummaryWriter(str(folder.path), purge_step=step)
        self._bar = progress_bar(
            total=recipe.steps, initial=step, desc=folder.path.name, unit="step", disable=silent, smoothing=0.05
        )
        self._step_began, self._data_seconds = time.monotonic(), 0.0

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        if self._board is not None:
            self._board.close()

    def timed(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yields the batches and measures how long the loop waits for each one."""
        self._step_began = time.monotonic()
        for batch in batches:
            self._data_seconds = time.monotonic() - self._step_began
            yield batch
            self._step_began = time.monotonic()

    def log(self, step: int, batch: Batch, outputs: Outputs, **values: Tensor | float | None) -> None:
        """Counts a step. Shows and writes the numbers of every `log_every`-th step and of the last.

        Numbers on a GPU are read only then, since reading waits for the GPU.

        Args:
            step: the number of steps done.
            batch: what the step has learned from.
            outputs: what the network has made of it, without gradients.
            values: numbers to write, among them `loss`.

        Raises:
            TrainingError: the loss is infinite or no number.
        """
        self._bar.update()
        if step % self._recipe.log_every and step != self._recipe.steps:
            return
        seconds = {"data": self._data_seconds, "step": time.monotonic() - self._step_began}
        scalars = {name: float(value) for name, value in values.items() if value is not None}
        if not math.isfinite(scalars["loss"]):
            raise TrainingError(
                f"the loss of step {step} is {scalars['loss']}; lower train.learning_rate or set "
                f"train.gradient_clip, and go on from {self._folder.checkpoint} in a new run"
            )
        quality = {f"psnr_{name}": psnr(out.float(), batch[target_key(name)]) for name, out in outputs.items()}
        shown = {"loss": f"{scalars['loss']:.4f}", **{name: f"{value:.1f}" for name, value in quality.items()}}
        self._bar.set_postfix(shown | {name: f"{1000 * value:.0f}ms" for name, value in seconds.items()})
        scalars |= {f"{name}_seconds": value for name, value in seconds.items()}
        self._write("train", step, scalars | quality)

    def log_validation(self, step: int, validation: Validation) -> None:
        """Writes the result of a validation; its line of metrics.jsonl has the PSNR in dB."""
        quality = {f"psnr_{name}": value for name, value in validation.quality.items()}
        record = {"step": step, **{name: round(value, 3) for name, value in quality.items()}}
        self._write("validation", step, quality)
        if self._board is not None:
            for index, picture in enumerate(validation.pictures):
                self._board.add_image(f"validation/{index}", picture, step)
        with self._folder.metrics.open("a") as file:
            file.write(json.dumps(record) + "\n")
        log.info("validation %s", record)

    def _write(self, section: str, step: int, scalars: dict[str, float]) -> None:
        if self._board is not None:
            for name, value in scalars.items():
                self._board.add_scalar(f"{section}/{name}", value, step)
