"""Work spread over threads: results in order, every item once, errors and settings as before."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from cycleisp.networks.fast.threads import threads


@pytest.fixture(params=[1, 2, 3])
def cores(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_every_item_is_worked_on_once_and_results_keep_their_order(cores: int, count: int) -> None:
    seen: list[int] = []

    def work(item: int) -> int:
        seen.append(item)
        return item**2

    with threads() as spread:
        assert spread(work, range(count)) == [item**2 for item in range(count)]
    assert sorted(seen) == list(range(count))
    assert torch.get_num_threads() == cores


def test_as_many_threads_work_as_there_are_cores_and_the_caller_is_one(cores: int) -> None:
    def work(_: int) -> int:
        time.sleep(0.01)  # so that no thread takes all turns
        return threading.get_ident()

    with threads() as spread:
        workers = set(spread(work, range(20)))
    assert len(workers) == cores and threading.get_ident() in workers


@pytest.mark.parametrize("bad", [0, 1, 19])
def test_an_error_in_any_thread_reaches_the_caller_and_ends_the_work(cores: int, bad: int) -> None:
    done: list[int] = []

    def work(item: int) -> None:
        if item == bad:
            raise ArithmeticError("no")
        time.sleep(0.002)
        done.append(item)

    with pytest.raises(ArithmeticError), threads() as spread:
        spread(work, range(20))
    ended = len(done)
    time.sleep(0.01)
    assert len(done) == ended  # nothing goes on behind the caller's back
    assert ended <= bad + 3 * cores  # and the others stop with the next item
    assert torch.get_num_threads() == cores


def test_who_is_ready_does_not_wait_for_other_users_of_the_threads() -> None:
    """One user's items take long and keep all threads of the pool; the other one's take no time."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    begun, over = threading.Event(), threading.Event()

    def slow(_: int) -> None:
        begun.set()
        assert over.wait(60)

    def use_slowly() -> None:
        torch.set_num_threads(3)
        with threads() as spread:
            spread(slow, range(3))

    other = threading.Thread(target=use_slowly)
    try:
        other.start()
        assert begun.wait(60)
        with threads() as spread:
            assert spread(lambda item: item, range(5)) == [0, 1, 2, 3, 4]
        assert other.is_alive()
    finally:
        over.set()
        other.join()
        torch.set_num_threads(before)


def test_no_gradient_and_one_core_in_each_thread(cores: int) -> None:
    def work(_: int) -> tuple[bool, int]:
        time.sleep(0.005)
        return torch.is_grad_enabled(), torch.get_num_threads()

    with torch.no_grad(), threads() as spread:
        assert set(spread(work, range(6))) == {(False, 1)}
