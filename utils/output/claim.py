"""The claim of a run on its folder, so that two runs never write into one."""

import getpass
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from cycleisp.utils.errors import UserError, reason
from cycleisp.utils.output.files import STALE, remove_temporary_files

LOCK, HOLDER = ".cycleisp.lock", ".cycleisp.holder"


@contextmanager
def claimed(folder: Path, option: str = "--output", shared: bool = False) -> Iterator[None]:
    """Holds a folder for this process while the block runs.

    The claim is a lock of the operating system on a file of the folder. It dies with the process,
    so that a killed run leaves no claim behind. Temporary files of killed runs are removed.

    Args:
        folder: the folder, which is made as needed.
        option: the option of the script that names the folder.
        shared: whether this process speaks for several of one run (torchrun), which may have begun
            to write. Then only old temporary files are removed.

    Raises:
        UserError: another process holds the folder, and the message says which; or the folder
            cannot be written.
    """
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        (folder / HOLDER).write_text(json.dumps(_this_process()), encoding="utf-8")
    except Timeout:
        raise UserError(
            f"{folder}: another run writes there{_holder(folder)}; wait for it or stop it, or give another {option}"
        ) from None
    except OSError as error:
        lock.release()
        raise UserError(f"{folder}: cannot be written ({reason(error)}); give another {option}") from None
    try:
        remove_temporary_files(folder, older_than=STALE if shared else 0)
        yield
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def _this_process() -> dict[str, object]:
    return {"process": os.getpid(), "host": socket.gethostname(), "user": _user()}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # containers have users without a name
        return "unknown"


def _holder(folder: Path) -> str:
    """Returns who holds the folder, in words; nothing where that is not to be found out."""
    try:
        holder = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f", process {int(holder['process'])} of {holder['user']!s:.40} on {holder['host']!s:.80}"
    except (OSError, ValueError, TypeError, KeyError):
        return ""
