"""Loader processes: what ends one ends the run with one error, saved, and nobody is left."""

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from cycleisp.utils.errors import UserError
from cycleisp.utils.processes.reading_now import now_reading
from cycleisp.utils.training.loading import Loader, LoaderError
from tests.support.training import Patches, assert_bit_equal, checkpoint, recipe, trainer

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch looks every five seconds whether its loader processes live; here more often."""
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.2,))


class TwoWordsError(Exception):
    """An error that cannot be unpickled: its constructor wants two arguments."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class Failing(Patches):
    """Patches, at one of which something happens."""

    def __init__(self, kind: str, at: int = 10) -> None:
        super().__init__(24)
        self.kind, self.at = kind, at

    def __getitem__(self, number: int) -> dict[str, Any]:
        if number != self.at or self.kind == "nothing":
            return super().__getitem__(number)
        with now_reading("photos/bad.jpg"):
            if self.kind == "user error":
                raise UserError("photos/bad.jpg: damaged")
            if self.kind == "shared memory":
                raise RuntimeError("unable to resize file </torch_1_2_0> to the right size: No space left on device")
            if self.kind == "unpicklable error":
                raise TwoWordsError("no", "order")
            if self.kind == "memory":
                raise MemoryError
            if self.kind == "gone":
                Path("photos/gone.npy").read_bytes()
            if self.kind == "exit":
                raise SystemExit(7)
            if self.kind == "unpicklable batch":
                return {"srgb": torch.zeros(1), "raw": Unsendable()}
            os.kill(os.getpid(), getattr(signal, self.kind))
        return super().__getitem__(number)


class Unsendable:
    """Something that a loader process cannot send."""

    def __reduce__(self) -> Any:
        raise TypeError("not to be pickled")


def as_they_are(items: list[Any]) -> Any:
    return items[0]


KINDS = {
    "user error": "^photos/bad.jpg: damaged$",
    "shared memory": "no room in shared memory; set train.workers=0",
    "unpicklable error": "TwoWordsError: no order",
    "memory": "does not fit into memory",
    "gone": r"photos/gone\.npy: cannot be read \(No such file",
    "exit": "ended by itself",
    "SIGSEGV": r"^photos/bad\.jpg: the loader process crashed \(SIGSEGV\)",
    "SIGKILL": r"^photos/bad\.jpg: a loader process was killed",
    "SIGBUS": r"^photos/bad\.jpg: the loader process crashed \(SIGBUS\)",
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_end_of_a_loader_process_ends_the_run_which_saves_and_goes_on(
    tmp_path: Path, whole_run: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before = set(multiprocessing.active_children())
    failing = trainer(tmp_path / "parts", recipe(workers=2))
    with pytest.raises(LoaderError, match=KINDS[kind]) as error:
        failing.fit(Failing(kind), Patches(2))
    assert "\n" not in str(error.value)
    assert set(multiprocessing.active_children()) <= before
    assert "Traceback" not in capfd.readouterr().err
    assert checkpoint(tmp_path / "parts")["step"] == failing.step <= 5  # patch 10 belongs to step 5
    assert trainer(tmp_path / "parts", recipe(workers=2)).fit(Patches(24), Patches(2))
    assert_bit_equal(whole_run, tmp_path / "parts")


def test_an_error_without_loader_processes_is_the_same(tmp_path: Path) -> None:
    failing = trainer(tmp_path, recipe())
    with pytest.raises(LoaderError, match=r"^photos/bad\.jpg: damaged$"):
        failing.fit(Failing("user error"), Patches(2))
    assert checkpoint(tmp_path)["step"] == failing.step == 5


def test_a_batch_that_cannot_be_sent_does_not_leave_the_run_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cycleisp.utils.training.loading.default_collate", as_they_are)
    loader = Loader(Failing("unpicklable batch", at=2), [[0], [1], [2], [3]], 1, CPU)
    with pytest.raises(LoaderError, match="a batch cannot be sent"), loader as batches:
        for _ in batches:
            pass


def test_a_photo_that_is_gone_in_validation_saves_the_run(tmp_path: Path) -> None:
    failing = trainer(tmp_path, recipe())
    with pytest.raises(LoaderError, match="damaged"):
        failing.fit(Patches(24), Failing("user error", at=0))
    assert checkpoint(tmp_path)["step"] == 6  # the first validation


def test_a_loader_process_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(Patches):
        def __getitem__(self, number: int) -> dict[str, Tensor]:
            if number == 1:
                time.sleep(600)
            return super().__getitem__(number)

    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.2)
    with Loader(Hanging(8), [[0], [1], [2], [3]], 1, CPU) as batches:
        next(batches)
        (process,) = multiprocessing.active_children()
        time.sleep(0.3)  # it begins with the next patch
    assert process.exitcode == -signal.SIGKILL
    assert not multiprocessing.active_children()


def test_loader_processes_end_with_a_run_that_is_killed() -> None:
    """They ignore SIGTERM, and may wait for a photo for ever."""

    class Slow(Dataset[Any]):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, number: int) -> Tensor:
            pipe.send(os.getpid())
            time.sleep(600)
            return torch.zeros(1)

    def train() -> None:
        with Loader(Slow(), [[0], [1]], 2, CPU) as batches:
            next(batches)

    context = multiprocessing.get_context("fork")
    ours, pipe = context.Pipe(duplex=False)
    run = context.Process(target=train)
    run.start()
    loaders = [ours.recv(), ours.recv()]
    run.kill()
    run.join()
    deadline = time.monotonic() + 20
    while any(map(is_alive, loaders)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, loaders))


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
