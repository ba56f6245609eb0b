"""The number of threads: measured once, part of the checkpoint, and left as it was found."""

import logging
from collections.abc import Iterator

import pytest
import torch

from cycleisp.utils.training import threads
from cycleisp.utils.training.threads import FIXED, SHORTEST, Threads


@pytest.fixture(autouse=True)
def four_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.delenv(FIXED, raising=False)
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def numbers(chosen: Threads, steps: int, monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float]) -> list[int]:
    """Returns the number of threads of each step, in a world where steps take so many seconds."""
    clock = [0.0]
    monkeypatch.setattr(threads.time, "monotonic", lambda: clock[0])  # type: ignore[attr-defined]
    seen = []
    with chosen:
        for _ in chosen.over([{}] * steps, 0):
            seen.append(torch.get_num_threads())
            clock[0] += seconds[seen[-1]]
    return seen


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({4: 1.0, 2: 1.5, 1: 2.0}, 4),
        ({4: 2.0, 2: 1.0, 1: 1.5}, 2),
        ({4: 6.0, 2: 3.0, 1: 0.5}, 1),
        ({4: 1.0, 2: 0.95, 1: 0.9}, 4),  # no gain worth the change
    ],
)
def test_the_quickest_number_is_kept_and_said(
    seconds: dict[int, float], expected: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    chosen = Threads(SHORTEST, None, alone=True)
    seen = numbers(chosen, 20, monkeypatch, seconds)
    assert seen == [4, 4] + [4] * 4 + [2] * 4 + [1] * 4 + [expected] * 6
    assert chosen.chosen == expected
    (line,) = caplog.messages
    assert f"{seconds[1]:.2f} s with 1" in line and f"going on with {expected}" in line and FIXED in line
    assert torch.get_num_threads() == 4


def test_a_run_that_goes_on_keeps_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    resumed = Threads(SHORTEST, 1, alone=True)
    with resumed:
        for _ in resumed.over([{}], 100):
            assert torch.get_num_threads() == 1
    monkeypatch.setenv(FIXED, "1")
    torch.set_num_threads(1)
    started_fixed = Threads(SHORTEST, None, alone=True)
    assert numbers(started_fixed, 20, monkeypatch, {1: 1.0}) == [1] * 20 and started_fixed.chosen == 1


def test_who_sets_the_number_is_obeyed_and_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(FIXED, "4")
    assert Threads(SHORTEST, 1, alone=True).chosen == 4
    assert "the last bits of its result may differ" in caplog.text


def test_short_runs_several_processes_and_gpus_measure_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for chosen in (Threads(SHORTEST - 1, None, alone=True), Threads(SHORTEST, None, alone=False)):
        assert numbers(chosen, 20, monkeypatch, {4: 1.0}) == [4] * 20 and chosen.chosen == 4
