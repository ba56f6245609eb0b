"""Readers in processes of their own, so that a file that ends its decoder costs that file alone.

Decoders of other people's formats are C code. On a damaged file they may crash, hang, or ask for
all the memory there is, which no `except` can mend. `apart` calls a reader in another process,
which stays for the next file. If that process ends or gives no answer, the caller gets one error
of the file, and the next call starts a new process.

    photo = apart(read_photo, path)

The processes import no PyTorch, and import nothing of the user's script, so that notebooks and
scripts without `if __name__ == "__main__"` work. They ignore Ctrl-C: the parent decides. They end
with their parent, however that ends. The environment variable CYCLEISP_APART=0 calls every reader
in the calling process instead, for a debugger.
"""

import atexit
import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cycleisp.utils.errors import UserError, reading, reason
from cycleisp.utils.limits import READ_BYTES, READ_SECONDS, limit
from cycleisp.utils.processes.reader_process import OURS, receive, send, serve

SWITCH = f"{OURS}APART"
log = logging.getLogger(__name__)
Result = TypeVar("Result")


def apart(
    function: Callable[..., Result], *args: Any, seconds: float | None = None, memory: int | None = None, **options: Any
) -> Result:
    """Calls a function that reads a file in another process, and returns its result.

    Args:
        function: a function that can be imported by its name. It and its module are imported there.
        args, options: its arguments. The first path among them names the file in errors.
        seconds: how long to wait; None takes READ_SECONDS.
        memory: how many bytes the call may add to the memory of its process; None takes
            READ_BYTES. (It holds where the operating system has such limits.)

    Raises:
        UserError: the function has raised it; or it has raised any other `Exception`, as in
            `reading`; or its process has ended or gave no answer in time. The message names the
            file.
    """
    path = next((each for each in args if isinstance(each, (str, Path))), "")
    if os.environ.get(SWITCH) == "0":
        with reading(path):
            return function(*args, **options)
    seconds, memory = seconds or limit(READ_SECONDS), memory or limit(READ_BYTES)
    call = pickle.dumps((function, args, options), protocol=5)
    message = (call, (path, seconds, memory), _surroundings())
    try:
        result, error, records = _asked(message, seconds)
    except _EndedError as ended:
        raise UserError(f"{path}: {ended}") from None
    for record in records:
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)
    if error is not None:
        raise error
    return result


def end_readers() -> None:
    """Ends the processes at once. Calls that wait for an answer get a UserError."""
    _READERS.end()


class _EndedError(Exception):
    """The process gave no answer. The message says what happened, without the file's name."""


class _NotBegunError(Exception):
    """The process ended before it had the call: the file has no part in it."""


def _asked(message: tuple[Any, ...], seconds: float) -> Any:
    """Sends a call to a process that is idle, or to a new one, and returns the answer."""
    while True:
        try:
            reader = _READERS.take()
        except OSError as error:
            raise _EndedError(_no_reader(reason(error))) from None
        is_new = not reader.has_served
        try:
            return reader.ask(message, seconds)
        except _NotBegunError as error:
            if is_new:
                raise _EndedError(_no_reader(str(error))) from None
            # it was killed while it was idle, as by the system for want of memory
        finally:
            _READERS.put_back(reader)


class _Reader:
    """One process that reads, and the pipes to it."""

    def __init__(self) -> None:
        # The parent's search path: -c alone would begin with the present folder, whose files may
        # be named as libraries are.
        start = f"import sys; sys.path[:] = {sys.path!r}; from {serve.__module__} import serve; serve()"
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        chatty = log.isEnabledFor(logging.DEBUG)  # what C libraries print names no file
        self.process = subprocess.Popen(
            [sys.executable, "-c", start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if chatty else subprocess.DEVNULL,
            env={**os.environ, **threads},
            start_new_session=True,  # Ctrl-C in the terminal does not reach it before it can ignore it
        )
        self.has_served, self.is_idle = False, True

    def ask(self, call: tuple[Any, ...], seconds: float) -> Any:
        """Sends a call and returns the answer. Raises _EndedError if there is none."""
        self.is_idle = False
        too_late = threading.Event()

        def stop() -> None:
            too_late.set()
            self.process.kill()

        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()
        has_begun = False
        try:
            assert self.process.stdin and self.process.stdout
            send(self.process.stdin, call)
            receive(self.process.stdout)
            has_begun = True
            pickled, arrays = receive(self.process.stdout)
        except (EOFError, BrokenPipeError):
            status = self.process.wait()
            if not has_begun and not too_late.is_set():
                raise _NotBegunError(f"exit status {status}") from None
            raise _EndedError(_in_words(status, seconds if too_late.is_set() else None)) from None
        finally:
            timer.cancel()
        self.has_served, self.is_idle = True, True
        return pickle.loads(pickled, buffers=arrays)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError, ValueError):
                pipe.close()  # type: ignore[union-attr]


class _Readers:
    """All the processes: as many as there were calls at the same time."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # a signal handler may end all while its thread takes one
        self.idle: list[_Reader] = []
        self.busy: set[_Reader] = set()

    def take(self) -> _Reader:
        with self.lock:
            reader = self.idle.pop() if self.idle else _Reader()
            self.busy.add(reader)
            return reader

    def put_back(self, reader: _Reader) -> None:
        """Keeps a process for the next call, or ends one that has not answered."""
        with self.lock:
            self.busy.discard(reader)
            if reader.is_idle:
                self.idle.append(reader)
                return
        reader.end()

    def end(self) -> None:
        with self.lock:
            idle, self.idle = self.idle, []
            for reader in self.busy:
                reader.process.kill()  # its caller closes it
        for reader in idle:
            reader.end()


_READERS = _Readers()
atexit.register(end_readers)


def _forget() -> None:
    """Leaves the processes of the parent to the parent, in a fork of it."""
    global _READERS
    _READERS = _Readers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _surroundings() -> tuple[dict[str, str], str, dict[str, int]]:
    """Returns what readers see of their process: our environment variables, folder, log levels."""
    ours = {name: value for name, value in os.environ.items() if name.startswith(OURS)}
    return ours, str(Path.cwd()), {name: logging.getLogger(name).level for name in ("", "cycleisp")}


def _no_reader(why: str) -> str:
    return f"no process can be started to read it ({why}); set the environment variable {SWITCH}=0 to go without"


def _in_words(status: int, seconds: float | None) -> str:
    if seconds is not None:
        return (
            f"no answer of its reader in {seconds:g} s, so it was left; get it again or remove it, or set the "
            f"environment variable {READ_SECONDS} higher"
        )
    if status == -signal.SIGKILL:
        return "its reader was killed, most often because memory ran out; make it smaller, or read fewer at a time"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else f"exit status {status}"
    return f"is damaged, or of another kind than expected (its reader crashed: {name}); get it again or remove it"
