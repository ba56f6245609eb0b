"""When a camera file was taken."""

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import rawpy
import tifffile

log = logging.getLogger(__name__)
_DATE_TAGS = 36867, 306  # DateTimeOriginal, DateTime
_FIRST_YEAR = 1990  # a file without date has that of 1970 for LibRaw; no digital camera is older than this


def taken_at(path: Path) -> datetime | None:
    """Returns the date and time of a camera file, by the camera's clock; None where it has none."""
    for read in (_by_libraw, _by_tiff_tags):
        try:
            time = read(path)
        except Exception:  # a date is never worth a file
            log.debug("%s: date cannot be read", path, exc_info=True)
            continue
        if time is not None and time.year >= _FIRST_YEAR:
            return time.replace(tzinfo=None)
    return None


def _by_libraw(path: Path) -> datetime | None:
    with rawpy.imread(str(path)) as raw:
        return raw.other.timestamp


def _by_tiff_tags(path: Path) -> datetime | None:
    with tifffile.TiffFile(path) as tiff:
        tags: Any = tiff.pages[0].tags  # type: ignore[union-attr]
        exif = tags["ExifTag"].value if "ExifTag" in tags else {}
        texts = [exif.get("DateTimeOriginal"), *(tags[code].value for code in _DATE_TAGS if code in tags)]
    text = next((text for text in texts if text), None)
    return None if text is None else datetime.strptime(str(text)[:19], "%Y:%m:%d %H:%M:%S")
