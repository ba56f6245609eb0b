"""The time of a training step, and the share of it in which no kernel runs on the GPU."""

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.profiler import ProfilerActivity, profile

Interval = tuple[float, float]  # begin and end


class StepClock:
    """Follows the steps of whatever trains inside a `with` block.

    Args:
        first: the step from which steps are profiled.
        last: the step up to which they are. Those that follow are timed.
        device: of the training. Only CUDA is profiled.

    Attributes:
        ends: when each step ended, in seconds of `time.perf_counter`.
        share: of the time from `first` to `last` without a kernel; None where none was profiled.
    """

    def __init__(self, first: int, last: int, device: torch.device) -> None:
        self.ends: list[float] = []
        self.share: float | None = None
        self._first, self._last, self._device = first, last, device
        self._profile: Any = None
        self._began = 0.0

    def __enter__(self) -> "StepClock":
        self._hook = register_optimizer_step_post_hook(lambda *_: self._after_step())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._hook.remove()

    @property
    def step_seconds(self) -> float:
        """Returns the mean time of the steps after the profiled ones.

        Raises:
            ValueError: there is none.
        """
        times = self.ends[self._last :]
        if len(times) < 2:
            raise ValueError(f"expected at least two steps after step {self._last}, got {len(self.ends)} steps in all")
        return (times[-1] - times[0]) / (len(times) - 1)

    def _after_step(self) -> None:
        count = len(self.ends) + 1
        if self._device.type == "cuda" and count in (self._first, self._last):
            torch.cuda.synchronize(self._device)
            if count == self._first:
                self._profile = profile(activities=[ProfilerActivity.CUDA])
                self._profile.start()
                self._began = time.perf_counter()
            elif self._profile is not None:
                seconds = time.perf_counter() - self._began
                self._profile.stop()
                self.share = 1 - covered(_kernels(self._profile)) / seconds
        self.ends.append(time.perf_counter())


def _kernels(profiled: Any) -> Iterable[Interval]:
    """Yields when each kernel or copy ran on the GPU, in seconds."""
    for event in profiled.events():
        if event.device_type == torch.autograd.DeviceType.CUDA:
            yield event.time_range.start / 1e6, event.time_range.end / 1e6


def covered(intervals: Iterable[Interval]) -> float:
    """Returns the length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(intervals):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total
