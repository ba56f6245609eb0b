"""Processes of one run that must not outlive the process that started them."""

import ctypes
import os
import signal
import sys
import threading
import time

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>
LONGEST_SAVING = 120  # seconds that an orphan has to save what it has


def die_with_parent(parent: int) -> None:
    """Lets the kernel kill this process when its parent ends, however that ends. Linux only.

    Elsewhere it does nothing.

    Args:
        parent: the process that started this one. If it has ended already, this process ends now.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def stop_when_orphaned(every: float = 1.0) -> None:
    """Asks this process to stop (SIGTERM) when its parent ends, as when torchrun is killed.

    A process that has not ended two minutes later is killed. One whose parent has ended before this
    call, while PyTorch was imported, ends at once: it has begun nothing. Only the processes of
    torchrun are watched, since a run in a shell may go on when the shell is closed.

    Args:
        every: seconds between two looks.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return
    parent = _parent
    if os.getppid() != parent:
        os._exit(128 + signal.SIGTERM)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(LONGEST_SAVING)
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

    threading.Thread(target=watch, name="watch_parent", daemon=True).start()


def _note_parent() -> None:
    global _parent
    _parent = os.getppid()


# Noted as early as possible: the parent of an orphan is another one, which lives on
_parent = os.getppid()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_parent)
