"""The weights of a Gaussian blur."""

import pytest
import torch

from cycleisp.utils.gaussian import gaussian_taps


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_taps_are_a_normal_distribution_of_sum_1(dtype: torch.dtype) -> None:
    taps = gaussian_taps(torch.tensor(1.5, dtype=dtype), 8)
    offsets = torch.arange(-8, 9)
    assert taps.dtype == dtype and taps.shape == (17,)
    assert taps.sum().item() == pytest.approx(1, abs=1e-6)
    assert torch.equal(taps, taps.flip(0))
    assert (taps * offsets**2).sum().item() == pytest.approx(1.5**2, rel=1e-5)
    assert (taps[9] / taps[8]).item() == pytest.approx(torch.exp(torch.tensor(-0.5 / 1.5**2)).item(), rel=1e-6)


def test_every_sigma_has_taps_of_its_own() -> None:
    sigmas = torch.tensor([[0.5, 1.0, 2.0], [3.0, 0.001, 1.3]])
    taps = gaussian_taps(sigmas, 6)
    assert taps.shape == (2, 3, 13)
    for row in range(2):
        for column in range(3):
            assert torch.equal(taps[row, column], gaussian_taps(sigmas[row, column], 6))
    assert taps[1, 1].tolist() == [0.0] * 6 + [1.0] + [0.0] * 6
