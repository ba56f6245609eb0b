"""How slow a download may be before its source is given up.

A server that sends a byte now and then, or headers without end, never runs into a timeout between
two bytes. So the bytes of each stretch of time are counted as well.
"""

import os
import queue
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from cycleisp.utils.errors import UserError

VARIABLE = "CYCLEISP_LEAST_RATE"
LEAST_RATE = 1024  # bytes a second


class TooSlowError(Exception):
    """Too few bytes came; the message says how many, and what was expected."""


def least_rate() -> int:
    """Returns the least number of bytes a second, from the environment variable or the default.

    Raises:
        UserError: the variable is there, but is no whole number.
    """
    text = os.environ.get(VARIABLE, "")
    if text and not re.fullmatch(r"[0-9]{1,12}", text):
        raise UserError(f"environment variable {VARIABLE}: expected bytes a second, or 0 for no limit, got {text!r}")
    return int(text) if text else LEAST_RATE


@dataclass(frozen=True)
class Pace:
    """What is asked of a source.

    Attributes:
        patience: seconds without a byte after which it is given up.
        window: seconds over which its rate is measured, connecting included.
        least: bytes a second that it must give on average over each window; 0 for no limit.
    """

    patience: float = 30.0
    window: float = 60.0
    least: float = field(default_factory=least_rate)

    def keep(self, transfer: Callable[[], None], received: Callable[[], int], give_up: Callable[[], None]) -> None:
        """Runs a transfer as long as it is fast enough.

        The transfer runs in a thread of its own, since code that waits for a server cannot be
        interrupted. A transfer that is given up goes on in that thread until it notices; it
        does not keep the process alive.

        Args:
            transfer: what to run.
            received: returns the number of bytes that have come so far.
            give_up: makes the transfer end, as far as that is possible.

        Raises:
            TooSlowError: too few bytes came in one window.
            Exception: whatever the transfer raises.
        """
        ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        threading.Thread(target=_run, args=(transfer, ended), name="download", daemon=True).start()
        before = received()
        while True:
            try:
                error = ended.get(timeout=self.window)
            except queue.Empty:
                came = received() - before
                if came < self.least * self.window:
                    give_up()
                    raise TooSlowError(
                        f"gives {came} bytes in {self.window:g} seconds, less than {self.least:g} a second "
                        f"(environment variable {VARIABLE})"
                    ) from None
                before += came
                continue
            except BaseException:
                give_up()
                raise
            if error is not None:
                raise error
            return


def _run(transfer: Callable[[], None], ended: "queue.SimpleQueue[BaseException | None]") -> None:
    try:
        transfer()
    except BaseException as error:
        ended.put(error)
    else:
        ended.put(None)
