"""What benchmarks take: the one place where results are clipped and rounded."""

import math

import numpy as np
import pytest

from cycleisp.dataloaders.protocols import SIDD, SIDD_GRID, SIDD_SIDE, as_8bit, as_unit_float, dnd_finish
from cycleisp.utils import metrics


def test_sidd_is_as_large_as_it_is() -> None:
    assert (SIDD_GRID, SIDD_SIDE) == ((40, 32), 256)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_8_bit_levels_are_rounded_and_clipped(dtype: type) -> None:
    levels = as_8bit(np.array([-3, -0.001, 0, 0.49, 0.51, 1.49, 254.51, 255, 256, 1e9], dtype) / 255)
    assert levels.dtype == np.uint8
    assert levels.tolist() == [0, 0, 0, 0, 1, 1, 255, 255, 255, 255]


def test_every_8_bit_level_comes_back_from_single_precision() -> None:
    """A network that does nothing must return the very image."""
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(as_8bit(levels.astype(np.float32) / 255), levels)
    np.testing.assert_array_equal(as_8bit(levels.astype(np.float32) / np.float32(255)), levels)


def test_unit_floats_are_clipped_and_not_rounded() -> None:
    values = np.array([-0.2, 0, 1e-7, 0.123456789, 1, 1 + 1e-6, 7])
    finished = as_unit_float(values)
    assert finished.dtype == np.float32
    np.testing.assert_array_equal(finished, np.array([0, 0, 1e-7, 0.123456789, 1, 1, 1], np.float32))
    assert dnd_finish is as_unit_float


def test_finishing_leaves_its_input_alone_and_twice_is_once() -> None:
    values = np.linspace(-1, 2, 50, dtype=np.float32)
    before = values.copy()
    for finish in (as_unit_float, lambda each: as_8bit(each) / np.float32(255)):
        np.testing.assert_array_equal(finish(finish(values)), finish(values))
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize("space", ["raw", "srgb"])
def test_each_measure_has_its_definition_and_takes_what_is_finished(space: str) -> None:
    protocol = SIDD[space]  # type: ignore[index]
    assert len(protocol.measures) == len(protocol.definitions) and "psnr" in protocol.measures
    shape = (16, 16, 3) if space == "srgb" else (16, 16)
    rng = np.random.default_rng(0)
    clean, noisy = (protocol.finish(rng.random(shape)) for _ in range(2))
    for name, measure in protocol.measures.items():
        assert measure(clean, clean) == (math.inf if name == "psnr" else pytest.approx(1))
        assert measure(noisy, clean) < 15
    assert list(protocol.measures) == (["psnr", "ssim", "ssim_luma"] if space == "srgb" else ["psnr", "ssim"])
    assert SIDD["srgb"].measures["ssim_luma"] is metrics.ssim_luma_8bit
