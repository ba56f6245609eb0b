"""Requests to stop, which a run obeys at the end of a step, after saving."""

import signal
import threading
import time
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)  # of schedulers, and of Ctrl-C


class StopRequests:
    """Collects the requests to stop a run: signals, and the end of the time that it may take.

    Inside the `with` block SIGTERM and Ctrl-C do not end the process in the middle of a step. A
    second signal of the same kind has its usual effect. In other threads than the main one, where
    Python allows no signal handlers, only the time counts.

    Args:
        minutes: the time after which the run is to stop, None for no limit.
    """

    def __init__(self, minutes: float | None) -> None:
        self._minutes, self._started = minutes, time.monotonic()
        self._received: list[int] = []
        self._usual: dict[int, Any] = {}

    def __enter__(self) -> "StopRequests":
        if threading.current_thread() is threading.main_thread():
            self._usual = {number: signal.getsignal(number) for number in SIGNALS}
            for number in SIGNALS:
                signal.signal(number, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._usual.items():
            signal.signal(number, handler)

    def _remember(self, number: int, _frame: object) -> None:
        self._received.append(number)
        signal.signal(number, self._usual[number])

    def pending(self) -> bool:
        """Returns whether this process has been asked to stop, or its time is over."""
        timed_out = self._minutes is not None and time.monotonic() - self._started > 60 * self._minutes
        return bool(self._received) or timed_out
