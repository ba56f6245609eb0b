"""Several processes of one run: they begin behind the first, and hold its folder to the last."""

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cycleisp.utils.errors import UserError
from cycleisp.utils.output.claim import claimed
from cycleisp.utils.processes.together import claimed_together

fork = multiprocessing.get_context("fork") if hasattr(os, "fork") else None
pytestmark = pytest.mark.skipif(fork is None, reason="forks")


class Run:
    """Two processes of one run, each of which says in files how far it is."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.notes = folder / "out", folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def start(self, rank: int, work: Callable[[], object] = lambda: None) -> "multiprocessing.process.BaseProcess":
        assert fork is not None
        process = fork.Process(target=self._become, args=(rank, work))
        process.start()
        return process

    def _become(self, rank: int, work: Callable[[], object]) -> None:
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(self.port), "TORCHELASTIC_RUN_ID": "1"}
        os.environ.update(where, RANK=str(rank), WORLD_SIZE="2")
        try:
            with claimed_together(self.folder, "--output", rank, 2):
                self.say(rank, "begun")
                work()
                self.say(rank, "worked")
        except UserError as error:
            self.say(rank, str(error))
            os._exit(2)
        os._exit(0)

    def say(self, rank: int, words: str) -> None:
        with (self.notes / f"{rank}").open("a") as file:
            file.write(f"{words}\n")

    def said(self, rank: int) -> list[str]:
        note = self.notes / f"{rank}"
        return note.read_text().splitlines() if note.exists() else []

    def wait_for(self, rank: int, words: str) -> None:
        end = time.monotonic() + 60
        while words not in self.said(rank):
            assert time.monotonic() < end, self.said(rank)
            time.sleep(0.01)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_none_begins_before_the_first_and_the_last_holds_the_folder(run: Run) -> None:
    second = run.start(1, lambda: run.wait_for(2, "enough"))
    time.sleep(0.3)
    assert run.said(1) == []
    first = run.start(0)
    run.wait_for(0, "worked")
    run.wait_for(1, "begun")
    with pytest.raises(UserError, match=f"another run writes there, process {first.pid} "), claimed(run.folder):
        pass
    run.say(2, "enough")
    for process in (first, second):
        process.join(60)
        assert process.exitcode == 0
    with claimed(run.folder):
        pass


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_second_run_is_refused_in_all_its_processes_whichever_comes_first(run: Run, order: tuple[int, int]) -> None:
    with claimed(run.folder):
        processes = [run.start(rank) for rank in order]
        for process in processes:
            process.join(60)
            assert process.exitcode == 2
    (refused,), (follows,) = run.said(0), run.said(1)
    assert refused.startswith(f"{run.folder}: another run writes there, process {os.getpid()} of ")
    assert follows == "process 0 of this run cannot begin, and says why"


def test_without_its_first_process_a_run_does_not_end_well(run: Run) -> None:
    second = run.start(1)
    first = run.start(0, lambda: os.kill(os.getpid(), signal.SIGKILL))
    first.join(60)
    second.join(60)
    assert second.exitcode == 2 and "another process of this run has ended" in run.said(1)[-1]
    with claimed(run.folder):  # the claim has died with it
        pass


def test_processes_that_torchrun_has_not_started_wait_for_none(tmp_path: Path) -> None:
    with claimed_together(tmp_path, "--output", 1, 2), claimed_together(tmp_path, "--output", 0, 2):
        pass
