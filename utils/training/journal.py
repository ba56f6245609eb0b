"""What a run tells while it trains: progress bar, TensorBoard events and metrics.jsonl."""

import json
import logging
import math
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from cycleisp.utils.config import Training
from cycleisp.utils.errors import reading, reason
from cycleisp.utils.metrics import psnr
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.preview import target_key
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.training.errors import TrainingError
from cycleisp.utils.training.objective import Batch, Outputs
from cycleisp.utils.training.run_folder import RunFolder, writing
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
        self._board: SummaryWriter | None = None
        if not silent:
            with self._writing_events():
                self._board = SummaryWriter(str(folder.path), purge_step=step)
            keep_records(folder.metrics, step)
        self._bar = progress_bar(
            total=recipe.steps, initial=step, desc=folder.path.name, unit="step", disable=silent, smoothing=0.05
        )
        self._step_began, self._data_seconds = time.monotonic(), 0.0
        self._steps, self._seconds, self._waited = 0, 0.0, 0.0  # of this run until now

    def __enter__(self) -> "Journal":
        self._usual_hook, threading.excepthook = threading.excepthook, self._say_once
        return self

    def _say_once(self, ended: Any) -> None:
        """Keeps silent of the end of TensorBoard's thread. The next event raises its error."""
        if type(ended.thread).__module__.startswith("tensorboard"):
            log.debug("TensorBoard's thread has ended", exc_info=ended.exc_value)
        else:
            self._usual_hook(ended)

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        if self._steps and not self.silent:
            share = 100 * self._waited / max(self._seconds, 1e-9)
            log.info("%d steps in %.0f s, %.1f %% of the time waiting for data", self._steps, self._seconds, share)
        try:
            if self._board is not None:
                self._board.close()
        except Exception as error:  # the run is over, and saved or not; events are no part of it
            log.warning("%s: the last TensorBoard events cannot be written (%s)", self._folder.path, reason(error))
        finally:
            threading.excepthook = self._usual_hook

    def timed(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yields the batches and measures how long the loop waits for each one, and for all."""
        self._step_began = time.monotonic()
        for batch in batches:
            self._data_seconds = time.monotonic() - self._step_began
            self._waited += self._data_seconds
            yield batch
            self._steps += 1
            self._seconds += time.monotonic() - self._step_began
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
            raise self._folder.diverged(step, scalars["loss"])
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
                with self._writing_events():
                    self._board.add_image(f"validation/{index}", picture, step)
        with writing(self._folder.metrics), self._folder.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        log.info("validation %s", record)

    def _write(self, section: str, step: int, scalars: dict[str, float]) -> None:
        if self._board is not None:
            for name, value in scalars.items():
                with self._writing_events():
                    self._board.add_scalar(f"{section}/{name}", value, step)

    @contextmanager
    def _writing_events(self) -> Iterator[None]:
        """Turns the errors of TensorBoard, which has many kinds of them, into one of the disk."""
        try:
            yield
        except Exception as error:
            raise TrainingError(
                f"{self._folder.path}: TensorBoard events cannot be written ({reason(error)}); make room or give the "
                "rights; the last whole checkpoint is kept, and the same command goes on from it"
            ) from None


def keep_records(path: Path, step: int) -> None:
    """Removes from metrics.jsonl what a run will write again: the records after a step.

    A line that a killed run has left unfinished is removed, too, with a warning.

    Args:
        path: the file; it need not exist.
        step: the step that the run goes on from.
    """
    if not path.exists():
        return
    with reading(path, TrainingError, advice="remove it; training does not need it"):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    kept, damaged = [], 0
    for line in lines:
        number = _step_of(line)
        damaged += number is None
        if number is not None and number <= step:
            kept.append(line + "\n")
    if damaged:
        log.warning("%s: %d unreadable lines removed", path, damaged)
    if len(kept) < len(lines):
        with writing(path):
            write_bytes(path, "".join(kept).encode())


def _step_of(line: str) -> int | None:
    """Returns the step of a line of metrics.jsonl, None if it is none."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None
