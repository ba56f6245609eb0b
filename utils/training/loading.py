"""The loader processes of a run: how they start, fail and end.

Whatever happens in a loader process ends the run with one error that names the file, and never
leaves it waiting:

- An exception travels as words (`Failure`), since exceptions of libraries cannot always be pickled.
- A process that was killed, or crashed, is noticed while the run waits for a batch. So the weights
  are never in the middle of a step, and can be saved.
- A batch that cannot be sent ends its process, which would otherwise go on without it.
- At the end of the run its loader processes are ended, even if they hang.
"""

import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import multiprocessing.queues
import os
import signal
import threading
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from cycleisp.utils.errors import UserError, reason
from cycleisp.utils.processes.lifetimes import die_with_parent
from cycleisp.utils.processes.reading_now import Note, note_files_in
from cycleisp.utils.training.errors import TrainingError
from cycleisp.utils.training.stopping import SIGNALS

# Signals of a crash. PyTorch's handlers in loader processes would print a line of their own.
CRASHES = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGABRT")
NO_SHARED_MEMORY = (
    "a loader process found no room in shared memory; set train.workers=0, or give /dev/shm more room "
    "(docker run --shm-size=8g)"
)
PATIENCE = 5  # seconds for a process to end, once it is told to
log = logging.getLogger(__name__)


class LoaderError(TrainingError):
    """A batch that could not be loaded. The weights are those of the step before."""


@dataclass(frozen=True)
class Failure:
    """What comes from a loader process in place of a batch.

    Attributes:
        message: one line that names the file.
        details: the traceback.
    """

    message: str
    details: str


class Loader:
    """The batches of a run from now on, on its device. Used in a `with` block.

    Args:
        dataset: item n is the n-th patch of the stream, a dict of tensors.
        sampler: the numbers of the patches of each batch.
        workers: the number of loader processes; 0 loads in this process.
        device: where the batches go.
    """

    def __init__(self, dataset: Dataset[Any], sampler: Iterable[list[int]], workers: int, device: torch.device) -> None:
        self._notes = [(Note(), Note(), Note()) for _ in range(workers)]
        self._device, self._processes = device, list[BaseProcess]()
        self._iterator: Any = None
        self._loader: Any = DataLoader(
            _Guarded(dataset),
            batch_sampler=sampler,
            num_workers=workers,
            collate_fn=_collate,
            pin_memory=device.type == "cuda",
            worker_init_fn=partial(_begin, os.getpid(), self._notes) if workers else None,
            # without one, every start of a loader draws from torch's global generator
            generator=torch.Generator().manual_seed(0),
        )

    def __enter__(self) -> Iterator[Any]:
        before = set(multiprocessing.active_children())
        try:
            self._iterator = iter(self._loader)
        except (OSError, RuntimeError) as error:
            raise LoaderError(f"loader processes cannot be started ({reason(error)}); lower train.workers") from None
        finally:
            self._processes = [child for child in multiprocessing.active_children() if child not in before]
            self._usual_signal = self._without_child_signal()
        return self._batches()

    def __exit__(self, *_: object) -> None:
        try:
            # PyTorch asks them to end, and waits for a few seconds.
            getattr(self._iterator, "_shutdown_workers", lambda: None)()
        finally:
            for process in self._processes:
                if process.is_alive():  # it hangs: loader processes ignore SIGTERM, which Python would send at exit
                    process.kill()
                    process.join(PATIENCE)
            self._iterator = None
            if self._usual_signal is not None:
                signal.signal(signal.SIGCHLD, self._usual_signal)

    def _without_child_signal(self) -> Any:
        """Turns PyTorch's handler off, which raises an error wherever the run is at the moment.

        Without it, PyTorch notices the end of a process while it waits for a batch.
        """
        if not self._processes or threading.current_thread() is not threading.main_thread():
            return None
        return signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def _batches(self) -> Iterator[Any]:
        while True:
            try:
                batch = next(self._iterator)
            except StopIteration:
                return
            except (OSError, RuntimeError, EOFError) as error:
                log.debug("no batch", exc_info=True)
                raise LoaderError(self._what_ended(error)) from None
            if isinstance(batch, Failure):
                log.debug("%s", batch.details)
                raise LoaderError(batch.message)
            ahead = self._device.type == "cuda"
            yield {name: value.to(self._device, non_blocking=ahead) for name, value in batch.items()}

    def _what_ended(self, error: Exception) -> str:
        """Says which loader process has ended, by what, and which file it was reading."""
        if self._processes:  # a batch can fail to arrive a moment before its sender is gone
            ends = multiprocessing.connection.wait([process.sentinel for process in self._processes], 6 * PATIENCE)
            for child in self._processes:
                if child.sentinel in ends:  # its files are closed; its exit status can come a moment later
                    child.join(PATIENCE)
        status = {process.pid: process.exitcode for process in self._processes}
        for process, file, words in self._notes:
            code = status.get(int(process.read() or -1))
            if code is None:
                continue
            where = f"{file.read()}: " if file.read() else ""
            if words.read():
                return f"{where}{words.read()}"
            return f"{where}{_in_words(code, bool(where))}"
        return f"no batch came from the loader processes ({reason(error)}); set train.workers=0 to see more"


