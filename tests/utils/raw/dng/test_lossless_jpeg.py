"""Lossless JPEG: LibRaw reads every value back."""

import math
from pathlib import Path

import numpy as np
import pytest
import rawpy
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cycleisp.utils.raw.dng.lossless_jpeg import code_lengths, encode_lossless_jpeg
from cycleisp.utils.raw.dng.tiff_writer import BYTE, LONG, SHORT, encode_ifds, number_tag, text_tag


def decoded(path: Path, mosaic: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Returns what LibRaw reads from a DNG with the encoded mosaic."""
    strip, (height, width) = encode_lossless_jpeg(mosaic), mosaic.shape
    numbers = {254: 0, 256: width, 257: height, 258: 16, 259: 7, 262: 32803, 277: 1, 278: height, 279: len(strip)}
    tags = [number_tag("<", code, LONG, value) for code, value in numbers.items()]
    tags += [number_tag("<", 33421, SHORT, 2, 2), number_tag("<", 33422, BYTE, 0, 1, 1, 2)]
    tags += [number_tag("<", 50706, BYTE, 1, 4, 0, 0), text_tag("<", 50708, "Camera")]
    path.write_bytes(encode_ifds("<", tags, [], [], strip))
    with rawpy.imread(str(path)) as raw:
        return raw.raw_image.copy()


def extremes(height: int, width: int) -> NDArray[np.uint16]:
    """Returns a mosaic in which differences of every size occur, the largest often."""
    rng = np.random.default_rng(0)
    mosaic = rng.integers(0, 65536, (height, width)).astype(np.uint16)
    mosaic[: height // 3] = rng.choice(np.array([0, 32767, 32768, 65535], np.uint16), (height // 3, width))
    for row in range(height // 3, 2 * height // 3):
        mosaic[row] = (np.uint16(1) << rng.integers(0, 16, width).astype(np.uint16)) - rng.integers(0, 2, width)
    return mosaic


MOSAICS = {
    "any values": extremes(90, 130),
    "one value": np.full((64, 64), 1234, np.uint16),
    "zeros": np.zeros((64, 64), np.uint16),
    "half the range": np.full((64, 64), 32768, np.uint16),
    "ones that would be markers": np.where(np.indices((64, 64))[1] % 4 < 2, 0, 65535).astype(np.uint16),
    "smooth": np.rint(np.random.default_rng(1).normal(2000, 20, (100, 150))).astype(np.uint16),
}


@pytest.mark.parametrize("kind", MOSAICS)
def test_libraw_reads_every_value_back(tmp_path: Path, kind: str) -> None:
    np.testing.assert_array_equal(decoded(tmp_path / "a.dng", MOSAICS[kind]), MOSAICS[kind])


def test_a_smooth_mosaic_takes_about_the_bits_of_its_noise() -> None:
    """Differences of photosites with sigma 20 hold log2(20 sqrt(2 pi e) sqrt 2) = 6.87 bits."""
    mosaic = np.rint(np.random.default_rng(0).normal(2000, 20, (400, 600))).astype(np.uint16)
    bits = 8 * len(encode_lossless_jpeg(mosaic)) / mosaic.size
    entropy = math.log2(20 * math.sqrt(2 * math.pi * math.e) * math.sqrt(2))
    assert entropy - 0.05 < bits < entropy + 0.3


@given(st.lists(st.integers(0, 1 << 40), min_size=17, max_size=17).filter(any))
def test_code_words_fit_and_leave_that_of_ones_only(counts: list[int]) -> None:
    lengths = code_lengths(np.array(counts))
    assert [length > 0 for length in lengths] == [count > 0 for count in counts]
    assert max(lengths) <= 16
    assert sum(2.0**-length for length in lengths if length) < 1  # Kraft, with room for another


def test_rare_symbols_are_bounded_at_16_bits() -> None:
    lengths = code_lengths(np.array([2**symbol for symbol in range(17)]))
    assert max(lengths) == 16 and sorted(lengths, reverse=True) == lengths


@pytest.mark.parametrize("shape", [(4, 5), (0, 4), (4, 0), (65536, 2)], ids=str)
def test_what_it_cannot_hold_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="lossless JPEG takes an even width"):
        encode_lossless_jpeg(np.zeros(shape, np.uint16))
