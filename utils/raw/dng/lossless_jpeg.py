"""Lossless JPEG, the compression that every reader of DNG files knows.

ITU-T T.81 (JPEG), annex H: each sample is predicted by its left neighbour, and the differences are
written in a Huffman code. As DNG files have it, two neighbouring columns of a mosaic are two
components, so that the neighbour has the sample's own colour. Encoders that other packages have
take one component; their files are 20 to 45 % larger (docs/reference/formats.md).
"""

import struct
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

_CATEGORIES = 17  # numbers of bits that a difference of 16-bit samples may have, 0 to 16
_LONGEST = 16  # bits of a code word
_LARGEST_SIDE = 65535
_COMPILED: dict[str, Any] = {"nogil": True, "cache": True}


def encode_lossless_jpeg(mosaic: NDArray[np.uint16]) -> bytes:
    """Encodes 16-bit samples (H, W), W even, without loss, as two components of width W / 2.

    Raises:
        ValueError: odd width, no samples, or sides that JPEG cannot count.
    """
    height, width = mosaic.shape
    if width % 2 or not 0 < width // 2 <= _LARGEST_SIDE or not 0 < height <= _LARGEST_SIDE:
        raise ValueError(f"lossless JPEG takes an even width and at most {_LARGEST_SIDE} rows, got {height}x{width}")
    samples = np.ascontiguousarray(mosaic, dtype=np.uint16)
    categories = _count_categories(samples)
    lengths = code_lengths(categories)
    order = sorted((length, category) for category, length in enumerate(lengths) if length)
    codes = np.zeros(_CATEGORIES, dtype=np.uint32)
    code, before = 0, order[0][0]
    for length, category in order:  # codes of one length follow each other, annex C
        code <<= length - before
        codes[category], before = code, length
        code += 1
    bits = int((categories * (np.array(lengths) + np.arange(_CATEGORIES))).sum())
    scan = _write_scan(samples, codes, np.array(lengths, dtype=np.uint32), np.empty(bits // 4 + 16, dtype=np.uint8))
    per_length = [sum(length == size for length, _ in order) for size in range(1, _LONGEST + 1)]
    table = bytes([0, *per_length, *(category for _, category in order)])
    frame = struct.pack(">BHHB", 16, height, width // 2, 2) + bytes([0, 0x11, 0, 1, 0x11, 0])
    start = bytes([2, 0, 0, 1, 0, 1, 0, 0])  # two components, both with table 0; the left neighbour predicts
    head = b"\xff\xd8" + _segment(0xC4, table) + _segment(0xC3, frame) + _segment(0xDA, start)
    return head + scan.tobytes() + b"\xff\xd9"


def code_lengths(counts: NDArray[np.int64]) -> list[int]:
    """Returns the number of bits of each symbol's Huffman code word, annex K.2.

    Args:
        counts: (N,) how often each symbol occurs.

    Returns:
        N lengths up to 16, 0 for symbols that do not occur. No code word has ones only.
    """
    # a symbol that never occurs comes last, and takes the code word of ones only
    trees = [(int(count), [symbol]) for symbol, count in enumerate(counts) if count] + [(0, [len(counts)])]
    lengths = [0] * (len(counts) + 1)
    while len(trees) > 1:
        trees.sort(key=lambda tree: (tree[0], -max(tree[1])))
        (one, left), (two, right), *trees = trees
        for symbol in left + right:
            lengths[symbol] += 1
        trees.append((one + two, left + right))
    return _shortened(lengths)[:-1]


def _shortened(lengths: list[int]) -> list[int]:
    """Returns code lengths of at most 16 bits, of 18 symbols at most, the last with the longest."""
    per_length = [lengths.count(size) for size in range(max(lengths) + 1)]
    for size in range(len(per_length) - 1, _LONGEST, -1):  # figure K.3
        while per_length[size]:
            shorter = next(length for length in range(size - 2, 0, -1) if per_length[length])
            per_length[size] -= 2
            per_length[size - 1] += 1
            per_length[shorter + 1] += 2
            per_length[shorter] -= 1
    by_length = sorted(range(len(lengths)), key=lambda symbol: (lengths[symbol], symbol))
    sizes = [size for size, number in enumerate(per_length) for _ in range(number)]
    return [size for _, size in sorted(zip(by_length, sizes, strict=True))]


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


@njit(**_COMPILED)
def _difference(samples: NDArray[np.uint16], row: int, column: int) -> int:
    """Returns a sample minus its prediction, in -32767 ... 32768, as it is counted modulo 65536."""
    if column >= 2:
        prediction = np.int64(samples[row, column - 2])
    else:  # at the left border the sample above predicts, and half the range at the very first
        prediction = np.int64(samples[row - 1, column]) if row > 0 else np.int64(32768)
    difference = (np.int64(samples[row, column]) - prediction) & 65535
    return difference - 65536 if difference > 32768 else difference  # type: ignore[return-value]


@njit(**_COMPILED)
def _category(difference: int) -> int:
    """Returns the number of bits of a difference's magnitude."""
    magnitude, bits = abs(difference), 0
    while magnitude:
        magnitude >>= 1
        bits += 1
    return bits


@njit(**_COMPILED)
def _count_categories(samples: NDArray[np.uint16]) -> NDArray[np.int64]:
    counts = np.zeros(17, dtype=np.int64)
    for row in range(samples.shape[0]):
        for column in range(samples.shape[1]):
            counts[_category(_difference(samples, row, column))] += 1
    return counts


@njit(**_COMPILED)
def _write_scan(
    samples: NDArray[np.uint16], codes: NDArray[np.uint32], lengths: NDArray[np.uint32], scan: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Writes code words, and the bits of the differences behind them; returns what is filled."""
    pending, waiting, size = np.uint64(0), 0, 0  # bits that do not fill a byte yet, their number, bytes written
    for row in range(samples.shape[0]):
        for column in range(samples.shape[1]):
            difference = _difference(samples, row, column)
            category = _category(difference)
            pending = (pending << np.uint64(lengths[category])) | np.uint64(codes[category])
            waiting += lengths[category]
            if category < 16:  # the 16-bit difference is 32768 alone, and no bits follow
                low = difference if difference > 0 else difference + (1 << category) - 1
                pending = (pending << np.uint64(category)) | np.uint64(low)
                waiting += category
            size, waiting = _write_bytes(scan, size, pending, waiting)
            pending &= (np.uint64(1) << np.uint64(waiting)) - np.uint64(1)
    filled = (8 - waiting) % 8  # bits of one that end the last byte
    pending = ((pending + np.uint64(1)) << np.uint64(filled)) - np.uint64(1)
    size, _ = _write_bytes(scan, size, pending, waiting + filled)
    return scan[:size]


@njit(**_COMPILED)
def _write_bytes(scan: NDArray[np.uint8], size: int, pending: int, waiting: int) -> tuple[int, int]:
    """Writes the pending bits that fill bytes; returns the new size, and how many bits are left."""
    while waiting >= 8:
        waiting -= 8
        byte = np.uint8((pending >> np.uint64(waiting)) & np.uint64(255))
        scan[size] = byte
        size += 1
        if byte == 255:  # would begin a marker
            scan[size] = 0
            size += 1
    return size, waiting
