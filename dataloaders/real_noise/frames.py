"""Real noise from several frames of one scene, as camera RAW.

DIR/<folder>/*.dng, *.arw, ...    two or more aligned frames of one scene
"""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray

from cycleisp.dataloaders.photos import width_x_height
from cycleisp.dataloaders.real_noise.sources import ResidualError, ResidualSource, Window, middle_tiles, whole_tiles
from cycleisp.utils.errors import UserError
from cycleisp.utils.processes.apart import apart
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import RawImage, read_raw

log = logging.getLogger(__name__)

_CHECKED = 1024  # pixels of a side of the part whose alignment is checked
_BLOCK = 8  # values of a side of a block of one plane
_STRUCTURE = 16  # white noise has 1, row noise as strong as it about 5, moved edges up to 64


class NoRoomError(UserError):
    """The temporary folder is full, which ends the run: the other sources would fail likewise."""


@dataclass(frozen=True)
class FrameSource(ResidualSource):
    """Aligned frames of one scene, y_1 ... y_n, of signal s and noise of variance v.

    The clean image is the mean of the frames. Frame i minus the mean m of the n - 1 others has the
    variance v + v / (n - 1) = v * n / (n - 1).
    The residual is therefore sqrt((n - 1) / n) * (y_i - m), of variance v. Of two frames, it is
    their difference / sqrt(2). The mean M of all frames has y_i - M = (n - 1) / n * (y_i - m), so
    that the same residual is sqrt(n / (n - 1)) * (y_i - M). What is equal in all frames, such as
    fixed pattern noise, cancels.

    Attributes:
        frames: (n + 1, H, W), memory-mapped; the last one is the mean.
    """

    frames: NDArray[np.float32] = field(repr=False)

    @property
    def choices(self) -> int:
        """Returns the number of frames."""
        return len(self.files)

    def read_clean(self, window: Window) -> NDArray[np.float32]:
        """Reads the mean of the frames."""
        return np.array(self.frames[-1][window])

    def read_residual(self, window: Window, choice: int) -> NDArray[np.float32]:
        """Reads the residual of the frame `choice`."""
        scale = np.float32(np.sqrt(self.choices / (self.choices - 1)))
        return scale * (self.frames[choice][window] - self.frames[-1][window])


def open_frames(name: str, files: Sequence[Path]) -> FrameSource:
    """Unpacks the frames of one scene into a temporary file, which vanishes with the process.

    Values below black and above white are kept as far as the files have them: dark frames need both
    halves of their noise. A frame that cannot be read is left out with a warning.

    Raises:
        ResidualError: fewer than two frames can be read, or they differ in size, pattern, ISO or
            scene.
        NoRoomError: the temporary folder is full.
    """
    if len(files) < 2:
        raise ResidualError(f"{files[0]}: a single camera RAW file; noise is told from two or more frames of a scene")
    problems: list[str] = []
    used: list[Path] = []
    first: RawImage | None = None
    total = np.zeros(0)
    with _temporary_file(files[0].parent) as unpacked:
        for path in files:
            try:
                image = apart(read_raw, path, clip=False)
            except UserError as error:
                problems.append(str(error))
                continue
            if first is None:
                first, total = image, np.zeros(image.mosaic.shape)
            _check_equal(path, image, (used or [path])[0], first)
            # Written, a full disk is an error. In a memory-mapped file it would be a crash.
            unpacked.write(image.mosaic.tobytes())
            total += image.mosaic
            used.append(path)
        if first is None or len(used) < 2:
            raise ResidualError(
                f"{problems[0]}; {len(used)} of the {len(files)} frames in its folder can be read, expected two or more"
            )
        unpacked.write((total / len(used)).astype(np.float32).tobytes())
        unpacked.flush()
        frames = np.memmap(unpacked, np.float32, "r", shape=(len(used) + 1, *total.shape))
    height, width = first.mosaic.shape
    rows, columns = whole_tiles(used[0], height, width, first.pattern)
    levels = first.plane_noise
    problem = "" if levels else f"{used[0]}: has no NoiseProfile that can be used"
    source = FrameSource(name, tuple(used), first.pattern, rows, columns, levels, problem, frames)
    _check_alignment(source)
    for words in problems:
        log.warning("a frame is left out: %s", words)
    return source


@contextmanager
def _temporary_file(folder: Path) -> Iterator[IO[bytes]]:
    """Opens a temporary file for the frames of a folder. Raises NoRoomError if it cannot grow."""
    try:
        with tempfile.TemporaryFile() as unpacked:
            yield unpacked
    except OSError as error:
        raise NoRoomError(
            f"{tempfile.gettempdir()}: the frames of {folder} cannot be unpacked there ({error.strerror}); "
            "make room, or set TMPDIR to another folder"
        ) from None


def _check_equal(path: Path, image: RawImage, first_path: Path, first: RawImage) -> None:
    """Refuses a frame that differs from the first one in size, pattern or ISO."""
    for what, value, expected in (
        ("pixels", width_x_height(image.mosaic.shape), width_x_height(first.mosaic.shape)),
        ("Bayer pattern", image.pattern, first.pattern),
        ("ISO", image.iso, first.iso),
    ):
        if value != expected:
            raise ResidualError(f"{path}: {what} {value}, {first_path.name} has {expected}; no frames of one scene")


def _check_alignment(source: FrameSource) -> None:
    """Refuses frames that differ by more than noise, since the camera or the subject has moved.

    Means over blocks of k values have a variance k times smaller if the values are independent, as
    noise nearly is. Those of a picture, such as the edges in residuals of moved frames, do not.
    """
    window = middle_tiles(source.rows, _CHECKED), middle_tiles(source.columns, _CHECKED)
    for choice, path in enumerate(source.files):
        planes = bayer.pack(torch.from_numpy(source.read_residual(window, choice))[None]).double()
        if not planes.any():
            raise ResidualError(f"{path}: no noise; its frames are copies of one")
        if min(planes.shape[1:]) < 4 * _BLOCK:
            continue
        means = torch.nn.functional.avg_pool2d(planes, _BLOCK)
        structure = float(_BLOCK**2 * means.var(dim=(1, 2)).mean() / planes.var(dim=(1, 2)).mean())
        if structure > _STRUCTURE:
            raise ResidualError(
                f"{path}: differs from the other frames in its folder by more than noise (structure {structure:.0f}, "
                f"expected 1 to {_STRUCTURE}); put scenes into folders of their own, use a tripod and steady light"
            )
