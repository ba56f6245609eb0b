"""The frames of one ISO setting as arrays that lie on the disk instead of in memory."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cycleisp.dataloaders.calibration.collection import read_again
from cycleisp.dataloaders.calibration.finding import CalibrationError
from cycleisp.utils.errors import UserError, reason
from cycleisp.utils.raw.calibration.frames import Frame
from cycleisp.utils.raw.calibration.grouping import Placed


@contextmanager
def unpacked(placed: Sequence[Placed], unusable: list[tuple[Path, str]]) -> Iterator[list[Frame]]:
    """Unpacks frames into one temporary file, which vanishes at the end of the block.

    Args:
        placed: frames of one setting, all of one size.
        unusable: gets a file that has changed or vanished since it was looked at, with the reason.

    Yields:
        The frames. Their mosaics are mapped into memory, for reading.

    Raises:
        CalibrationError: the temporary folder is full.
    """
    used: list[Placed] = []
    with tempfile.TemporaryFile() as file:
        for each in placed:
            path = each.header.path
            try:
                header, mosaic = read_again(path)
                if header != each.header:
                    raise UserError(f"{path}: has changed while the frames were read; run the command again")
            except UserError as error:
                unusable.append((path, str(error)))
                continue
            try:
                # Written, a full disk is an error. In memory that is mapped it would be a crash.
                file.write(mosaic.astype(np.uint16).tobytes())
                file.flush()
            except OSError as error:
                raise CalibrationError(
                    f"{tempfile.gettempdir()}: the {len(placed)} frames of ISO {header.iso:g} cannot be unpacked there "
                    f"({reason(error)}); make room, or set TMPDIR to another folder"
                ) from None
            used.append(each)
        if not used:
            yield []
            return
        stack = np.memmap(file, np.uint16, "r", shape=(len(used), *used[0].header.shape))
        yield [_frame(each, stack[number]) for number, each in enumerate(used)]


def _frame(placed: Placed, mosaic: np.ndarray) -> Frame:
    header = placed.header
    return Frame(
        header.path,
        mosaic,
        header.sites,
        header.black,
        header.white,
        header.iso,
        header.exposure,
        placed.kind,
        placed.group,
    )
