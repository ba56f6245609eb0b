"""What SIDD's servers take: a MATLAB file and the CSV that is live today, written and checked.

SubmitSrgb.mat    DenoisedBlocksSrgb: a 40 x 32 cell array of blocks; SubmitRaw.mat likewise
                  TimeMPSrgb: seconds a megapixel
                  OptionalData: a struct with the names of method and authors
SubmitSrgb.csv    header ID,BLOCK; SubmitRaw.csv likewise
                  ID: scene * 32 + block
                  BLOCK: base64 of the block's bytes in C order, uint8 or float32
"""

import base64
import binascii
import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.matlab.loading import load_variables
from cycleisp.dataloaders.matlab.v5 import cell_order, write_cells
from cycleisp.dataloaders.protocols import SIDD_GRID
from cycleisp.dataloaders.sidd.files import IN_NAMES, block_dtype, block_name, block_shape
from cycleisp.dataloaders.sidd.scenes import BLOCKS, SCENES
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from cycleisp.utils.output.files import atomic_path

OPTIONAL = {"MethodName": "CycleISP", "Authors": "", "PaperTitle": "", "Venue": ""}
_SHOWN = 10  # problems in a message

ReadBlock = Callable[[int], NDArray]  # a block's number, which is scene * 32 + block -> the block


class SubmissionError(UserError):
    """A submission that the server would not take. The message lists what is wrong."""

    is_list = True


def submission_names(space: Space) -> tuple[str, str]:
    """Returns the file names of the MATLAB and of the CSV form."""
    return f"Submit{IN_NAMES[space]}.mat", f"Submit{IN_NAMES[space]}.csv"


# ---------------------------------------------------------------- writing


def write_matlab(path: Path, space: Space, read_block: ReadBlock, seconds_per_megapixel: float) -> None:
    """Writes the MATLAB form, holding one block at a time."""
    cells = (read_block(scene * BLOCKS + block) for scene, block in cell_order(SIDD_GRID))
    others = {f"TimeMP{IN_NAMES[space]}": float(seconds_per_megapixel), "OptionalData": OPTIONAL}
    write_cells(path, f"DenoisedBlocks{IN_NAMES[space]}", SIDD_GRID, cells, others)


def write_csv(path: Path, read_block: ReadBlock) -> None:
    """Writes the CSV form, holding one block at a time."""
    with atomic_path(path) as aside, aside.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("ID", "BLOCK"))
        for index in range(SCENES * BLOCKS):
            block = read_block(index)
            content = np.ascontiguousarray(block, block.dtype.newbyteorder("<")).tobytes()
            writer.writerow((index, base64.b64encode(content).decode("ascii")))


# ---------------------------------------------------------------- checking


def validate_submission(path: Path, expected: ReadBlock | None = None) -> str:
    """Checks a submission file, whoever made it, and returns a sentence that says what it holds.

    Args:
        path: SubmitRaw.mat, SubmitSrgb.mat or a CSV.
        expected: the blocks that it should hold; None checks their form alone.

    Raises:
        SubmissionError: the server would refuse the file, or it holds other blocks than expected.
            The message lists all problems.
    """
    if not path.is_file():
        raise SubmissionError(f"{path}: no such file")
    total = SCENES * BLOCKS
    problems: list[str] = []
    count = 0
    try:
        space, blocks = (_matlab_blocks if path.suffix.lower() == ".mat" else _csv_blocks)(path)
        for index, block in blocks:
            count += 1
            if index >= total:
                continue
            problem = _problem(block, space) if isinstance(block, np.ndarray) else block
            if problem is None and expected is not None and not np.array_equal(np.asarray(block), expected(index)):
                problem = "is not the block that was denoised: the order is wrong, or the file is of another run"
            problems += [f"block {block_name(index)}: {problem}"] if problem else []
    except (OSError, csv.Error) as error:
        raise SubmissionError(f"{path}: cannot be read ({error})") from None
    if count != total:
        problems.append(f"expected {total} blocks, got {count}")
    if problems:
        more = f"\n  and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise SubmissionError(
            f"{path}: would not be taken:" + "".join(f"\n  {line}" for line in problems[:_SHOWN]) + more
        )
    return f"{path}: {count} blocks of {block_shape(space)} {block_dtype(space)}, in order"