def _in_words(code: int, reads: bool) -> str:
    """Says what the exit status of a loader process means, and what to do.

    Args:
        code: the exit status, which is negative for a signal.
        reads: whether the process was reading a file.
    """
    if -code == signal.SIGKILL:
        return "a loader process was killed, most often because memory ran out; lower train.workers"
    if -code == signal.SIGBUS and not reads:
        return NO_SHARED_MEMORY
    if -code in set(signal.Signals):
        advice = "remove the file, or get it again" if reads else "set train.workers=0 to see more"
        return f"the loader process crashed ({signal.Signals(-code).name}); {advice}"
    return f"a loader process has ended by itself (status {code}); set train.workers=0 to see more"


# ------------------------------------------------------------ in the loader processes


class _Guarded(Dataset[Any]):
    """A data set whose errors are items."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)  # type: ignore[arg-type]

    def __getitem__(self, number: int) -> Any:
        try:
            return self._dataset[number]
        except Exception as error:
            return _failure(error)


def _collate(items: list[Any]) -> Any:
    """Returns the batch of some items, or the first failure among them."""
    for item in items:
        if isinstance(item, Failure):
            return item
    try:
        return default_collate(items)
    except Exception as error:
        return _failure(error)


def _failure(error: Exception) -> Failure:
    details = traceback.format_exc()
    if isinstance(error, UserError):
        return Failure(str(error), details)
    if isinstance(error, MemoryError):
        return Failure("a patch does not fit into memory; lower train.workers, or give smaller photos", details)
    if isinstance(error, OSError) and error.filename:
        return Failure(f"{error.filename}: cannot be read ({reason(error)}); bring it back, and go on", details)
    if isinstance(error, RuntimeError) and "</torch_" in str(error):  # PyTorch's names in shared memory
        return Failure(NO_SHARED_MEMORY, details)
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}, line {place.lineno}"
    return Failure(f"a patch cannot be made: {type(error).__name__}: {reason(error)} ({where})", details)


def _begin(parent: int, notes: list[tuple[Note, Note, Note]], worker: int) -> None:
    """Prepares a loader process.

    It ignores requests to stop, which may reach the whole process group: the run needs its loaders
    until it has saved. It ends with the run.
    """
    process, file, words = notes[worker]
    process.write(str(os.getpid()))
    die_with_parent(parent)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    for name in CRASHES:
        with contextlib.suppress(AttributeError, OSError, ValueError):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    note_files_in(file)

    def end(error: Exception, _batch: object) -> None:
        words.write(f"a batch cannot be sent to the run ({reason(error)}); set train.workers=0")
        os._exit(1)

    # Python's way prints a traceback and drops the batch, for which the run would wait for ever.
    multiprocessing.queues.Queue._on_queue_feeder_error = staticmethod(end)  # type: ignore[attr-defined,assignment]
