"""The number of threads that a step on a CPU uses.

PyTorch takes a thread for each core. On a machine that is busy with other work, threads wait for
each other, and a step with one thread can be ten times as quick. So the first steps of a run try
several numbers, and the quickest one does the rest. The last bits of a result depend on the number.
So the tries follow from the step's number alone, and the choice is part of the checkpoint.
"""

import logging
import os
import statistics
import time
from collections.abc import Iterable, Iterator

import torch

from cycleisp.utils.training.objective import Batch

WARM_UP = 2  # steps that prepare, and are not timed
TRIES = 4  # steps with each number of threads
GAIN = 0.8  # fewer threads must take less than this part of the time
SHORTEST = 200  # runs of fewer steps are not worth the tries
FIXED = "OMP_NUM_THREADS"  # the environment variable with which a user decides
log = logging.getLogger(__name__)


class Threads:
    """Decides the number of threads of each step, in a `with` block that undoes it at the end.

    Args:
        steps: the number of steps of the whole run.
        begun: the number that a resumed run has decided on, or None.
        alone: whether a single process computes, on a CPU.
    """

    def __init__(self, steps: int, begun: int | None, alone: bool) -> None:
        self._usual = torch.get_num_threads()
        fixed = bool(os.environ.get(FIXED))
        tries = list(dict.fromkeys((self._usual, max(1, self._usual // 2), 1)))
        measured = alone and not fixed and steps >= SHORTEST and len(tries) > 1
        self._plan = [self._usual] * WARM_UP + [number for number in tries for _ in range(TRIES)] if measured else []
        self._seconds: dict[int, list[float]] = {number: [] for number in tries}
        self.chosen: int | None = None if measured else self._usual
        if begun is not None and alone:
            if fixed and begun != self._usual:
                log.warning(
                    "%s=%d, and this run had %d threads: the last bits of its result may differ",
                    FIXED,
                    self._usual,
                    begun,
                )
            else:
                self.chosen = begun

    def __enter__(self) -> "Threads":
        return self

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self._usual)

    def over(self, batches: Iterable[Batch], step: int) -> Iterator[Batch]:
        """Yields the batches. Sets the number of threads of each step, and measures the first ones.

        Args:
            batches: what the run learns from. Some are made while they are waited for.
            step: the step of the first batch, counted from 0.
        """
        coming = iter(batches)
        while True:
            self._begin(step)
            started = time.monotonic()
            batch = next(coming, None)
            if batch is None:
                return
            yield batch
            self._end(step, time.monotonic() - started)
            step += 1

    def _begin(self, step: int) -> None:
        number = self._plan[step] if step < len(self._plan) else self._decided()
        if number != torch.get_num_threads():
            torch.set_num_threads(number)

    def _end(self, step: int, seconds: float) -> None:
        if WARM_UP <= step < len(self._plan):
            self._seconds[self._plan[step]].append(seconds)
        if step + 1 == len(self._plan):
            self._decided()

    def _decided(self) -> int:
        """Returns the number of threads of the rest of the run. The first call chooses it."""
        if self.chosen is None:
            medians = {number: statistics.median(taken) for number, taken in self._seconds.items() if taken}
            quickest = min(medians, key=lambda number: medians[number], default=self._usual)
            usual = medians.get(self._usual, 0.0)  # a run that was stopped amid the tries keeps the usual number
            self.chosen = quickest if medians.get(quickest, 0.0) < GAIN * usual else self._usual
            said = ", ".join(f"{taken:.2f} s with {number}" for number, taken in medians.items())
            if said:
                log.info("a step takes %s threads: going on with %d (%s sets another)", said, self.chosen, FIXED)
        return self.chosen
