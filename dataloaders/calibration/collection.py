"""All frames of a calibration: looked at one after the other, and sorted."""

from collections.abc import Sequence
from pathlib import Path

from numpy.typing import NDArray

from cycleisp.dataloaders.calibration.reading import read_levels, read_look
from cycleisp.dataloaders.calibration.sidd_frames import is_sidd_frame, read_sidd_levels, read_sidd_look
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.processes.apart import apart
from cycleisp.utils.raw.calibration.grouping import Sorting, sort_frames
from cycleisp.utils.raw.calibration.looks import Header, Look


def collect_frames(paths: Sequence[Path]) -> Sorting:
    """Looks at every file, and sorts what can be used.

    A file that cannot be read is named with the reason, as every other one that cannot be used.
    """
    looks: list[Look] = []
    unreadable: list[tuple[Path, str]] = []
    with progress_bar(total=len(paths), desc="reading", unit="frame") as bar:
        for path in paths:
            try:
                looks.append(apart(read_sidd_look if is_sidd_frame(path) else read_look, path))
            except UserError as error:
                unreadable.append((path, str(error)))
                bar.set_postfix(unusable=len(unreadable))
            bar.update()
    sorting = sort_frames(looks)
    sorting.unusable = sorted([*unreadable, *sorting.unusable])
    return sorting


def read_again(path: Path) -> tuple[Header, NDArray]:
    """Reads the mosaic of a frame that was looked at. Raises UserError as the readers do."""
    return apart(read_sidd_levels if is_sidd_frame(path) else read_levels, path)
