"""The other side of apart.py: the process that reads, and the messages between the two.

It imports what readers need, and no more, since each process begins with these imports.
"""

import contextlib
import logging
import logging.handlers
import math
import os
import pickle
import queue
import signal
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from cycleisp.utils.errors import UserError, reading, reason

OURS = "CYCLEISP_"  # how our environment variables begin
_PATIENCE = 10  # seconds beyond those that the parent waits, after which it must be gone

# A message is a pickle, with the memory of its arrays behind it, so that no array is copied more
# often than the pipe does.
_HEAD = struct.Struct("<QQ")  # bytes of the pickle, number of arrays; the arrays' sizes follow


def send(pipe: IO[bytes], message: object) -> None:
    """Writes a message. What cannot be pickled is an error before a byte is written."""
    arrays: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(message, protocol=5, buffer_callback=arrays.append)
    raw = [array.raw() for array in arrays]
    pipe.write(_HEAD.pack(len(pickled), len(raw)) + struct.pack(f"<{len(raw)}Q", *(view.nbytes for view in raw)))
    pipe.write(pickled)
    for view in raw:
        pipe.write(view)
    pipe.flush()


def receive(pipe: IO[bytes]) -> tuple[memoryview, list[memoryview]]:
    """Returns the pickle of a message and the memory of its arrays, for `pickle.loads`."""
    size, count = _HEAD.unpack(_read(pipe, _HEAD.size))
    sizes = struct.unpack(f"<{count}Q", _read(pipe, 8 * count))
    return _read(pipe, size), [_read(pipe, each) for each in sizes]


def _read(pipe: IO[bytes], size: int) -> memoryview:
    content = memoryview(bytearray(size))
    done = 0
    while done < size:
        count = pipe.readinto(content[done:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        done += count
    return content


# ------------------------------------------------------------ the process


def serve() -> None:
    """Answers calls until the parent is gone. It is what the process of a reader runs."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)  # the parent decides, and takes this process along
    calls, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what a library prints does not come between the answers
    arrived: queue.SimpleQueue[tuple[memoryview, list[memoryview]]] = queue.SimpleQueue()

    def listen() -> None:
        """Takes calls while a reader works, so that the end of the parent is seen at once."""
        try:
            while True:
                arrived.put(receive(calls))
        finally:
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    records = _Records()
    logging.getLogger().addHandler(records)
    try:
        while True:
            pickled, arrays = arrived.get()
            send(answers, "begun")
            answer = _answer(pickled, arrays)
            try:
                send(answers, (*answer, records.taken()))
            except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:  # before a byte is sent
                path = pickle.loads(pickled, buffers=arrays)[1][0]
                send(answers, (None, UserError(f"{path}: its content cannot be passed on ({reason(error)})"), []))
            del pickled, arrays, answer  # not kept until the next call: it may be a large photo
    finally:
        os._exit(1)


def _answer(pickled: memoryview, arrays: list[memoryview]) -> tuple[Any, Exception | None]:
    """Calls the function, and returns its result or its error."""
    path = ""
    try:
        call, (path, seconds, memory), surroundings = pickle.loads(pickled, buffers=arrays)
        _become(*surroundings)
        if hasattr(signal, "alarm"):  # it ends this process even inside of a decoder that never returns
            signal.alarm(math.ceil(seconds) + _PATIENCE)
        function, args, options = pickle.loads(call)  # which imports the function's module
        with reading(path), _memory(memory):
            return function(*args, **options), None
    except Exception as error:
        return None, error
    finally:
        if hasattr(signal, "alarm"):
            signal.alarm(0)


def _become(variables: dict[str, str], folder: str, levels: dict[str, int]) -> None:
    for name in [name for name in os.environ if name.startswith(OURS) and name not in variables]:
        del os.environ[name]
    os.environ.update(variables)
    with contextlib.suppress(OSError):
        os.chdir(folder)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def _memory(more: int) -> Iterator[None]:
    """Limits how much memory the process may take beyond what it has, where that is possible."""
    try:
        import resource  # not on Windows

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no file behind
        present = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()  # data and stack
    except (ImportError, OSError):
        yield
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = present + more if hard == resource.RLIM_INFINITY else min(present + more, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


class _Records(logging.handlers.QueueHandler):
    """Collects what is logged during a call. Tracebacks, which cannot be sent, become text."""

    def __init__(self) -> None:
        self.records: list[logging.LogRecord] = []
        super().__init__(self.records)  # type: ignore[arg-type]

    def enqueue(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def taken(self) -> list[logging.LogRecord]:
        """Returns the records, and forgets them."""
        records, self.records = self.records, []
        return records
