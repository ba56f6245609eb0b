"""Reflection padding against torch's, beyond torch's limits, and its inverse."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cycleisp.utils.padding import pad_to_multiple, reflect_pad
from cycleisp.utils.raw import bayer

quick = settings(max_examples=40, deadline=None, derandomize=True)
amount = st.integers(0, 9)


def numbered(*shape: int) -> Tensor:
    return torch.arange(float(torch.Size(shape).numel())).view(shape)


def reflected(line: list[float], before: int, after: int) -> list[float]:
    """Walks along a line and turns round at its ends, without standing on them twice."""
    there_and_back = line + line[-2:0:-1]
    return [there_and_back[position % len(there_and_back)] for position in range(-before, len(line) + after)]


@quick
@given(st.integers(2, 9), st.integers(2, 9), st.data())
def test_agrees_with_torch_where_torch_can(height: int, width: int, data: st.DataObject) -> None:
    image = numbered(2, 3, height, width)
    side, end = st.integers(0, width - 1), st.integers(0, height - 1)
    padding = (data.draw(side), data.draw(side), data.draw(end), data.draw(end))
    assert reflect_pad(image, padding).equal(F.pad(image, padding, mode="reflect"))


@quick
@given(st.integers(1, 5), st.integers(1, 5), amount, amount, amount, amount)
def test_reflects_as_often_as_it_takes(height: int, width: int, left: int, right: int, top: int, bottom: int) -> None:
    padded = reflect_pad(numbered(1, height, width), (left, right, top, bottom))
    rows = reflected(list(range(height)), top, bottom)
    columns = reflected(list(range(width)), left, right)
    assert padded.tolist() == [[[row * width + column for column in columns] for row in rows]]


def test_by_hand_beyond_the_size_of_the_image() -> None:
    line = torch.tensor([[[1.0, 2.0, 3.0]]])
    assert reflect_pad(line, (5, 6, 0, 0)).flatten().tolist() == [2, 1, 2, 3, 2, 1, 2, 3, 2, 1, 2, 3, 2, 1]


def test_sides_of_one_and_two_pixels() -> None:
    assert reflect_pad(torch.tensor([[[7.0]]]), (2, 3, 1, 1)).equal(torch.full((1, 3, 6), 7.0))
    assert reflect_pad(torch.tensor([[[1.0, 2.0]]]), (3, 2, 0, 0)).flatten().tolist() == [2, 1, 2, 1, 2, 1, 2]


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5), (2, 3, 4, 5), (2, 1, 3, 4, 5)], ids=str)
def test_any_leading_dimensions(shape: tuple[int, ...]) -> None:
    image = numbered(*shape)
    padded = reflect_pad(image, (1, 2, 3, 0))
    assert padded.shape == (*shape[:-2], 7, 8)
    plane = image.reshape(-1, 1, 4, 5)[-1:]
    assert padded.reshape(-1, 7, 8)[-1].equal(F.pad(plane, (1, 2, 3, 0), mode="reflect")[0, 0])


def test_nothing_to_pad_changes_nothing() -> None:
    image = numbered(1, 1, 3, 4)
    assert reflect_pad(image, (0, 0, 0, 0)).equal(image)


@pytest.mark.parametrize("padding", [(1, 1, 1, 1), (9, 9, 9, 9)])
def test_gradient_counts_how_often_a_pixel_is_used(padding: tuple[int, int, int, int]) -> None:
    image = numbered(1, 1, 3, 4).requires_grad_()
    padded = reflect_pad(image, padding)
    padded.sum().backward()
    assert image.grad is not None and image.grad.min() >= 1
    assert image.grad.sum().item() == padded.numel()


@quick
@given(st.integers(1, 4), st.integers(1, 4), st.lists(st.integers(0, 5), min_size=4, max_size=4))
def test_reflection_by_even_amounts_keeps_the_bayer_phase(rows: int, columns: int, amounts: list[int]) -> None:
    colors = torch.arange(3.0).view(3, 1, 1).expand(3, 2 * rows, 2 * columns)
    left, right, top, bottom = (2 * number for number in amounts)
    padded = reflect_pad(bayer.mosaic(colors, "RGGB"), (left, right, top, bottom))
    height, width = padded.shape[-2:]
    assert padded.equal(bayer.mosaic(colors[:, :1, :1].expand(3, height, width), "RGGB"))


@quick
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 16))
def test_crop_undoes_pad_to_multiple_exactly(height: int, width: int, multiple: int) -> None:
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    padded = pad_to_multiple(image, multiple)
    padded_height, padded_width = padded.shape[-2:]
    assert padded_height % multiple == padded_width % multiple == 0
    assert padded_height - height < multiple and padded_width - width < multiple  # no more than needed
    assert padded[..., :height, :width].equal(image)


def test_pad_to_multiple_reflects_at_the_far_ends() -> None:
    padded = pad_to_multiple(numbered(1, 1, 3, 3), 4)
    assert padded[0, 0].tolist() == [[0, 1, 2, 1], [3, 4, 5, 4], [6, 7, 8, 7], [3, 4, 5, 4]]


def test_an_image_that_fits_is_not_copied() -> None:
    image = torch.rand(1, 3, 8, 12)
    assert pad_to_multiple(image, 4) is image
