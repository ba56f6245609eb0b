"""Opens camera files with LibRaw: checks before anything is unpacked, words for what is refused."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rawpy

from cycleisp.utils.errors import reading
from cycleisp.utils.limits import check_pixels
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_metadata import RawFileError
from cycleisp.utils.raw.dng.tags import DngTags, missing_bytes, read_tags

_PHOTOMETRIC, _SAMPLES, _LINEAR_RAW = 262, 277, 34892
_MOST_PIXELS_A_BYTE = 1100  # deflate, the tightest code in DNG, has at most about 1030 bytes a byte
_FOVEON = b"FOVb"
_ANY_FILE = 65536  # pixels that a file of any size may have


@contextmanager
def opened(path: Path) -> Iterator[tuple[rawpy.RawPy, DngTags | None]]:
    """Opens and unpacks a Bayer file.

    Yields:
        LibRaw's view of the file, and the tags of a DNG; None of any other file.

    Raises:
        RawFileError: the file is missing, damaged, cut off, too large, or no Bayer mosaic. Whatever
            goes wrong inside of the block becomes this error.
    """
    if not path.is_file():
        raise RawFileError(f"{path}: no such file")
    with reading(path, RawFileError):
        _check_length(path)
        tags = read_tags(path)
        try:
            with rawpy.RawPy() as raw:
                _open(raw, path)
                _check_size(raw, path)
                if raw.num_colors == 1:
                    raise RawFileError(
                        f"{path}: expected a Bayer mosaic, this file is monochrome (one value per photosite, "
                        "without a colour filter); denoise a picture that is developed from it"
                    )
                raw.unpack()
                _check_sensor(raw, tags, path)
                yield raw, tags
        except rawpy.LibRawError as error:
            words = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
            raise RawFileError(f"{path}: LibRaw cannot read it ({words}); get it again or remove it") from None


def pattern_of(raw: rawpy.RawPy, path: Path) -> str:
    """Returns the Bayer tile at the top-left pixel of the visible mosaic.

    Raises:
        RawFileError: the tile is none of red, green and blue.
    """
    letters = "".join(chr(raw.color_desc[index]) for index in np.asarray(raw.raw_pattern).flatten())
    if letters not in bayer.PATTERNS:
        raise RawFileError(f"{path}: its colour filter reads {letters}, expected one of {', '.join(bayer.PATTERNS)}")
    return letters


def _open(raw: rawpy.RawPy, path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError:  # rawpy takes names in UTF-8 only
        raw.open_buffer(io.BytesIO(path.read_bytes()))
    else:
        raw.open_file(str(path))


def _check_length(path: Path) -> None:
    """Refuses a file that ends before its picture does, of which LibRaw would make grey in part."""
    missing = missing_bytes(path)
    if missing:
        words = f"{missing:,} bytes are missing at its end"
        raise RawFileError(f"{path}: LibRaw cannot read it as a whole ({words}); get it again or remove it")


def _check_size(raw: rawpy.RawPy, path: Path) -> None:
    """Compares the size that the file claims with the limits, and with what the file can hold."""
    height, width = raw.sizes.raw_height, raw.sizes.raw_width
    check_pixels(path, height, width, RawFileError)
    stored = path.stat().st_size
    if height * width > max(_ANY_FILE, stored * _MOST_PIXELS_A_BYTE):
        raise RawFileError(
            f"{path}: claims {width}x{height} pixels, more than its {stored:,} bytes can hold; get it again or "
            "remove it"
        )


def _check_sensor(raw: rawpy.RawPy, tags: DngTags | None, path: Path) -> None:
    """Refuses what is no Bayer mosaic, by its name."""
    if raw.raw_type != rawpy.RawType.Flat:
        raise RawFileError(
            f"{path}: expected one value per photosite, this file stores whole colours ({_kind(tags, path)}); "
            "denoise a picture that is developed from it"
        )
    shape = None if raw.raw_pattern is None else raw.raw_pattern.shape
    if shape == (2, 2):
        return
    if shape is None or shape == (1, 1):
        found = "none that LibRaw knows"
    elif shape == (6, 6):
        found = "X-Trans (6x6): its colours do not fit into the four planes that the RAW networks are trained on"
    else:
        found = f"one that repeats every {shape[0]}x{shape[1]} pixels"
    advice = "denoise a picture that is developed from it"
    raise RawFileError(f"{path}: expected a Bayer sensor (2x2), this one has another colour filter: {found}; {advice}")


def _kind(tags: DngTags | None, path: Path) -> str:
    """Returns what kind of whole colours a file stores."""
    with path.open("rb") as file:
        if file.read(4) == _FOVEON:
            return "a Foveon sensor"
    if tags is None:
        return "a reduced RAW, as sRAW, mRAW and sNEF, or a sensor of several layers"
    photometric = next(iter(tags.raw[_PHOTOMETRIC].numbers), 0) if _PHOTOMETRIC in tags.raw else 0
    return "LinearRaw, a DNG that is demosaicked already" if photometric == _LINEAR_RAW else "no mosaic in this DNG"
