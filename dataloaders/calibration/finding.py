"""The frames of a calibration in the files and folders that a user gives."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from cycleisp.dataloaders.calibration.reading import camera_of
from cycleisp.dataloaders.calibration.sidd_frames import is_sidd_frame
from cycleisp.dataloaders.kinds import kind_of
from cycleisp.utils.errors import UserError
from cycleisp.utils.listing import visible_files
from cycleisp.utils.raw.camera_files import RAW_SUFFIXES
from cycleisp.utils.raw.dng.tags import read_tiff_tags
from cycleisp.utils.words import printable

log = logging.getLogger(__name__)


class CalibrationError(UserError):
    """Frames that do not exist or do not suffice. The message says what to take or give."""


class NothingMeasuredError(CalibrationError):
    """Frames from which no ISO setting can be measured. The message has a line for each reason."""

    is_list = True


def find_frames(inputs: Iterable[Path | str]) -> list[Path]:
    """Returns the camera files, and noisy RAW of SIDD, among some files and folders, sorted.

    Folders are searched at all depths, but for hidden files. A file that is named itself is taken
    whatever it is called.

    Raises:
        CalibrationError: an input does not exist, or a folder holds no frame.
    """
    found: dict[Path, Path] = {}
    for item in map(Path, inputs):
        if item.is_dir():
            files = list(visible_files(item))
            frames = [file for file in files if _is_frame(file)]
            if not frames:
                raise CalibrationError(
                    f"{item}: no camera RAW file in this folder; give the folder with the frames as the camera has "
                    "written them"
                )
            if others := len(files) - len(frames):
                log.info("%s", printable(f"{item}: {others} other {'file' if others == 1 else 'files'} ignored"))
        elif item.exists():
            frames = [item]
        else:
            raise CalibrationError(f"{item}: no such file or folder")
        found |= {path.absolute(): path for path in frames}
    return [found[place] for place in sorted(found)]


def of_one_camera(paths: Sequence[Path]) -> tuple[str, list[Path], list[tuple[Path, str]]]:
    """Returns the camera that took most of some files, its files, and the others with the reason.

    The camera is that of the files' tags, and "" where they have none.
    """
    cameras = [_camera(path) for path in paths]
    most, _ = Counter(cameras).most_common(1)[0]
    kept = [path for path, camera in zip(paths, cameras, strict=True) if camera == most]
    words = "was taken by {}, most pictures by {}; calibrate one camera at a time"
    others = [
        (path, words.format(camera or "an unknown camera", most or "an unknown one"))
        for path, camera in zip(paths, cameras, strict=True)
        if camera != most
    ]
    return most, kept, others


def _camera(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return camera_of(read_tiff_tags(file))
    except OSError:
        return ""


def _is_frame(path: Path) -> bool:
    suffix = path.suffix.lower()
    return suffix in RAW_SUFFIXES or is_sidd_frame(path) or (not suffix and kind_of(path) == "raw")
