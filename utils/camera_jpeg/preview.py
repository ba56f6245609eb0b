"""The camera's own JPEG of a RAW file: the one inside of the file, and those beside it."""

from pathlib import Path

import rawpy

from cycleisp.utils.raw.camera_metadata import RawFileError
from cycleisp.utils.raw.libraw_files import opened

SUFFIXES = (".jpg", ".JPG", ".jpeg", ".JPEG", ".Jpg")


def embedded_jpeg(path: Path) -> bytes:
    """Returns the JPEG inside of a camera file, the largest one that LibRaw knows of.

    LibRaw puts EXIF data of its own before a JPEG that has none.

    Raises:
        RawFileError: the file cannot be read, or holds no JPEG.
    """
    with opened(path) as (raw, _):
        try:
            preview = raw.extract_thumb()
        except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
            raise RawFileError(f"{path}: has no JPEG inside") from None
    if preview.format != rawpy.ThumbFormat.JPEG:
        raise RawFileError(f"{path}: has a small uncompressed preview inside, no JPEG")
    return bytes(preview.data)


def jpegs_beside(path: Path) -> list[Path]:
    """Returns the JPEG files of the same folder and stem, as cameras write them beside RAW."""
    found: list[Path] = []
    for suffix in SUFFIXES:
        other = path.with_suffix(suffix)
        # a folder without upper and lower case shows one file under several names
        if other.is_file() and not any(other.samefile(known) for known in found):
            found.append(other)
    return found
