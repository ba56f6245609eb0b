"""Conversions of images: layouts and number types, there and back."""

import tracemalloc

import numpy as np
import pytest
import torch

from cycleisp.utils.images import (
    as_float,
    channels_first,
    channels_last,
    photo_to_tensor,
    tensor_to_photo,
    to_8bit,
    to_16bit,
    to_integers,
)

TYPES = (np.uint8, np.uint16)


def random_photo(dtype, shape=(5, 7, 3)):
    return np.random.default_rng(0).integers(np.iinfo(dtype).max + 1, size=shape).astype(dtype)


@pytest.mark.parametrize("dtype", TYPES)
def test_every_integer_survives_the_way_to_floats_and_back(dtype):
    every = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    values = as_float(every)
    assert values.dtype == np.float32 and values[0] == 0 and values[-1] == 1
    np.testing.assert_array_equal(to_integers(values, dtype), every)
    np.testing.assert_array_equal(to_integers(torch.from_numpy(values), dtype), every)


@pytest.mark.parametrize("convert", [np.asarray, torch.tensor])
def test_integers_are_clipped_and_rounded_to_nearest(convert):
    image = convert([[-0.5, 0.0, 0.4 / 255], [0.6 / 255, 1.0, 1.5]])
    expected = [[0, 0, 0], [1, 255, 255]]
    np.testing.assert_array_equal(to_integers(image, np.uint8), expected)
    np.testing.assert_array_equal(np.asarray(to_8bit(image)), expected)


def test_16_bit_integers_are_off_by_one_level_at_most_and_rarely():
    image = np.random.default_rng(2).random(100_000, dtype=np.float32)
    errors = np.abs(to_16bit(image).astype(int) - to_integers(image, np.uint16))
    assert errors.max() <= 1 and errors.mean() < 0.004
    assert to_16bit(np.array([-1.0, 0.0, 1.0, 2.0])).tolist() == [0, 0, 65535, 65535]


def test_integers_are_rounded_in_double_precision():
    image = np.array([0.5235294], dtype=np.float32)  # times 255: 133.4999996, which float32 takes for 133.5
    assert to_integers(image, np.uint8) == to_integers(torch.from_numpy(image), np.uint8) == 133
    assert to_8bit(image) == 134


def test_conversion_to_integers_leaves_the_image_alone():
    for image in (np.full((2, 2), 2.0), np.full((2, 2), 0.3, np.float32)):
        before = image.copy()
        to_integers(image, np.uint8), to_integers(torch.from_numpy(image), np.uint8), to_8bit(image)
        np.testing.assert_array_equal(image, before)


def test_8bit_tensors_stay_tensors():
    pixels = to_8bit(torch.rand(3, 4, 4))
    assert isinstance(pixels, torch.Tensor) and pixels.dtype == torch.uint8


@pytest.mark.parametrize("shape", [(5, 7, 3), (2, 5, 7, 4)])
def test_layouts_are_each_others_inverse(shape):
    photo = random_photo(np.uint8, shape)
    image = channels_first(photo)
    assert image.shape == (*shape[:-3], shape[-1], *shape[-3:-1]) and image.dtype == torch.uint8
    assert image[..., 1, 2, 4].tolist() == photo[..., 2, 4, 1].tolist()
    np.testing.assert_array_equal(channels_last(image), photo)


def test_layouts_are_views():
    photo = np.zeros((4, 4, 3), np.float32)
    image = channels_first(photo)
    photo[1, 2, 0] = 1
    assert image[0, 1, 2] == 1
    channels_last(image)[3, 3, 2] = 1
    assert image[2, 3, 3] == 1


def test_flipped_arrays_are_copied():
    photo = random_photo(np.uint8)
    np.testing.assert_array_equal(channels_last(channels_first(photo[::-1, ::-1])), photo[::-1, ::-1])


def test_images_with_gradients_become_arrays():
    assert channels_last(torch.rand(3, 4, 4, requires_grad=True)).shape == (4, 4, 3)


@pytest.mark.parametrize("dtype", TYPES)
def test_photos_survive_the_way_to_tensors_and_back(dtype):
    photo = random_photo(dtype)
    image = photo_to_tensor(photo)
    assert image.shape == (3, 5, 7) and image.dtype == torch.float32 and 0 <= image.min() <= image.max() <= 1
    np.testing.assert_array_equal(tensor_to_photo(image, dtype), photo)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_photos_of_floats_keep_their_values(dtype):
    photo = np.random.default_rng(1).random((4, 6, 3)).astype(dtype)
    image = photo_to_tensor(photo)
    assert image.dtype == torch.float32
    np.testing.assert_array_equal(channels_last(image), photo.astype(np.float32))


@pytest.mark.parametrize("layout", [(600, 900, 3), (3, 600, 900), (900, 3, 600)])
def test_large_images_become_integers_as_small_ones_do(layout):
    image = torch.rand(layout, generator=torch.Generator().manual_seed(4)) * 1.2 - 0.1  # several strips
    expected = np.rint(image.clamp(0, 1).double().numpy() * 65535).astype(np.uint16)
    for turned, wanted in ((image, expected), (image.movedim(0, -1), np.moveaxis(expected, 0, -1))):
        for kind in (turned, turned.numpy()):
            integers = to_integers(kind, np.uint16)
            np.testing.assert_array_equal(integers, wanted)
            assert np.argsort(integers.strides).tolist() == np.argsort(turned.numpy().strides).tolist()


def test_conversions_take_little_memory_beside_their_results():
    photo = random_photo(np.uint8, (1000, 2000, 3))
    assert peak(lambda: as_float(photo)) < 1.1 * 4 * photo.size
    image = as_float(photo)
    assert peak(lambda: to_integers(image, np.uint8)) < photo.size + 10_000_000


def peak(work) -> int:
    """Returns how many bytes of arrays are in memory at most while something is done."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
