"""Threads that compute with one core each.

PyTorch's own threads meet after every operation and wait for the slowest core; these meet where
a block needs it.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from typing import Protocol, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


class Spread(Protocol):
    """A function that applies work to every item, possibly in parallel.

    It returns the results in input order.
    """

    def __call__(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]: ...


@contextmanager
def caller() -> Iterator[Spread]:
    """Yields a `Spread` that works in the calling thread.

    PyTorch's operations use all cores as usual.
    """
    yield _in_turn


@contextmanager
def threads() -> Iterator[Spread]:
    """Yields a `Spread` that works in several threads, each of which uses one core.

    There are as many threads as PyTorch's operations use cores, and the calling thread is one of
    them. If it slept while others worked, it would have to be woken, and so would one more of them:
    the system puts threads that wake up on one core at first, and moves them milliseconds later.

    An error in one thread ends the work of all. After the block PyTorch's operations use as many
    cores as before.
    """
    count = torch.get_num_threads()
    if count == 1:
        yield _in_turn
        return
    inference = torch.is_inference_mode_enabled()
    torch.set_num_threads(1)

    def spread(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        left, results = deque(enumerate(items)), dict[int, Result]()

        def take_turns() -> None:
            if torch.get_num_threads() != 1:
                torch.set_num_threads(1)  # of this thread
            try:
                with torch.inference_mode() if inference else torch.no_grad():
                    while (turn := _next(left)) is not None:
                        results[turn[0]] = work(turn[1])
            except BaseException:
                left.clear()
                raise

        helpers: list[Future[None]] = []
        try:
            for _ in range(min(count, len(items)) - 1):
                helpers.append(_pool(count - 1, os.getpid()).submit(take_turns))
            take_turns()
        finally:
            left.clear()
            # Those that have not begun wait for other users of the pool, and are not needed
            helpers = [helper for helper in helpers if not helper.cancel()]
            wait(helpers)
        for helper in helpers:
            helper.result()  # raises what has been raised there
        return [results[index] for index in range(len(items))]

    try:
        yield spread
    finally:
        torch.set_num_threads(count)


def _next(left: deque[Item]) -> Item | None:
    """Takes the next of what is left; None if another thread was faster, or nothing is."""
    try:
        return left.popleft()
    except IndexError:
        return None


def _in_turn(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [work(item) for item in items]


@cache
def _pool(count: int, _process: int) -> ThreadPoolExecutor:
    """Returns threads that stay for later calls; a forked process makes its own."""
    return ThreadPoolExecutor(count, thread_name_prefix="trunk")
