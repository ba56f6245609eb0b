"""Threads of our own, each of which computes with one core: nothing waits for the slower core after every operation."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Protocol, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


class Spread(Protocol):
    """Calls a function for every item, wherever; its results in the items' order."""

    def __call__(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]: ...


@contextmanager
def caller() -> Iterator[Spread]:
    """The calling thread does all, and PyTorch's operations take the cores they would."""
    yield _in_turn


@contextmanager
def threads() -> Iterator[Spread]:
    """Inside, items are spread over as many threads as PyTorch's operations take, each of which then takes one."""
    count = torch.get_num_threads()
    if count == 1:
        yield _in_turn
        return
    inference = torch.is_inference_mode_enabled()
    torch.set_num_threads(1)  # of this thread, and of those that have yet to compute for the first time

    def spread(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        def without_gradient(item: Item) -> Result:
            with torch.inference_mode() if inference else torch.no_grad():
                return work(item)

        return list(_pool(count, os.getpid()).map(without_gradient, items))

    try:
        yield spread
    finally:
        torch.set_num_threads(count)


def _in_turn(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [work(item) for item in items]


@cache
def _pool(count: int, _process: int) -> ThreadPoolExecutor:
    """Threads that stay; a forked process makes its own."""
    return ThreadPoolExecutor(count, thread_name_prefix="trunk", initializer=torch.get_num_threads)
