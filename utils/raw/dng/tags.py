"""The tags of a DNG file: the main IFD, the IFD of the full-resolution raw picture, EXIF and GPS.

LibRaw tells the picture and the most common tags. The others, such as the NoiseProfile, black
levels of many sites and opcodes, are read here, in whichever IFD they are: Adobe's converter keeps
the preview in IFD 0 and the raw picture in a SubIFD, phones keep the raw picture in IFD 0.

Values stay bytes as they are in the file, so that they can be copied. A damaged file may claim
anything, so numbers of IFDs, tags and bytes are bounded.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

DNG_VERSION, SUB_IFDS, EXIF_IFD, GPS_IFD = 50706, 330, 34665, 34853
_SUBFILE_TYPE, _WIDTH, _HEIGHT, _PHOTOMETRIC = 254, 256, 257, 262
_RAW_PHOTOMETRICS = 32803, 34892  # colour filter array, LinearRaw
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}  # bytes of a TIFF type
_LETTERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I"}
_RATIONALS = {5: "I", 10: "i"}
_MOST_BYTES_A_PIXEL = 16  # of three colours in 32 bits, with room; some old cameras state absurd lengths
_MOST_IFDS, _MOST_TAGS, _MOST_BYTES = 64, 4096, 1 << 26  # of a file, of an IFD, of a tag


@dataclass(frozen=True)
class Tag:
    """One tag as it is in the file.

    Attributes:
        code: the tag's number.
        type: TIFF's number of the type of its values: 1 BYTE, 2 ASCII, 3 SHORT, 4 LONG, 5 RATIONAL,
            ...
        count: the number of values.
        data: the values' bytes, in the file's byte order.
        byteorder: "<" little-endian, ">" big-endian.
    """

    code: int
    type: int
    count: int
    data: bytes = field(repr=False)
    byteorder: str

    @property
    def numbers(self) -> tuple[float, ...]:
        """Returns the values as numbers.

        Rationals become quotients, with NaN where the denominator is 0. Text and undefined bytes
        have no numbers.
        """
        if self.type in _LETTERS:
            return struct.unpack(f"{self.byteorder}{self.count}{_LETTERS[self.type]}", self.data)
        if self.type in _RATIONALS:
            parts = struct.unpack(f"{self.byteorder}{2 * self.count}{_RATIONALS[self.type]}", self.data)
            pairs = zip(parts[::2], parts[1::2], strict=True)
            return tuple(above / below if below else float("nan") for above, below in pairs)
        return ()

    @property
    def text(self) -> str:
        """Returns the bytes up to the first zero as text; bytes that are not UTF-8 are replaced."""
        return self.data.split(b"\0")[0].decode("utf-8", "replace")

    def little_endian(self) -> bytes:
        """Returns the values' bytes in little-endian order."""
        size = 4 if self.type in _RATIONALS else _SIZES[self.type]
        if self.byteorder == "<" or size == 1:
            return self.data
        return b"".join(self.data[start : start + size][::-1] for start in range(0, len(self.data), size))


Ifd = Mapping[int, Tag]


@dataclass(frozen=True)
class DngTags:
    """The tags of a DNG file, by code.

    Attributes:
        byteorder: of the file, "<" or ">".
        ifd0: of the main IFD.
        raw: of the IFD with the full-resolution raw picture, which may be `ifd0`.
        exif, gps: of the EXIF and GPS IFDs; empty where absent.
    """

    byteorder: str
    ifd0: Ifd
    raw: Ifd
    exif: Ifd
    gps: Ifd

    def find(self, code: int) -> Tag | None:
        """Returns a tag of the raw IFD or, where it is not there, of IFD 0; None where absent."""
        return self.raw.get(code, self.ifd0.get(code))


def read_tags(path: Path) -> DngTags | None:
    """Reads the tags of a DNG file.

    Tags that point outside of the file, or that are absurdly large, are left out.

    Returns:
        The tags, or None where the file is no DNG (by its content, whatever its name) or is too
        damaged to tell.
    """
    try:
        with path.open("rb") as file:
            tags = _read(file)
        return tags if tags is not None and DNG_VERSION in tags.ifd0 else None
    except Exception:  # damaged bytes can make a parser stumble anywhere
        return None


def missing_bytes(path: Path) -> int:
    """Returns how many bytes of its raw picture a camera file lacks, as it is cut off.

    The strips or tiles say where the picture is: in a DNG, and in the files of cameras that have
    TIFF's structure (ARW, NEF, PEF and others). Of any other file nothing is known, which gives 0.
    """
    try:
        with path.open("rb") as file:
            reader = _Reader(file)
            ends = [_end(ifd) for ifd in _raw_ifds(list(reader.tree()))]
            return max(0, max(ends, default=0) - reader.size)
    except Exception:  # damaged bytes can make a parser stumble anywhere
        return 0


