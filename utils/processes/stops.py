"""Ctrl-C and SIGTERM: the first ends a run in order, the second at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

WORDS = "what is finished is saved, and the same command goes on"


class Stopped(KeyboardInterrupt):
    """A run that a signal ends. It passes wherever KeyboardInterrupt does.

    Attributes:
        number: of the signal, such as SIGTERM.
    """

    def __init__(self, number: int, words: str = WORDS) -> None:
        super().__init__(f"stopped by {signal_in_words(number)}; {words}")
        self.number = number


def signal_in_words(number: int) -> str:
    """Returns `Ctrl-C` or the name of another signal."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


@contextmanager
def stops_in_order(first: Callable[[], None], words: str = WORDS) -> Iterator[None]:
    """Raises `Stopped` in the block at the first Ctrl-C or SIGTERM, so that what is open is closed.

    The second one ends the process at once, without a traceback, even after the block. Files are
    whole or absent nevertheless. Processes that are forked in the block end as ever. In other
    threads than the main one, where Python allows no signal handlers, the block runs as it is.

    Args:
        first: what to do before `Stopped` is raised, as ending what the block waits for.
        words: what becomes of the work, for the user.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()
    received: list[int] = []

    def receive(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a forked process, which has inherited this handler
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if received:
            os.write(2, f"\nstopped at once by {signal_in_words(number)}; {words}\n".encode())
            os._exit(128 + number)
        received.append(number)
        first()
        raise Stopped(number, words)

    # A shell that starts a run in the background may have said that Ctrl-C counts for nothing.
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    usual = {number: handler for number, handler in usual.items() if handler is not signal.SIG_IGN}
    for number in usual:
        signal.signal(number, receive)
    try:
        yield
    finally:
        if not received:
            for number, handler in usual.items():
                signal.signal(number, handler)
