"""MATLAB 5 files larger than memory: arrays mapped from disk, cell arrays written cell by cell.

scipy reads and writes whole variables, and SIDD has some of 250 to 340 MB. The memory used here
does not grow with their size. The format is described in MathWorks, "MAT-File Format", level 5.
"""

import io
import logging
import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from cycleisp.utils.errors import UserError, reason
from cycleisp.utils.limits import check_bytes
from cycleisp.utils.output.files import atomic_path

log = logging.getLogger(__name__)
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMERIC_CLASSES = range(6, 16)  # double, single, 8 to 64 bit integers
_CELL, _SINGLE, _UINT8 = 1, 7, 9
_WRITTEN = {np.dtype(np.float32): (_SINGLE, 7), np.dtype(np.uint8): (_UINT8, 2)}  # class, data type
_HEADER = 128
_CHUNK = 1 << 20
_MOST_INFLATED = 1032  # the most bytes that deflate makes of one
_LARGEST = 2**32 - 1  # bytes; the length of an element is stored in 32 bits


class MatlabError(UserError):
    """A MATLAB file that cannot be used. The message names the file and the reason."""


class _Reader(Protocol):
    def read(self, count: int, /) -> bytes: ...


class _Inflated:
    """A reader of the bytes of a compressed element, from the first to the last."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file, self._left, self._inflate = file, length, zlib.decompressobj()

    def read(self, count: int, /) -> bytes:
        parts: list[bytes] = []
        while count:
            compressed = self._inflate.unconsumed_tail
            if not compressed and self._left:
                compressed = self._file.read(min(_CHUNK, self._left))
                self._left -= len(compressed)
            part = self._inflate.decompress(compressed, count) if compressed else b""
            if not part and (not compressed or self._inflate.eof):
                break
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def check_end(self) -> None:
        """Reads what is left, a few bytes of padding, and with them the checksum."""
        while self.read(_CHUNK):
            pass
        if not self._inflate.eof:
            raise EOFError("it ends early")


@dataclass(frozen=True)
class _Numbers:
    """The head of a numeric variable, read by a reader that then stands where its values begin.

    `small` holds the values where they are so few that they lie inside of the element's tag.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    nbytes: int
    small: bytes | None


def open_array(path: Path, name: str, unpacked: Path) -> NDArray:
    """Returns a numeric variable of a MATLAB 5 file as a read-only array that is mapped from disk.

    The array has MATLAB's (column-major) order. Its type is that of the stored values: MATLAB
    stores whole numbers as small integers, whatever their class.

    Args:
        path: the file.
        name: of the variable.
        unpacked: the file that gets the values of a compressed variable, and keeps them. If a file
            of their size is already there, it is used. An uncompressed variable is mapped in place.

    Raises:
        MatlabError: there is no such file, or it is not MATLAB 5, damaged, or has no numeric
            variable of that name.
    """
    try:
        with path.open("rb") as file:
            return _open_array(file, path, name, unpacked)
    except MatlabError:
        raise
    except OSError as error:
        raise MatlabError(f"{path}: cannot be read ({reason(error)})") from None
    except Exception as error:  # damaged bytes can make a parser stumble anywhere
        log.debug("%s: cannot be read", path, exc_info=True)
        raise MatlabError(f"{path}: not a whole MATLAB 5 file ({reason(error)}); get it again") from None


def _open_array(file: BinaryIO, path: Path, name: str, unpacked: Path) -> NDArray:
    header = file.read(_HEADER)
    if header[:8] == b"\x89HDF\r\n\x1a\n" or header[:10] == b"MATLAB 7.3":
        raise MatlabError(
            f"{path}: is a v7.3 file, a MATLAB 5 one is expected here; get the original, or save it as -v7"
        )
    if header[126:128] not in (b"IM", b"MI"):
        raise MatlabError(f"{path}: is no MATLAB 5 file; get it again")
    order = "<" if header[126:128] == b"IM" else ">"
    size = path.stat().st_size
    found: list[str] = []
    while tag := file.read(8):
        kind, length = struct.unpack(order + "II", tag)
        begin = file.tell()
        if begin + length > size:
            raise EOFError("it ends early")
        packed = kind == _COMPRESSED
        reader: _Reader = _Inflated(file, length) if packed else file
        if packed:
            kind, _ = struct.unpack(order + "II", reader.read(8))
        numbers = _read_numbers(reader, order) if kind == _MATRIX else None
        if numbers is not None and numbers.name == name:
            if numbers.small is not None or numbers.nbytes == 0:
                return np.frombuffer(numbers.small or b"", numbers.dtype).reshape(numbers.shape, order="F")
            check_bytes(path, numbers.nbytes, MatlabError)
            if isinstance(reader, _Inflated):
                if numbers.nbytes > _MOST_INFLATED * length:
                    raise EOFError(f"{name} claims {numbers.nbytes:,} bytes, {length:,} are stored")
                _unpack(reader, numbers.nbytes, unpacked)
                return np.memmap(unpacked, numbers.dtype, "r", 0, numbers.shape, "F")
            if file.tell() + numbers.nbytes > begin + length:
                raise EOFError("it ends early")
            return np.memmap(path, numbers.dtype, "r", file.tell(), numbers.shape, "F")
        found += [numbers.name] if numbers is not None else []
        file.seek(begin + length)
    raise MatlabError(f"{path}: holds no array {name} of real numbers; it has {', '.join(found) or 'none'}")


