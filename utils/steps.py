"""How far a long computation has come, told to whoever watches it, and whether it shall go on.

A computation tells its steps without knowing of progress bars:

    with watched(lambda share: bar.update(...)):
        denoised = network(photo)

In the other direction, it asks between its pieces, many times a second, whether it is to stop:

    with stoppable(raise_if_the_user_has_pressed_stop):
        denoised = network(photo)
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_watcher: ContextVar[Callable[[float], object] | None] = ContextVar("cycleisp_watcher", default=None)
_look: ContextVar[Callable[[], object] | None] = ContextVar("cycleisp_look", default=None)


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
    tell, look = _watcher.get(), looker()
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        look()
        if tell is not None:
            tell(min(1.0, done / count))

    inside = _watcher.set(None)
    try:
        yield step
    finally:
        _watcher.reset(inside)


@contextmanager
def stoppable(look: Callable[[], object]) -> Iterator[None]:
    """Calls `look` between the pieces of every computation of the block; what it raises ends it.

    The block counts for this thread. A computation that spreads its pieces over threads calls
    `look` in them, too, so that it may be called several times at once.
    """
    before = _look.set(look)
    try:
        yield
    finally:
        _look.reset(before)


def looker() -> Callable[[], object]:
    """Returns the function that a computation calls before each of its pieces, in any thread.

    It is that of the thread which asks for it, so ask where the computation begins. Without a
    block of `stoppable` it does nothing.
    """
    return _look.get() or _go_on


def _go_on() -> None:
    pass
