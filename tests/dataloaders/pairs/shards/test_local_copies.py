"""The bounded folder of copies: never above its limit, never a wrong byte, whoever is killed."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from unittest import mock

import pytest

from cycleisp.dataloaders.pairs.shards import local_copies
from cycleisp.dataloaders.pairs.shards.local_copies import TOTAL, LocalCopies

SIZE = 1000


def content(key: int) -> bytes:
    return bytes([key]) * SIZE


def getter(copies: LocalCopies, fetched: list[int]) -> Callable[[int], bytes]:
    """Returns a function that gets a key, and notes the keys that had to be fetched."""

    def fetch(key: int) -> bytes:
        fetched.append(key)
        return content(key)

    return lambda key: copies.get(f"shard:{key}", lambda: fetch(key))


def taken(folder: Path) -> int:
    """Returns how many bytes the files of a folder take, but for the two that keep its books."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in (local_copies.LOCK, TOTAL))
    return sum(path.stat().st_size for path in files)


def test_what_was_fetched_once_is_there(tmp_path: Path) -> None:
    fetched: list[int] = []
    for _ in range(2):  # as in two processes
        get = getter(LocalCopies(tmp_path, 10 * SIZE), fetched)
        assert [get(key) for key in range(4)] == [content(key) for key in range(4)]
    assert fetched == [0, 1, 2, 3]


def test_the_limit_holds_and_what_was_used_last_stays(tmp_path: Path) -> None:
    fetched: list[int] = []
    get = getter(LocalCopies(tmp_path, 5 * SIZE + 100), fetched)
    with mock.patch.object(local_copies.os, "utime", side_effect=_ticking()):
        for key in range(40):
            assert get(key) == content(key) and get(0) == content(0)
            assert taken(tmp_path) <= 5 * SIZE + 100
    assert fetched == list(range(40))


def _ticking() -> Callable[[Path], None]:
    """Returns a `utime` that marks every use as later than all before, on any file system."""
    utime, now = os.utime, [2 * 10**18]

    def tick(path: Path) -> None:
        now[0] += 10**9
        utime(path, ns=(now[0], now[0]))

    return tick


def test_a_copy_that_is_larger_than_the_folder_may_be_is_not_kept(tmp_path: Path) -> None:
    for limit in (0, SIZE):
        fetched: list[int] = []
        get = getter(LocalCopies(tmp_path / "none", limit), fetched)
        assert get(1) == get(1) == content(1)
        assert fetched == [1, 1]
        assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("damaged", [b"", b"\1" * (SIZE - 1), b"\2" * (SIZE + 4), bytes(SIZE + 4)])
def test_a_damaged_copy_is_fetched_again(tmp_path: Path, damaged: bytes) -> None:
    fetched: list[int] = []
    get = getter(LocalCopies(tmp_path, 10 * SIZE), fetched)
    get(1)
    (path,) = tmp_path.glob("??/*")
    path.write_bytes(damaged)
    assert get(1) == get(1) == content(1)
    assert fetched == [1, 1]


def test_the_books_are_made_again_where_they_are_lost_or_what_a_killed_process_left(tmp_path: Path) -> None:
    get = getter(LocalCopies(tmp_path, 5 * SIZE), [])
    for key in range(4):
        get(key)
    (next(iter(tmp_path.glob("??"))) / ".cycleisp-0123456789abcdef.part").write_bytes(bytes(4 * SIZE))
    for number, books in enumerate(("", "17", "words\n")):
        (tmp_path / TOTAL).write_text(books)
        get(10 + number)
        assert taken(tmp_path) <= 5 * SIZE
        assert int((tmp_path / TOTAL).read_text()) == taken(tmp_path)


def test_many_readers_at_once_get_right_bytes_and_keep_the_limit(tmp_path: Path) -> None:
    several = [getter(LocalCopies(tmp_path, 7 * SIZE), []) for _ in range(4)]

    def use(number: int) -> bool:
        key = number * 7 % 23
        return several[number % 4](key) == content(key)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(use, range(120)))
    assert taken(tmp_path) <= 7 * SIZE


def test_a_folder_that_cannot_be_written_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_bytes(b"")
    fetched: list[int] = []
    get = getter(LocalCopies(tmp_path / "file" / "folder", 10 * SIZE), fetched)
    assert get(1) == get(1) == content(1)
    assert fetched == [1, 1]
    assert caplog.text.count("copies of remote pairs cannot be written") == 1


def _use_for_ever(folder: Path) -> None:
    get = getter(LocalCopies(folder, 7 * SIZE), [])
    for number in count():
        assert get(number * 7 % 23) == content(number * 7 % 23)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_processes_that_are_killed_leave_whole_copies_within_the_limit(tmp_path: Path) -> None:
    others = [get_context("fork").Process(target=_use_for_ever, args=(tmp_path,)) for _ in range(2)]
    for process in others:
        process.start()
    get = getter(LocalCopies(tmp_path, 7 * SIZE), [])
    for process in others:
        assert all(get(number % 23) == content(number % 23) for number in range(20))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL  # it has found no wrong byte until then
    assert all(get(number) == content(number) for number in range(8))
    assert taken(tmp_path) <= 7 * SIZE
