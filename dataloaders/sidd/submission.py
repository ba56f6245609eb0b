"""What SIDD's servers take: a MATLAB cell file, and the CSV that is live today; written, read back and checked.

MATLAB: `DenoisedBlocksRaw` or `DenoisedBlocksSrgb`, a 40 x 32 cell array of blocks, with `TimeMPRaw` or `TimeMPSrgb`,
seconds a megapixel, and the struct `OptionalData`. CSV: header ID,BLOCK; ID = scene * 32 + block; BLOCK = base64 of the
block's bytes in C order, uint8 or float32.
"""

import base64
import binascii
import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import scipy.io
from numpy.typing import NDArray

from cycleisp.dataloaders import protocols
from cycleisp.dataloaders.protocols import SIDD_GRID
from cycleisp.dataloaders.sidd.matlab import cell_order, write_cells
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from cycleisp.utils.output.files import written_aside

OPTIONAL = {"MethodName": "CycleISP", "Authors": "", "PaperTitle": "", "Venue": ""}
_SHOWN = 10  # problems in a message
_KIND: dict[Space, str] = {"raw": "Raw", "srgb": "Srgb"}
_DTYPE: dict[Space, np.dtype] = {"raw": np.dtype(np.float32), "srgb": np.dtype(np.uint8)}

ReadBlock = Callable[[int], NDArray]  # number scene * 32 + block -> block


class SubmissionError(UserError):
    """A submission that the server would not take; the message lists what is wrong."""


def submission_names(space: Space) -> tuple[str, str]:
    """File names of the MATLAB and the CSV form."""
    return f"Submit{_KIND[space]}.mat", f"Submit{_KIND[space]}.csv"


def block_shape(space: Space) -> tuple[int, ...]:
    """Of one denoised block: (256, 256, 3), or (256, 256) of RAW."""
    side = protocols.SIDD_SIDE
    return (side, side, 3) if space == "srgb" else (side, side)


# ---------------------------------------------------------------- writing


def write_matlab(path: Path, space: Space, read_block: ReadBlock, seconds_per_megapixel: float) -> None:
    """Write the MATLAB form, holding one block at a time."""
    cells = (read_block(scene * SIDD_GRID[1] + block) for scene, block in cell_order(SIDD_GRID))
    others = {f"TimeMP{_KIND[space]}": float(seconds_per_megapixel), "OptionalData": OPTIONAL}
    write_cells(path, f"DenoisedBlocks{_KIND[space]}", SIDD_GRID, cells, others)


def write_csv(path: Path, read_block: ReadBlock) -> None:
    """Write the CSV form, holding one block at a time."""
    with written_aside(path) as aside, aside.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("ID", "BLOCK"))
        for index in range(SIDD_GRID[0] * SIDD_GRID[1]):
            block = read_block(index)
            content = np.ascontiguousarray(block, block.dtype.newbyteorder("<")).tobytes()
            writer.writerow((index, base64.b64encode(content).decode("ascii")))


# ---------------------------------------------------------------- checking


def validate_submission(path: Path, expected: ReadBlock | None = None) -> str:
    """Check a submission file, whoever made it; gives back what was found, in a sentence.

    Args:
        path: SubmitRaw.mat, SubmitSrgb.mat or a CSV.
        expected: the blocks that it should hold; None checks their form alone.

    Raises:
        SubmissionError: anything the server would refuse, or blocks that are not the expected ones; all problems
            together.
    """
    if not path.is_file():
        raise SubmissionError(f"{path}: no such file")
    total = SIDD_GRID[0] * SIDD_GRID[1]
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
            problems += [f"block {divmod(index, SIDD_GRID[1])}: {problem}"] if problem else []
    except (OSError, csv.Error) as error:
        raise SubmissionError(f"{path}: cannot be read ({error})") from None
    if count != total:
        problems.append(f"expected {total} blocks, got {count}")
    if problems:
        more = f"\n  and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise SubmissionError(
            f"{path}: would not be taken:" + "".join(f"\n  {line}" for line in problems[:_SHOWN]) + more
        )
    return f"{path}: {count} blocks of {block_shape(space)} {_DTYPE[space]}, in order"


def _problem(block: NDArray, space: Space) -> str | None:
    shape, dtype = block_shape(space), _DTYPE[space]
    if block.shape != shape or block.dtype != dtype:
        return f"expected {shape} {dtype}, got {block.shape} {block.dtype}"
    if space == "raw" and not (block.min() >= 0 and block.max() <= 1):  # NaN is neither
        return f"expected values in [0, 1], got {block.min():g}..{block.max():g}"
    return None


def _matlab_blocks(path: Path) -> tuple[Space, Iterator[tuple[int, NDArray | str]]]:
    try:
        content = scipy.io.loadmat(path)
    except Exception as error:  # scipy raises whatever a damaged file leads it to
        raise SubmissionError(f"{path}: not a whole MATLAB file ({error})") from None
    present = [space for space in _KIND if f"DenoisedBlocks{_KIND[space]}" in content]
    if len(present) != 1:
        raise SubmissionError(f"{path}: expected one of DenoisedBlocksRaw and DenoisedBlocksSrgb, got {len(present)}")
    space: Space = "raw" if present == ["raw"] else "srgb"
    cells = content[f"DenoisedBlocks{_KIND[space]}"]
    if cells.dtype != object or cells.shape != SIDD_GRID:
        raise SubmissionError(f"{path}: expected a {SIDD_GRID} cell array, got {cells.shape} of {cells.dtype}")
    time = content.get(f"TimeMP{_KIND[space]}")
    if np.size(time) != 1 or np.asarray(time).dtype.kind not in "fiu" or not 0 <= np.asarray(time).item() < np.inf:
        raise SubmissionError(f"{path}: TimeMP{_KIND[space]}: expected seconds a megapixel, got {time}")
    lacking = sorted(set(OPTIONAL) - set(np.asarray(content.get("OptionalData")).dtype.names or ()))
    if lacking:
        raise SubmissionError(f"{path}: OptionalData: expected a struct, it lacks {', '.join(lacking)}")
    return space, ((index, cells[divmod(index, SIDD_GRID[1])]) for index in range(cells.size))


def _csv_blocks(path: Path) -> tuple[Space, Iterator[tuple[int, NDArray | str]]]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    spaces: tuple[Space, ...] = ("raw", "srgb")
    sizes = {int(np.prod(block_shape(space))) * _DTYPE[space].itemsize: space for space in spaces}
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
    dtype, shape = _DTYPE[space].newbyteorder("<"), block_shape(space)
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
            yield index, np.frombuffer(content, dtype).reshape(shape).astype(_DTYPE[space])


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
