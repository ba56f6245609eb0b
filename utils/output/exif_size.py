"""The size of a picture in its EXIF data, which must be that of the pixels beside them."""

import struct

_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_EXIF_IFD, _SHORT, _LONG = 34665, 3, 4
_WIDTHS, _HEIGHTS = (256, 40962), (257, 40963)  # ImageWidth, PixelXDimension; ImageLength, PixelYDimension


def with_size(exif: bytes, width: int, height: int) -> bytes:
    """Returns EXIF data that say this size wherever they say one.

    The numbers are replaced in their places: the notes of makers may refer to places in the data,
    and would be lost if the data were written anew.

    Args:
        exif: TIFF structure without the prefix of JPEG. Damaged data are returned as they are.
        width, height: of the picture, in pixels.
    """
    content = bytearray(exif)
    try:
        order = _BYTE_ORDERS[bytes(content[:4])]
        (main,) = struct.unpack_from(f"{order}I", content, 4)
        inner = _replace(content, order, main, width, height)
        if inner:
            _replace(content, order, inner, width, height)
    except (KeyError, struct.error):
        return exif
    return bytes(content)


def _replace(content: bytearray, order: str, place: int, width: int, height: int) -> int:
    """Replaces the size in one directory, and returns where the directory of EXIF is, or 0."""
    inner = 0
    (count,) = struct.unpack_from(f"{order}H", content, place)
    for entry in range(place + 2, place + 2 + 12 * count, 12):
        code, kind, values = struct.unpack_from(f"{order}HHI", content, entry)
        if code == _EXIF_IFD and kind == _LONG:
            (inner,) = struct.unpack_from(f"{order}I", content, entry + 8)
        if code in (*_WIDTHS, *_HEIGHTS) and kind in (_SHORT, _LONG) and values == 1:
            size = width if code in _WIDTHS else height
            if kind == _SHORT and size < 1 << 16:
                struct.pack_into(f"{order}HH", content, entry + 8, size, 0)
            else:
                struct.pack_into(f"{order}HII", content, entry + 2, _LONG, 1, size)
    return inner
