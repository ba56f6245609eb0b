"""What a photo's file holds, before its colours become sRGB."""

import logging
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from numpy.typing import NDArray

from cycleisp.utils.errors import UserError
from cycleisp.utils.limits import check_bytes, check_pixels
from cycleisp.utils.output.metadata import PhotoMetadata
from cycleisp.utils.words import printable

log = logging.getLogger(__name__)


class PhotoError(UserError):
    """A photo that cannot be used. The message names the file, the reason, and what to do."""


@dataclass(frozen=True)
class StoredPhoto:
    """The pixels of a file, standing upright, and what the file says about them.

    Attributes:
        pixels: (H, W) grey, (H, W, 3) RGB or (H, W, 4) CMYK; uint8 or uint16.
        metadata: EXIF without orientation, colour profile and colour chunks, as in the file.
        adobe_rgb: whether EXIF says that the colours are Adobe RGB, for want of a profile.
    """

    pixels: NDArray
    metadata: PhotoMetadata = field(default_factory=PhotoMetadata)
    adobe_rgb: bool = False


def check_size(path: Path, height: int, width: int, sample_bytes: int = 1) -> None:
    """Checks the size of a picture of three channels before it is decoded.

    Raises:
        PhotoError: it is larger than the limits, or a pixel high or wide.
    """
    check_pixels(path, height, width, PhotoError)
    check_bytes(path, 3 * height * width * sample_bytes, PhotoError)
    if min(height, width) < 2:
        raise PhotoError(f"{path}: {width}x{height} pixels; a Bayer tile needs at least 2x2; remove it")


@lru_cache(maxsize=4096)
def warn(path: Path, words: str) -> None:
    """Logs a warning about a file, once in a process: training reads its photos again and again."""
    log.warning("%s", printable(f"{path}: {words}"))
