"""Progress bars, and how far a run has come for whoever else asks.

A page in a browser shows no bar of a terminal. It listens:

    with listening(lambda words, share: page.show(words, share)):
        denoise_files(...)
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tqdm import tqdm

Tell = Callable[[str, float], object]

_listener: ContextVar[Tell | None] = ContextVar("cycleisp_listener", default=None)


class _ToldBar(tqdm):
    """A bar that also tells a listener what it shows."""

    def __init__(self, *args: Any, tell: Tell, **options: Any) -> None:
        self._tell = tell
        super().__init__(*args, **options)

    def update(self, n: float | None = 1) -> bool | None:
        """Moves the bar on by `n`, and tells the share of the whole that is done."""
        shown = super().update(n)
        if self.total:
            self._tell(self.desc, min(1.0, self.n / self.total))
        return shown


@contextmanager
def listening(tell: Tell) -> Iterator[None]:
    """Calls `tell` with a bar's name and the share that is done, whenever a bar of the block moves.

    The block counts for this thread. What `tell` raises ends the work that the bar belongs to.
    """
    before = _listener.set(tell)
    try:
        yield
    finally:
        _listener.reset(before)


def progress_bar(**options: Any) -> tqdm:
    """Returns tqdm's bar on standard error.

    Where standard error is a log file, it writes a line every 30 seconds instead of ten a second.
    """
    patient = not sys.stderr.isatty()
    options = {"mininterval": 30 if patient else 0.1, "maxinterval": 60 if patient else 10, **options}
    tell = _listener.get()
    return tqdm(**options) if tell is None else _ToldBar(tell=tell, **options)
