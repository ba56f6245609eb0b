"""Damaged files of every kind: the project's own error or a result, and nothing else.

200 files of each kind by default; CYCLEISP_MUTATIONS=10000 tries more. docs/reliability.md has the
figures of a long run.
"""

import os
from pathlib import Path

import pytest

from cycleisp.utils.errors import UserError
from cycleisp.utils.processes.apart import apart
from tests.support.mutation import mutant
from tests.support.trials import LONGEST, MEMORY, READABLES, try_mutants

COUNT = int(os.environ.get("CYCLEISP_MUTATIONS", "200"))
BATCH = 100
SEED = 17
# Their decoders are C code, which the scripts call in a process apart: a crash costs the file.
READ_APART = {"JPEG", "JPEG in CMYK", "WebP", "AVIF", "HEIC", "DNG", "DND submission", "SIDD submission"}
READ_APART |= {kind for kind in READABLES if kind.startswith(("PNG", "TIFF", "BigTIFF"))}


@pytest.mark.parametrize("kind", READABLES)
def test_damaged_files_are_refused_in_the_projects_words(kind: str, tmp_path: Path) -> None:
    note, complaints, crashes = tmp_path / "number", list[str](), list[str]()
    number = 0
    while number < COUNT:
        numbers = range(number, min(number + BATCH, COUNT))
        try:
            complaints += apart(try_mutants, note, kind, SEED, numbers, seconds=LONGEST + len(numbers), memory=MEMORY)
            number = numbers.stop
        except UserError as ended:  # the process, not a file
            number = int(note.read_text()) + 1
            crashes.append(f"{number - 1}: {ended}")
        assert not any("valid files" in complaint for complaint in complaints), complaints[0]
    if kind in READ_APART:
        complaints += [crash for crash in crashes if "crashed" not in crash]
    else:
        complaints += crashes
    assert not complaints, "\n".join([f"{len(complaints)} of {COUNT}", *complaints[:10]])


def test_the_same_number_makes_the_same_damage() -> None:
    files = [bytes(range(200)), b"{}" * 50]
    first, second = ([mutant(files, 1, number) for number in range(300)] for _ in range(2))
    assert first == second
    assert len(set(first)) > 280 and len({len(damaged) for damaged in first}) > 50