def read_tiff_tags(file: BinaryIO) -> DngTags | None:
    """Reads the tags of any file of TIFF's structure, such as ARW, CR2 and NEF files, or EXIF.

    Args:
        file: at its start.

    Returns:
        The tags, or None where the file is no TIFF or is too damaged to tell.
    """
    try:
        return _read(file)
    except Exception:  # damaged bytes can make a parser stumble anywhere
        return None


def _read(file: BinaryIO) -> DngTags | None:
    reader = _Reader(file)
    ifds = list(reader.tree())
    if not ifds:
        return None
    main = ifds[0]
    exif, gps = (reader.ifd(int(_number(main, code)))[0] for code in (EXIF_IFD, GPS_IFD))
    raw = max(_raw_ifds(ifds), key=lambda ifd: _number(ifd, _WIDTH) * _number(ifd, _HEIGHT), default=main)
    return DngTags(reader.byteorder, main, raw, exif, gps)


def _raw_ifds(ifds: Sequence[Ifd]) -> list[Ifd]:
    """Returns the IFDs of raw pictures in full resolution."""
    return [ifd for ifd in ifds if _number(ifd, _PHOTOMETRIC) in _RAW_PHOTOMETRICS and not _number(ifd, _SUBFILE_TYPE)]


def _end(ifd: Ifd) -> int:
    """Returns where the last strip or tile of a picture ends; 0 where that is unknown or absurd."""
    ends = [0.0]
    for offsets, counts in ((273, 279), (324, 325)):
        if offsets in ifd and counts in ifd:
            places, lengths = ifd[offsets].numbers, ifd[counts].numbers
            if sum(lengths) <= _MOST_BYTES_A_PIXEL * _number(ifd, _WIDTH) * _number(ifd, _HEIGHT):
                ends += [place + length for place, length in zip(places, lengths, strict=False)]
    return int(max(ends))


def _number(ifd: Ifd, code: int) -> float:
    """Returns the first number of a tag, or 0 where there is none."""
    return next(iter(ifd[code].numbers), 0) if code in ifd else 0


class _Reader:
    """Reads the IFDs of a TIFF. Raises ValueError where the file is none."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        head = file.read(8)
        self.byteorder = {b"II*\0": "<", b"MM\0*": ">"}.get(head[:4], "")
        if not self.byteorder:
            raise ValueError("no TIFF")
        (self.first,) = struct.unpack(f"{self.byteorder}I", head[4:])
        self.size = file.seek(0, 2)
        self.budget = self.size  # bytes of all values: each byte of a sound file belongs to one tag at most
        self.seen: set[int] = set()

    def tree(self) -> Iterator[dict[int, Tag]]:
        """Yields the first IFD, those that follow it, and all of their SubIFDs."""
        waiting = [self.first]
        while waiting and len(self.seen) < _MOST_IFDS:
            ifd, following = self.ifd(waiting.pop(0))
            if ifd:
                inside = ifd[SUB_IFDS].numbers if SUB_IFDS in ifd else ()
                waiting += [*map(int, inside), following]
                yield ifd

    def ifd(self, offset: int) -> tuple[dict[int, Tag], int]:
        """Returns the IFD at an offset, and the offset of the next one, which is 0 at the end.

        The IFD is empty where there is none, or where it was read before.
        """
        if not 8 <= offset <= self.size - 6 or offset in self.seen:
            return {}, 0
        self.seen.add(offset)
        self.file.seek(offset)
        (count,) = struct.unpack(f"{self.byteorder}H", self.file.read(2))
        entries = self.file.read(12 * min(count, _MOST_TAGS))
        tail = self.file.read(4) if count <= _MOST_TAGS else b""
        tags = (self._tag(entries[start : start + 12]) for start in range(0, len(entries) - 11, 12))
        following = struct.unpack(f"{self.byteorder}I", tail)[0] if len(tail) == 4 else 0
        return {tag.code: tag for tag in tags if tag is not None}, following

    def _tag(self, entry: bytes) -> Tag | None:
        code, kind, count = struct.unpack(f"{self.byteorder}HHI", entry[:8])
        length = count * _SIZES.get(kind, 0)
        if not 0 < length <= min(_MOST_BYTES, self.budget):
            return None
        data = entry[8 : 8 + length]
        if length > 4:
            (offset,) = struct.unpack(f"{self.byteorder}I", entry[8:])
            if offset + length > self.size:
                return None
            self.budget -= length
            self.file.seek(offset)
            data = self.file.read(length)
        return Tag(code, kind, count, data, self.byteorder) if len(data) == length else None
