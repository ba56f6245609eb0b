"""Writing of TIFF structures: DNG files, and the EXIF of other files.

Libraries that write TIFF do not write the IFDs of EXIF and GPS, and do not copy tags as bytes. The
tags are those of `utils.raw.dng.tags`, whose values are bytes in the byte order of the file.
"""

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

from cycleisp.utils.raw.dng.tags import EXIF_IFD, GPS_IFD, SUB_IFDS, Tag

BYTE, ASCII, SHORT, LONG, RATIONAL, SRATIONAL = 1, 2, 3, 4, 5, 10
_LETTERS = {BYTE: "B", SHORT: "H", LONG: "I", RATIONAL: "I", SRATIONAL: "i"}
_STRIP_OFFSETS = 273
_HEADER = 8  # bytes
_LARGEST_DENOMINATOR = 1_000_000
_LARGEST_FILE = 1 << 32


def number_tag(byteorder: str, code: int, kind: int, *values: float) -> Tag:
    """Returns a tag of numbers.

    Args:
        byteorder: of the file, "<" or ">".
        code: the tag's number.
        kind: BYTE, SHORT, LONG, RATIONAL or SRATIONAL.
        values: finite numbers. Integers must be in the range of their type; what is beyond the
            range of a rational becomes its end.

    Raises:
        ValueError: a number that cannot be stored.
    """
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"tag {code} takes finite numbers, got {values}")
    rational = kind in (RATIONAL, SRATIONAL)
    parts = [part for value in values for part in _fraction(value, kind == SRATIONAL)] if rational else map(int, values)
    try:
        data = struct.pack(f"{byteorder}{len(values) * (1 + rational)}{_LETTERS[kind]}", *parts)
    except struct.error as error:
        raise ValueError(f"tag {code} cannot hold {values} ({error})") from None
    return Tag(code, kind, len(values), data, byteorder)


def text_tag(byteorder: str, code: int, text: str | bytes) -> Tag:
    """Returns a tag of text."""
    data = (text.encode("utf-8", "replace") if isinstance(text, str) else text).replace(b"\0", b"") + b"\0"
    return Tag(code, ASCII, len(data), data, byteorder)


def encode_ifds(
    byteorder: str,
    ifd0: Iterable[Tag],
    exif: Sequence[Tag] = (),
    gps: Sequence[Tag] = (),
    strip: bytes = b"",
    preview: tuple[Sequence[Tag], bytes] | None = None,
) -> bytes:
    """Encodes a TIFF.

    Args:
        byteorder: "<" or ">", that of all tags.
        ifd0: the tags of the main IFD but those that say where something lies in the file. The
            last one counts where a code occurs twice.
        exif, gps: the tags of the EXIF and GPS IFDs, which are left out where they have none.
        strip: the main picture, in one strip; empty where there is none.
        preview: the tags and the one strip of another picture, whose IFD becomes a SubIFD.

    Raises:
        ValueError: the file would be larger than the 4 GiB that TIFF can count.
    """
    writers: dict[int, Callable[[int], bytes]] = {}  # of what a tag points to, for the place where it will be
    if preview:
        writers[SUB_IFDS] = lambda place: _ifd_and_strip(byteorder, preview[0], preview[1], place)
    for code, tags in ((EXIF_IFD, exif), (GPS_IFD, gps)):
        if tags:
            writers[code] = lambda place, tags=tags: _ifd(byteorder, tags, place)  # type: ignore[misc]
    if strip:
        writers[_STRIP_OFFSETS] = lambda _: strip
    main = [*ifd0, *(number_tag(byteorder, code, LONG, 0) for code in writers)]
    place = _HEADER + len(_ifd(byteorder, main, _HEADER))  # which the values of the pointers do not change
    parts: list[bytes] = []
    for code, write in writers.items():
        main.append(number_tag(byteorder, code, LONG, place))
        parts.append(write(place))
        place += len(parts[-1]) + len(parts[-1]) % 2
        parts[-1] += bytes(len(parts[-1]) % 2)  # IFDs begin at even places
        if place >= _LARGEST_FILE:
            raise ValueError("a TIFF file holds at most 4 GiB")
    head = struct.pack(f"{byteorder}2sHI", b"II" if byteorder == "<" else b"MM", 42, _HEADER)
    return b"".join((head, _ifd(byteorder, main, _HEADER), *parts))


def _ifd_and_strip(byteorder: str, tags: Sequence[Tag], strip: bytes, place: int) -> bytes:
    """Returns an IFD that lies at an offset, and the strip of its picture behind it."""
    behind = place + len(_ifd(byteorder, [*tags, number_tag(byteorder, _STRIP_OFFSETS, LONG, 0)], place))
    return _ifd(byteorder, [*tags, number_tag(byteorder, _STRIP_OFFSETS, LONG, behind)], place) + strip


def _ifd(byteorder: str, tags: Iterable[Tag], offset: int) -> bytes:
    """Returns an IFD that lies at an offset, and behind it the values that are too long for it."""
    by_code = {tag.code: tag for tag in tags}
    entries, values = [], b""
    place = offset + 2 + 12 * len(by_code) + 4
    for code in sorted(by_code):  # as TIFF demands
        tag = by_code[code]
        inside = tag.data.ljust(4, b"\0")
        if len(inside) > 4:
            inside = struct.pack(f"{byteorder}I", place + len(values))
            values += tag.data + bytes(len(tag.data) % 2)
        entries.append(struct.pack(f"{byteorder}HHI", tag.code, tag.type, tag.count) + inside)
    return struct.pack(f"{byteorder}H", len(by_code)) + b"".join(entries) + bytes(4) + values


def _fraction(value: float, signed: bool) -> tuple[int, int]:
    """Returns the numerator and denominator next to a number, of 32 bits each."""
    largest = (1 << 31) - 1 if signed else (1 << 32) - 1
    bounded = min(max(value, -largest if signed else 0), largest)
    # a large number takes a small denominator, so that the numerator has 32 bits
    fraction = Fraction(bounded).limit_denominator(
        max(1, min(_LARGEST_DENOMINATOR, int(largest / max(abs(bounded), 1))))
    )
    return max(min(fraction.numerator, largest), -largest), fraction.denominator
