"""Batches made ahead come in order, one at a time, with their errors.

A machine without a GPU pretends to have one.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor

from cycleisp.utils.training.made_ahead import IN_PLACE, MadeAhead
from cycleisp.utils.training.objective import Batch

CUDA = torch.device("cuda")


class Stream:
    """A stream of a GPU that has always finished."""

    def __init__(self, *_: object) -> None: ...

    def wait_stream(self, _: "Stream") -> None: ...

    def synchronize(self) -> None: ...


@pytest.fixture(autouse=True)
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    monkeypatch.setattr(Tensor, "record_stream", lambda *_: None)


def given(count: int) -> Iterator[Batch]:
    return ({"number": torch.tensor(number)} for number in range(count))


@pytest.mark.parametrize("device", [torch.device("cpu"), CUDA])
@pytest.mark.parametrize("count", [0, 1, IN_PLACE, IN_PLACE + 1, 9])
def test_all_batches_come_in_order(device: torch.device, count: int) -> None:
    ahead = MadeAhead(lambda batch: {"number": 10 * batch["number"]}, device)
    assert [int(batch["number"]) for batch in ahead.batches(given(count))] == [10 * number for number in range(count)]
    ahead.wait()


def test_the_first_are_made_in_place_and_later_ones_one_ahead() -> None:
    threads: list[threading.Thread] = []

    def make(batch: Batch) -> Batch:
        threads.append(threading.current_thread())
        return batch

    ahead = MadeAhead(make, CUDA)
    for used, _ in enumerate(ahead.batches(given(6)), start=1):
        ahead.wait()
        assert len(threads) == (used if used < IN_PLACE else min(used + 1, 6))
    assert [thread is threading.main_thread() for thread in threads] == [True] * IN_PLACE + [False] * (6 - IN_PLACE)


def test_waiting_leaves_nothing_running() -> None:
    """Validation waits like this, since its networks may be the same."""
    running: list[bool] = []

    def make(batch: Batch) -> Batch:
        running.append(True)
        time.sleep(0.05)
        running.pop()
        return batch

    ahead = MadeAhead(make, CUDA)
    for _ in ahead.batches(given(5)):
        ahead.wait()
        assert not running


def test_an_error_is_raised_where_its_batch_would_have_come() -> None:
    def make(batch: Batch) -> Batch:
        if batch["number"] == 4:
            raise ValueError("no such batch")
        return batch

    came = []
    with pytest.raises(ValueError, match="no such batch"):
        for batch in MadeAhead(make, CUDA).batches(given(6)):
            came.append(int(batch["number"]))
    assert came == [0, 1, 2, 3]


def test_whoever_stops_early_leaves_no_thread() -> None:
    for batch in (made := MadeAhead(lambda batch: batch, CUDA).batches(given(9))):
        if batch["number"] == 5:
            break
    made.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("make_batch")]
