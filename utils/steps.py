"""How far a long computation has come, told to whoever watches it.

A computation tells its steps without knowing of progress bars:

    with watched(lambda share: bar.update(...)):
        denoised = network(photo)
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_watcher: ContextVar[Callable[[float], object] | None] = ContextVar("cycleisp_watcher", default=None)


@contextmanager
def watched(tell: Callable[[float], object]) -> Iterator[None]:
    """Calls `tell` with the share that is done, from 0 to 1, whenever a step of the block ends.

    The block counts for this thread. A computation inside of another one tells nothing.
    """
    before = _watcher.set(tell)
    try:
        yield
    finally:
        _watcher.reset(before)


@contextmanager
def steps(count: int) -> Iterator[Callable[[], None]]:
    """Yields a function that a computation calls after each of its `count` steps."""
    tell = _watcher.get()
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if tell is not None:
            tell(min(1.0, done / count))

    inside = _watcher.set(None)
    try:
        yield step
    finally:
        _watcher.reset(inside)
