"""What a file is, by its content: names lie, and cameras write RAW into files called .TIF.

The first bytes tell most formats. TIFF is the structure of photos and of most camera files alike,
so its directories are looked through: a camera file says that its values lie behind a colour
filter, or that it is a DNG.
"""

import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

import rawpy

from cycleisp.utils.errors import UserError
from cycleisp.utils.processes.apart import apart

log = logging.getLogger(__name__)

Kind = Literal["photo", "tiff", "raw", "unknown"]
HEAD = 32  # bytes that tell a format

# Where a mark stands in a file, the mark, and what the file then is.
_MARKS: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"\xff\xd8\xff", "photo"),  # JPEG
    (0, b"\x89PNG\r\n\x1a\n", "photo"),
    (8, b"WEBP", "photo"),
    (0, b"FUJIFILM", "raw"),  # RAF
    (6, b"HEAPCCDR", "raw"),  # CRW
    (0, b"FOVb", "raw"),  # X3F
    (0, b"\0MRM", "raw"),  # MRW
    (0, b"IIU\0", "raw"),  # RW2, RWL, and RAW of Panasonic
    (0, b"IIRO", "raw"),  # ORF
    (0, b"IIRS", "raw"),
    (0, b"MMOR", "raw"),
    (4, b"ftypcrx ", "raw"),  # CR3
    (0, b"ARRI", "raw"),
    (0, b"NOKIARAW", "raw"),
)
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"))
# The first four bytes of TIFF and BigTIFF: byte order, and whether it is a BigTIFF.
_RAW_IN_TIFF = (b"CR\2", b"IIII", b"MMMM")  # at 8, in CR2 and in files of Phase One
_TIFF = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}

# TIFF and DNG tags
_SUBFILE, _WIDTH, _HEIGHT, _PHOTOMETRIC, _MAKE, _SUB_DIRECTORIES, _DNG_VERSION = 254, 256, 257, 262, 271, 330, 50706
_COLOR_FILTER, _LINEAR_RAW = 32803, 34892  # values of PhotometricInterpretation
_SIZES = {1: 1, 3: 2, 4: 4, 13: 4, 16: 8, 18: 8}  # bytes of the integer types that are read
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_THUMBNAIL = 640  # pixels; a photo may be as small
_MOST_DIRECTORIES, _MOST_TAGS = 64, 4096  # a damaged file may claim any number

Directory = dict[int, tuple[int, ...]]  # tag -> its first values; () for those that are not read


def kind_of(path: Path) -> Kind:
    """Tells whether a file is a photo or a camera RAW file, by its content.

    Returns:
        `raw` for a camera file; `photo` for JPEG, PNG, WebP and HEIF; `tiff` for a TIFF that is
        not seen to be a camera file; `unknown` for anything else, and for a file that cannot be
        read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            for place, mark, kind in _MARKS:
                if head[place : place + len(mark)] == mark and (mark != b"WEBP" or head[:4] == b"RIFF"):
                    return kind
            if head[4:8] == b"ftyp" and _HEIF_BRANDS & {head[8:12], *(head[at : at + 4] for at in range(16, HEAD, 4))}:
                return "photo"
            if head[:4] in _TIFF:
                return "raw" if head[8:].startswith(_RAW_IN_TIFF) else _kind_of_tiff(file, path)
    except OSError as error:
        log.debug("%s: cannot be read (%s)", path, error)
    return "unknown"


def _kind_of_tiff(file: BinaryIO, path: Path) -> Kind:
    """Tells whether a TIFF is a photo or a camera file."""
    directories = list(_directories(file))
    if not directories:
        return "unknown"
    for directory in directories:
        if _DNG_VERSION in directory or directory.get(_PHOTOMETRIC, (0,))[:1] in ((_COLOR_FILTER,), (_LINEAR_RAW,)):
            return "raw"
    first = directories[0]
    width, height = (max((*first.get(tag, ()), 0)) for tag in (_WIDTH, _HEIGHT))
    reduced = first.get(_SUBFILE, ())[:1] == (1,)
    thumbnail = reduced or (_MAKE in first and max(width, height) <= _THUMBNAIL)
    if thumbnail and _holds_more(path, width, height):
        return "raw"  # an old camera's file, which begins with its thumbnail and may say no more
    return "tiff"


def _holds_more(path: Path, width: int, height: int) -> bool:
    """Tells whether LibRaw finds a mosaic in the file that is larger than the first picture."""
    try:
        raw_width, raw_height = apart(mosaic_size, path)
    except UserError as error:  # whatever LibRaw says of a file that is none of its own
        log.debug("%s", error)
        return False
    return raw_width > width and raw_height > height


def mosaic_size(path: Path) -> tuple[int, int]:
    """Returns the width and height of a camera file's mosaic.

    Raises:
        LibRawError: it is no camera file.
    """
    with path.open("rb") as file, rawpy.imread(file) as raw:  # not by its name, which may not be UTF-8
        return raw.sizes.raw_width, raw.sizes.raw_height


def _directories(file: BinaryIO) -> Iterator[Directory]:
    """Yields the directories of a TIFF, those below others included, as far as they can be read."""
    file.seek(0)
    order, big = _TIFF[file.read(4)]
    file.seek(8 if big else 4)
    waiting, seen = [_integer(file, order, big)], set[int]()
    while waiting and len(seen) < _MOST_DIRECTORIES:
        place = waiting.pop(0)
        if not place or place in seen:
            continue
        seen.add(place)
        try:
            directory, following = _directory(file, order, big, place)
        except (struct.error, OverflowError, OSError):
            continue  # it points outside of the file
        yield directory
        waiting += [*directory.get(_SUB_DIRECTORIES, ()), following]


def _directory(file: BinaryIO, order: str, big: bool, place: int) -> tuple[Directory, int]:
    """Reads one directory. Returns its tags, and where the next one is, or 0."""
    file.seek(place)
    (count,) = struct.unpack(f"{order}{'Q' if big else 'H'}", file.read(8 if big else 2))
    if count > _MOST_TAGS:
        raise OverflowError(count)
    room = 8 if big else 4  # bytes of an entry's value; longer values lie elsewhere
    size = 4 + 2 * room
    entries = file.read(size * count)
    following = _integer(file, order, big)
    directory: Directory = {}
    for number in range(count):
        entry = entries[number * size : (number + 1) * size]
        tag, code = struct.unpack(f"{order}HH", entry[:4])
        (values,) = struct.unpack(f"{order}{'Q' if big else 'I'}", entry[4 : 4 + room])
        wanted = min(values, _MOST_DIRECTORIES)
        stored = entry[4 + room :]
        if tag not in (_SUBFILE, _WIDTH, _HEIGHT, _PHOTOMETRIC, _SUB_DIRECTORIES) or code not in _SIZES:
            directory[tag] = ()
            continue
        if values * _SIZES[code] > room:
            (where,) = struct.unpack(f"{order}{'Q' if big else 'I'}", stored)
            file.seek(where)
            stored = file.read(wanted * _SIZES[code])
            wanted = min(wanted, len(stored) // _SIZES[code])
        directory[tag] = struct.unpack_from(f"{order}{wanted}{_CODES[code]}", stored)
    return directory, following


def _integer(file: BinaryIO, order: str, big: bool) -> int:
    """Reads an offset; 0 where the file ends."""
    stored = file.read(8 if big else 4)
    return struct.unpack(f"{order}{'Q' if big else 'I'}", stored)[0] if len(stored) == (8 if big else 4) else 0
