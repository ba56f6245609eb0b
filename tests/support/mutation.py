"""Damaged files: valid ones changed at random, as bad disks, cut transfers and attackers do it.

The same seed and number always make the same damage.
"""

import struct
from collections.abc import Sequence

import numpy as np

# Numbers at which sums and products overflow, or signs change.
_INTERESTING = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_TEXT = (b"0", b"-1", b"1e999", b"NaN", b"null", b"{}", b"[]", b'"', b"\n", b"\0", b"\xff", b"9" * 400, b"[" * 3000)


def mutant(files: Sequence[bytes], seed: int, number: int) -> bytes:
    """Returns a damaged version of one of some valid files of a kind.

    One to four damages follow each other: flipped bits, truncation, exchanged or repeated blocks,
    runs of one byte, numbers at the ends of their range, bits of text, the head of one file on the
    tail of another.
    """
    rng = np.random.default_rng((seed, number))
    content = files[int(rng.integers(len(files)))]
    for _ in range(int(rng.choice([1, 1, 1, 2, 3, 4]))):
        content = _DAMAGES[int(rng.integers(len(_DAMAGES)))](content, files, rng)
    return content


def _place(content: bytes, rng: np.random.Generator) -> int:
    """Returns a place, half of the time near the beginning, where headers are."""
    near = rng.random() < 0.5
    return int(rng.integers(min(len(content), 256) + 1 if near else len(content) + 1))


def _flip_bits(content: bytes, _: Sequence[bytes], rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _number in range(int(rng.choice([1, 1, 2, 8, 64]))):
        if changed:
            changed[min(_place(content, rng), len(changed) - 1)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _truncate(content: bytes, _: Sequence[bytes], rng: np.random.Generator) -> bytes:
    return content[: _place(content, rng)]


def _exchange_blocks(content: bytes, _: Sequence[bytes], rng: np.random.Generator) -> bytes:
    first, second, third = sorted(_place(content, rng) for _ in range(3))
    return content[:first] + content[second:third] + content[first:second] + content[third:]


def _repeat_a_block(content: bytes, _: Sequence[bytes], rng: np.random.Generator) -> bytes:
    first, second = sorted(_place(content, rng) for _ in range(2))
    return content[:second] + content[first:second] * int(rng.integers(1, 4)) + content[second:]


def _insert_noise(content: bytes, _: Sequence[bytes], rng: np.random.Generator) -> bytes:
    place = _place(content, rng)
    return content[:place] + rng.bytes(int(rng.integers(1, 64))) + content[place:]


def _run_of_one_byte(content: bytes, _: Sequence[bytes], rng: np.random.Generator) -> bytes:
    place, length = _place(content, rng), int(rng.choice([1, 4, 16, 256]))
    byte = bytes([int(rng.choice([0, 0xFF, 0x80, 0x20]))])
    return content[:place] + byte * length + content[place + length :]


def _interesting_number(content: bytes, _: Sequence[bytes], rng: np.random.Generator) -> bytes:
    place, code = _place(content, rng), str(rng.choice(["<B", "<H", ">H", "<I", ">I", "<Q", ">Q"]))
    size = struct.calcsize(code)
    number = _INTERESTING[int(rng.integers(len(_INTERESTING)))] & (256**size - 1)
    return content[:place] + struct.pack(code, number) + content[place + size :]


def _text(content: bytes, _: Sequence[bytes], rng: np.random.Generator) -> bytes:
    place, word = _place(content, rng), _TEXT[int(rng.integers(len(_TEXT)))]
    return content[:place] + word + content[place + int(rng.choice([0, 1, len(word)])) :]


def _splice(content: bytes, files: Sequence[bytes], rng: np.random.Generator) -> bytes:
    return content[: _place(content, rng)] + (other := files[int(rng.integers(len(files)))])[_place(other, rng) :]


_DAMAGES = (
    _flip_bits,
    _flip_bits,  # the most common damage, and the one that headers survive
    _truncate,
    _exchange_blocks,
    _repeat_a_block,
    _insert_noise,
    _run_of_one_byte,
    _interesting_number,
    _interesting_number,
    _text,
    _splice,
)
