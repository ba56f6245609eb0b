"""Trials of the readers with damaged files, in a process that is watched, as in apart.py."""

import contextlib
import dataclasses
import io
import os
import time
import traceback
from pathlib import Path
from unittest import mock

import cv2

from cycleisp.utils.errors import UserError
from tests.support.mutation import mutant
from tests.support.readable import benchmarks, folders, photos, training

READABLES = {**photos.READABLES, **folders.READABLES, **training.READABLES, **benchmarks.READABLES}
# This process is one apart already.
SETTINGS = {"CYCLEISP_MAX_PIXELS": str(4 << 20), "CYCLEISP_MAX_BYTES": str(64 << 20), "CYCLEISP_APART": "0"}
MEMORY = 1 << 30  # bytes that a process may take: 16 times the limit of what is read
LONGEST = 20  # seconds for one file


@dataclasses.dataclass
class _Made:
    paths: list[Path]
    contents: list[bytes]


_MADE: dict[str, _Made] = {}


def try_mutants(note: Path, kind: str, seed: int, numbers: range) -> list[str]:
    """Reads damaged files, and says what came of those that were not refused as they should be.

    Args:
        note: a file that always holds the number of the damaged file that is read, for whoever
            waits in vain.
        kind: a key of READABLES.
        seed, numbers: which damaged files.

    Returns:
        One text for each error that is not the project's own, and each file that took too long.
    """
    readable = READABLES[kind]
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        try:
            made = _made(note, kind)
        except Exception:
            return [f"the valid files cannot be read: {traceback.format_exc(limit=-6)}"]
        complaints = []
        for number in numbers:
            note.write_text(str(number))
            path = made.paths[number % len(made.paths)]
            before = path.read_bytes()
            path.write_bytes(mutant(made.contents, seed, number))
            begun = time.monotonic()
            try:
                with mock.patch.dict(os.environ, SETTINGS):
                    readable.read(path)
            except UserError as error:
                if "does not fit into memory" in str(error):
                    complaints.append(f"{number}: took memory before it thought: {error}")
            except Exception:
                complaints.append(f"{number}: {traceback.format_exc(limit=-6)}")
            finally:
                path.write_bytes(before)
            if (seconds := time.monotonic() - begun) > LONGEST:
                complaints.append(f"{number}: took {seconds:.0f} s")
    return complaints


def _made(note: Path, kind: str) -> _Made:
    """Makes the valid files of a kind, once a process, and checks that they can be read."""
    if kind not in _MADE:
        cv2.setNumThreads(1)
        folder = note.parent / f"{kind} of {os.getpid()}"
        folder.mkdir(parents=True)
        with mock.patch.dict(os.environ, SETTINGS):
            paths = list(READABLES[kind].make(folder))
            contents = [path.read_bytes() for path in paths]
            for path in paths:
                READABLES[kind].read(path)
        _MADE[kind] = _Made(paths, contents)
    return _MADE[kind]
