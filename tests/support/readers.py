"""Readers that behave as decoders do on their worst files, and one that behaves well.

They import nothing that takes time, since other processes import this module.
"""

import ctypes
import logging
import os
import re
import time
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.errors import UserError

log = logging.getLogger(__name__)


def process_of(path: Path) -> int:
    """Returns the process that reads."""
    return os.getpid()


def ramp(path: Path, height: int, width: int, columns_first: bool = False) -> NDArray[np.uint16]:
    """Returns numbers in their order."""
    numbers = np.arange(height * width, dtype=np.uint16).reshape(height, width)
    return np.asfortranarray(numbers) if columns_first else numbers


def sums(path: Path, arrays: list[NDArray]) -> list[float]:
    """Returns the sum of each array."""
    return [float(array.sum()) for array in arrays]


def crash(path: Path) -> None:
    """Reads memory that is not there."""
    ctypes.string_at(0)


def leave(path: Path) -> None:
    """Ends the process as a library's assertion does."""
    os.abort()


def hang(path: Path) -> None:
    """Keeps the interpreter to itself, so that no other thread of the process goes on."""
    re.match(r"(a+)+$", "a" * 60 + "b")


def sleep(path: Path) -> None:
    """Writes which process it is to a file, and waits."""
    path.write_text(str(os.getpid()))
    time.sleep(60)


def take_all_memory(path: Path) -> None:
    """Allocates without end."""
    taken = []
    while True:
        taken.append(np.ones(64 << 20, np.uint8))


def refuse(path: Path) -> None:
    """Finds a fault that it knows."""
    raise UserError(f"{path}: is not what it should be; remove it")


def stumble(path: Path) -> None:
    """Meets what its author did not think of."""
    raise OverflowError("Python integer 300 out of bounds for uint8")


def unsendable(path: Path) -> object:
    """Returns what cannot be sent to another process."""
    return lambda: path


def whisper(path: Path) -> None:
    """Says something that matters, and something that does not; and prints."""
    log.warning("%s: is strange", path)
    log.debug("%s: is very strange", path)
    warnings.warn("of a library", stacklevel=2)
    print("printed")
    os.write(1, b"printed by C\n")


def variable(path: Path) -> tuple[str, str]:
    """Returns an environment variable and the present folder."""
    return os.environ.get("CYCLEISP_TRIED", ""), str(Path.cwd())