def _problem(block: NDArray, space: Space) -> str | None:
    shape, dtype = block_shape(space), block_dtype(space)
    if block.shape != shape or block.dtype != dtype:
        return f"expected {shape} {dtype}, got {block.shape} {block.dtype}"
    if space == "raw" and not (block.min() >= 0 and block.max() <= 1):  # NaN is neither
        return f"expected values in [0, 1], got {block.min():g}..{block.max():g}"
    return None


def _matlab_blocks(path: Path) -> tuple[Space, Iterator[tuple[int, NDArray | str]]]:
    try:
        content = load_variables(path)
    except UserError as error:
        words = str(error).removeprefix(f"{path}: ")
        raise SubmissionError(f"{path}: not a whole MATLAB file ({words})") from None
    if all(name.startswith("__") or not name for name in content):  # what old versions of scipy find in zeros
        raise SubmissionError(f"{path}: not a whole MATLAB file (it holds no variable)")
    present = [space for space in IN_NAMES if f"DenoisedBlocks{IN_NAMES[space]}" in content]
    if len(present) != 1:
        raise SubmissionError(f"{path}: expected one of DenoisedBlocksRaw and DenoisedBlocksSrgb, got {len(present)}")
    (space,) = present
    kind = IN_NAMES[space]
    cells = content[f"DenoisedBlocks{kind}"]
    if cells.dtype != object or cells.shape != SIDD_GRID:
        raise SubmissionError(f"{path}: expected a {SIDD_GRID} cell array, got {cells.shape} of {cells.dtype}")
    time: Any = content.get(f"TimeMP{kind}")
    if np.size(time) != 1 or np.asarray(time).dtype.kind not in "fiu" or not 0 <= np.asarray(time).item() < np.inf:
        raise SubmissionError(f"{path}: TimeMP{kind}: expected seconds a megapixel, got {time}")
    lacking = sorted(set(OPTIONAL) - set(np.asarray(content.get("OptionalData")).dtype.names or ()))
    if lacking:
        raise SubmissionError(f"{path}: OptionalData: expected a struct, it lacks {', '.join(lacking)}")
    return space, ((index, cells[block_name(index)]) for index in range(cells.size))


def _csv_blocks(path: Path) -> tuple[Space, Iterator[tuple[int, NDArray | str]]]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    sizes = {int(np.prod(block_shape(space))) * block_dtype(space).itemsize: space for space in IN_NAMES}
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.reader(file)
        header, first = next(reader, []), next(reader, [])
    if header != ["ID", "BLOCK"]:
        raise SubmissionError(f"{path}: expected the header ID,BLOCK, got {','.join(header)[:60]!r}")
    content = _decoded(first[1]) if len(first) == 2 else None
    if content is None or len(content) not in sizes:
        raise SubmissionError(f"{path}: the first block is neither {' nor '.join(map(str, sizes))} bytes in base64")
    space = sizes[len(content)]
    return space, _csv_rows(path, space)


def _csv_rows(path: Path, space: Space) -> Iterator[tuple[int, NDArray | str]]:
    dtype, shape = block_dtype(space).newbyteorder("<"), block_shape(space)
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.reader(file)
        next(reader)
        for index, row in enumerate(filter(None, reader)):  # the rows that are not blank
            if len(row) != 2 or row[0] != str(index):
                yield index, f"expected the row {index},BLOCK, got {','.join(row)[:60]!r}"
                continue
            content = _decoded(row[1])
            if content is None or len(content) != int(np.prod(shape)) * dtype.itemsize:
                yield index, "is no base64 of the right length"
                continue
            yield index, np.frombuffer(content, dtype).reshape(shape).astype(block_dtype(space))


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
