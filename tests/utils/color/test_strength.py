"""Strength: 0 is the input, 1 the denoiser's result, luma and chroma apart."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cycleisp.utils.color.strength import LUMA, Strength
from cycleisp.utils.errors import UserError

GAINS = (2.0, 1.0, 1.6)
PLANE_GAINS = torch.tensor([GAINS[color] for color in (0, 1, 1, 2)]).view(1, 4, 1, 1)


def image(channels: int, seed: int = 0, low: float = 0.2, high: float = 0.8) -> Tensor:
    values = torch.rand(1, channels, 9, 11, generator=torch.Generator().manual_seed(seed))
    return low + (high - low) * values


def never(*_images: Tensor) -> Tensor:
    raise AssertionError("the network has run")


def giving(result: Tensor) -> Callable[..., Tensor]:
    return lambda *_images: result


def luma_of(photo: Tensor) -> Tensor:
    return (torch.tensor(LUMA).view(1, 3, 1, 1) * photo).sum(1)


@pytest.mark.parametrize("channels", [3, 4])
def test_nothing_is_the_input_itself_and_runs_no_network(channels: int) -> None:
    noisy = image(channels, low=-0.1, high=1.2)  # RAW has values below black
    assert Strength.of(0).denoise(never, noisy) is noisy
    assert Strength.of(1, luma=0, chroma=0).denoise(never, noisy) is noisy


@pytest.mark.parametrize("channels", [3, 4])
def test_all_is_the_very_result_of_a_clipped_input(channels: int) -> None:
    noisy, result, seen = image(channels, low=-0.1, high=1.2), image(channels, 1), []

    def denoise(*images: Tensor) -> Tensor:
        seen.extend(images)
        return result

    assert Strength().denoise(denoise, noisy, noisy) is result
    assert torch.equal(seen[0], noisy.clamp(0, 1)) and seen[1] is noisy


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_one_strength_is_a_share_of_the_residual(channels: int, share: float) -> None:
    noisy, result = image(channels), image(channels, 1)
    mixed = Strength.of(share).denoise(giving(result), noisy, white_balance=GAINS)
    torch.testing.assert_close(mixed, (1 - share) * noisy + share * result)


@pytest.mark.parametrize("channels", [3, 4])
def test_both_parts_add_up_to_the_residual(channels: int) -> None:
    noisy, result = image(channels, low=0.4, high=0.6), image(channels, 1, low=0.4, high=0.6)
    luma, chroma = (Strength(*shares).mix(noisy, result, GAINS) - noisy for shares in ((1, 0), (0, 1)))
    torch.testing.assert_close(luma + chroma, result - noisy)


def test_luma_moves_all_channels_of_a_photo_alike_and_chroma_leaves_luma() -> None:
    noisy, result = image(3, low=0.4, high=0.6), image(3, 1, low=0.4, high=0.6)
    luma = Strength(1, 0).mix(noisy, result) - noisy
    torch.testing.assert_close(luma, luma[:, :1].expand_as(luma), atol=1e-6, rtol=0)
    torch.testing.assert_close(luma_of(noisy + luma), luma_of(result))
    chroma = Strength(0, 1).mix(noisy, result)
    torch.testing.assert_close(luma_of(chroma), luma_of(noisy))


def test_shares_of_luma_and_chroma_are_shares_of_each_part() -> None:
    noisy, result = image(3, low=0.4, high=0.6), image(3, 1, low=0.4, high=0.6)
    mixed = Strength(0.3, 0.8).mix(noisy, result)
    parts = [Strength(*shares).mix(noisy, result) - noisy for shares in ((1, 0), (0, 1))]
    torch.testing.assert_close(mixed, noisy + 0.3 * parts[0] + 0.8 * parts[1])


def test_neutral_raw_stays_neutral_by_luma_alone() -> None:
    """A grey surface with coloured noise removed from brightness alone is as coloured as before."""
    grey = torch.full((1, 4, 9, 11), 0.4) / PLANE_GAINS
    residual = 0.05 * (image(4, 1) - 0.5)
    luma = Strength(1, 0).mix(grey, grey + residual, GAINS) * PLANE_GAINS
    greens = luma[:, 1:3].mean(1)
    torch.testing.assert_close(luma[:, 0], greens)
    torch.testing.assert_close(luma[:, 3], greens)


def test_the_difference_of_the_greens_is_luma() -> None:
    noisy = image(4)
    fine = torch.tensor([0.0, 0.05, -0.05, 0.0]).view(1, 4, 1, 1)
    torch.testing.assert_close(Strength(0, 1).mix(noisy, noisy + fine, GAINS), noisy)
    torch.testing.assert_close(Strength(1, 0).mix(noisy, noisy + fine, GAINS), noisy + fine)


def test_a_photo_is_clipped() -> None:
    noisy, result = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    result[:, 1] = 0.5  # the chroma part alone would be negative in red and blue
    assert Strength(0.5, 1).mix(noisy, result).min() == 0


def test_large_images_are_mixed_in_parts() -> None:
    noisy, result = torch.rand(1, 3, 2500, 2), torch.rand(1, 3, 2500, 2)
    strength = Strength(0.3, 0.6)
    assert torch.equal(strength.denoise(giving(result), noisy), strength.mix(noisy, result))


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"strength": -0.1}, "--strength -0.1: expected a number from 0"),
        ({"strength": 1.5, "luma": 0.5, "chroma": 0.5}, "--strength 1.5: expected"),
        ({"luma": 2}, "--luma 2: expected"),
        ({"chroma": float("nan")}, "--chroma nan: expected"),
    ],
    ids=str,
)
def test_shares_outside_of_0_to_1_are_refused(shares: dict[str, float], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Strength.of(**shares)