def _read_numbers(reader: _Reader, order: str) -> _Numbers | None:
    """Reads the head of a matrix. Returns None if it does not hold real numbers."""
    flags = struct.unpack(order + "II", _element(reader, order))[0]
    shape = _element(reader, order)
    name = _element(reader, order).decode("ascii")
    kind, complex_numbers = flags & 0xFF, bool(flags & 0x0800)
    if kind not in _NUMERIC_CLASSES or complex_numbers:
        return None
    stored, length, small = _tag(reader, order)
    if stored not in _STORED:
        raise ValueError(f"variable {name} is stored as type {stored}")
    dims = tuple(int(side) for side in np.frombuffer(shape, order + "i4"))
    dtype = np.dtype(order + _STORED[stored])
    if min(dims, default=0) < 0 or length != math.prod(dims) * dtype.itemsize:
        raise ValueError(f"variable {name} of {dims} has {length} bytes")
    return _Numbers(name, dims, dtype, length, small)


def _tag(reader: _Reader, order: str) -> tuple[int, int, bytes | None]:
    """Reads an element's type and length, and its data if they are small and lie in the tag."""
    head = _exactly(reader, 8)
    kind, length = struct.unpack(order + "II", head)
    if kind >> 16:
        return kind & 0xFFFF, kind >> 16, head[4 : 4 + (kind >> 16)]
    return kind, length, None


def _element(reader: _Reader, order: str) -> bytes:
    _, length, small = _tag(reader, order)
    if small is not None:
        return small
    if length > _CHUNK:
        raise ValueError(f"a head of {length} bytes")
    return _exactly(reader, length + -length % 8)[:length]


def _exactly(reader: _Reader, count: int) -> bytes:
    content = reader.read(count)
    if len(content) != count:
        raise EOFError("it ends early")
    return content


def _unpack(reader: _Inflated, nbytes: int, target: Path) -> None:
    if target.is_file() and target.stat().st_size == nbytes:
        return
    try:
        with atomic_path(target) as aside, aside.open("wb") as file:
            while nbytes:
                file.write(_exactly(reader, min(_CHUNK, nbytes)))
                nbytes -= min(_CHUNK, nbytes)
            reader.check_end()
    except OSError as error:
        raise MatlabError(f"{target}: cannot be written ({error.strerror})") from None


# ---------------------------------------------------------------- writing


def write_cells(
    path: Path, name: str, shape: tuple[int, int], cells: Iterable[NDArray], others: Mapping[str, object]
) -> None:
    """Writes a cell array of equally large arrays as an uncompressed MATLAB 5 file.

    Holds one cell in memory at a time. An error leaves the file that was there before.

    Args:
        path: the file.
        name: of the variable.
        shape: of the cell array.
        cells: float32 or uint8 arrays of one shape and type, in MATLAB's order (`cell_order`).
        others: small variables that go into the same file, as scipy writes them.

    Raises:
        ValueError: the cells differ in shape or type, are too few or too many, or exceed 4 GB.
    """
    with atomic_path(path) as aside, aside.open("wb") as file:
        file.write(b"MATLAB 5.0 MAT-file".ljust(116) + b" " * 8 + struct.pack("<H", 0x0100) + b"IM")
        head = _matrix_head(_CELL, shape, name)
        count = 0
        for count, cell in enumerate(cells, start=1):
            if count == 1:
                first = cell.shape, cell.dtype
            if (cell.shape, cell.dtype) != first or cell.dtype not in _WRITTEN:
                raise ValueError(
                    f"cell {count} is {cell.shape} {cell.dtype}, the first {first[0]} {first[1]}; expected one shape, "
                    "and float32 or uint8"
                )
            element = _array_element(cell)
            if count == 1:
                length = len(head) + shape[0] * shape[1] * len(element)
                if length > _LARGEST:
                    raise ValueError(f"a cell array of {length} bytes does not fit into a MATLAB 5 file")
                file.write(struct.pack("<II", _MATRIX, length) + head)
            file.write(element)
        if count != shape[0] * shape[1]:
            raise ValueError(f"expected {shape[0] * shape[1]} cells, got {count}")
        content = io.BytesIO()
        savemat(content, dict(others))
        file.write(content.getvalue()[_HEADER:])


def _matrix_head(kind: int, shape: tuple[int, ...], name: str) -> bytes:
    flags = struct.pack("<IIII", _UINT32, 8, kind, 0)
    dims = struct.pack(f"<II{len(shape)}i", _INT32, 4 * len(shape), *shape)
    label = struct.pack("<II", _INT8, len(name)) + name.encode("ascii")
    return flags + _padded(dims) + _padded(label)


def _array_element(array: NDArray) -> bytes:
    kind, stored = _WRITTEN[array.dtype]
    data = np.asarray(array, array.dtype.newbyteorder("<")).tobytes(order="F")
    body = _matrix_head(kind, array.shape, "") + _padded(struct.pack("<II", stored, len(data)) + data)
    return struct.pack("<II", _MATRIX, len(body)) + body


def _padded(element: bytes) -> bytes:
    return element + b"\0" * (-len(element) % 8)


def cell_order(shape: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Returns all places (row, column) of a cell array in MATLAB's order: rows change fastest."""
    return ((row, column) for column in range(shape[1]) for row in range(shape[0]))
