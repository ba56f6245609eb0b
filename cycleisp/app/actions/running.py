"""Runs one task for the page: progress, the time limit, what it logs, and its one result."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cycleisp.dataloaders.results.summary import Summary
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.progress import listening

Tell = Callable[[str, float], object]


@contextmanager
def within(seconds: float, tell: Tell) -> Iterator[None]:
    """Tells how far the work of the block has come, and ends it when its time is over.

    The clock is looked at whenever the work tells a step, which the networks do every second or so.

    Raises:
        UserError: the time is over.
    """
    end = time.monotonic() + seconds

    def step(words: str, share: float) -> None:
        if time.monotonic() > end:
            raise UserError(
                f"this takes longer than the {seconds / 60:g} minutes that are allowed here; give a smaller photo, "
                "choose faster weights, or start the page with --minutes"
            )
        tell(words, share)

    with listening(step):
        yield


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
