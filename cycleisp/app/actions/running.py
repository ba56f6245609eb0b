"""Runs one task for the page: progress, its ends before time, what it logs, and its one result."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from cycleisp.dataloaders.results.summary import Summary
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.progress import listening
from cycleisp.utils.steps import stoppable

Tell = Callable[[str, float], object]


@dataclass
class StopButton:
    """The Stop button of one open page.

    Attributes:
        presses: how many times it was pressed.
        running: how many pieces of work would notice.
    """

    presses: int = 0
    running: int = 0

    def press(self) -> bool:
        """Ends all work of this page, and tells whether there was some."""
        self.presses += 1
        return self.running > 0


class StopPressed(KeyboardInterrupt):  # passes wherever Ctrl-C does: no file is left out for it
    """The user has pressed Stop."""


@contextmanager
def within(
    seconds: float, tell: Tell, button: StopButton | None = None, turn: AbstractContextManager[object] | None = None
) -> Iterator[None]:
    """Tells how far the work of the block has come, and ends it at Stop or when its time is over.

    The networks look at the clock and the button many times a second. Whatever else a task does,
    as reading and writing its files, is done to its end.

    Args:
        seconds: that the work may take.
        tell: gets the name of a step, and the share that is done.
        button: the Stop button of the page; None for no button.
        turn: a lock that the work waits for and holds; None for none.

    Raises:
        UserError: the time is over.
        StopPressed: the button was pressed.
    """
    button = button or StopButton()
    presses = button.presses
    button.running += 1
    try:
        with turn or nullcontext():
            end = time.monotonic() + seconds

            def look() -> None:
                if button.presses > presses:
                    raise StopPressed
                if time.monotonic() > end:
                    raise UserError(
                        f"this takes longer than the {seconds / 60:g} minutes that are allowed here; give a smaller "
                        "photo, choose faster weights, or start the page with --minutes"
                    )

            look()
            with listening(tell), stoppable(look):
                yield
    finally:
        button.running -= 1


@contextmanager
def said(level: int = logging.WARNING) -> Iterator[list[str]]:
    """Yields a list to which every message of the package is added that the block logs."""
    messages: list[str] = []
    thread = threading.get_ident()
    handler = logging.Handler(level)

    def keep(record: logging.LogRecord) -> None:
        if record.thread == thread:
            messages.append(record.getMessage())

    handler.emit = keep  # type: ignore[method-assign]
    log = logging.getLogger("cycleisp")
    log.addHandler(handler)
    try:
        yield messages
    finally:
        log.removeHandler(handler)


def check_made(summary: Summary) -> None:
    """Checks that a run over one file has made its result.

    Raises:
        UserError: it has left the file out. The message is the reason.
    """
    for _, words in summary.skipped:
        raise UserError(words)
