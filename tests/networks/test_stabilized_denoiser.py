"""A RawDenoiser behind the variance-stabilising transform sees noise of one strength only."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cycleisp.networks import denoiser, pretrained
from cycleisp.networks.denoiser import STABLE_DEVIATION, RawDenoiser
from cycleisp.networks.inference.tiled import TiledDenoiser
from cycleisp.networks.objectives import DenoiserObjective
from cycleisp.utils.raw.noise import noise_from_seeds, noise_level_function
from cycleisp.utils.raw.variance_stabilization import stabilize
from cycleisp.utils.weights.files import save_weights
from tests.support.pictures import random_picture

SIZES: dict[str, Any] = {"width": 8, "num_groups": 1, "num_blocks": 1, "reduction": 2, "unshuffle": 2}
LEVELS = [(1e-4, 1e-8), (0.012, 1e-3), (0.01, 0.0), (0.0, 1e-4)]


def network(seed: int = 0) -> RawDenoiser:
    torch.manual_seed(seed)
    return RawDenoiser(**SIZES, stabilized=True).eval()


def raw(height: int = 24, width: int = 32, seed: int = 0) -> Tensor:
    picture = torch.from_numpy(random_picture(height, width, seed=seed)).permute(2, 0, 1)[None].float() / 255
    return 0.05 + 0.9 * picture[:, [0, 1, 1, 2]]


def levels(shot_noise: float, read_noise: float) -> tuple[Tensor, Tensor]:
    return torch.tensor([shot_noise]), torch.tensor([read_noise])


def noisy_pair(shot_noise: float, read_noise: float, clean: Tensor | None = None) -> tuple[Tensor, Tensor]:
    clean = raw() if clean is None else clean
    noisy = noise_from_seeds(clean, *levels(shot_noise, read_noise), [1]).clamp(0, 1)
    return noisy, noise_level_function(noisy, *levels(shot_noise, read_noise))


def seen_by(model: RawDenoiser, noisy: Tensor, variance: Tensor) -> Tensor:
    """Returns the convolutions' input: four stabilised planes, then four of noise deviation."""
    seen: list[Tensor] = []
    handle = model.stem.register_forward_pre_hook(lambda _stem, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model(noisy, variance)
    handle.remove()
    return seen[0]


# ---------------------------------------------------------------- what it sees


@pytest.mark.parametrize(("shot_noise", "read_noise"), LEVELS)
def test_it_sees_stabilised_raw_and_the_deviation(shot_noise: float, read_noise: float) -> None:
    noisy, variance = noisy_pair(shot_noise, read_noise)
    seen = seen_by(network(), noisy, variance)
    torch.testing.assert_close(
        seen[:, :4], STABLE_DEVIATION * stabilize(noisy, shot_noise, read_noise), rtol=2e-3, atol=0
    )
    torch.testing.assert_close(seen[:, 4:], variance.sqrt())


@pytest.mark.parametrize("factor", [0.1, 0.5])
def test_a_darker_scene_of_the_same_photons_looks_the_same(factor: float) -> None:
    """Signal and shot noise times c, and read noise times c squared, are the same electrons."""
    noisy, variance = noisy_pair(0.01, 1e-4)
    first = seen_by(network(), noisy, variance)
    second = seen_by(network(), factor * noisy, factor**2 * variance)
    torch.testing.assert_close(second[:, :4], first[:, :4], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(second[:, 4:], factor * first[:, 4:])


@pytest.mark.parametrize(("shot_noise", "read_noise"), [(1e-4, 1e-8), (0.002, 1e-4), (0.012, 1e-3)])
def test_noise_of_every_level_has_one_strength(shot_noise: float, read_noise: float) -> None:
    """Fields are flat and grey. The bound is five standard errors and a higher order."""
    clean = torch.tensor([0.3, 0.5, 0.5, 0.7]).view(1, 4, 1, 1).expand(1, 4, 32, 32)
    seen = seen_by(network(), *noisy_pair(shot_noise, read_noise, clean))
    deviation = seen[:, :4].std(dim=(2, 3)).mean().item()
    assert deviation == pytest.approx(STABLE_DEVIATION, rel=5 / (2 * 4096) ** 0.5 + 0.02)


# ---------------------------------------------------------------- what it gives


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("shot_noise", "read_noise"), LEVELS)
def test_a_new_one_begins_near_the_noisy_image_but_is_not_dead(shot_noise: float, read_noise: float, seed: int) -> None:
    noisy, variance = noisy_pair(shot_noise, read_noise)
    with torch.no_grad():
        correction = network(seed)(noisy, variance) - noisy
    assert 1e-4 < correction.square().mean().sqrt() < 0.3


@pytest.mark.parametrize(("shot_noise", "read_noise"), [*LEVELS, (0.0, 0.0)])
def test_without_a_correction_the_noisy_image_comes_back(shot_noise: float, read_noise: float) -> None:
    model = network().requires_grad_(False)
    model.tail.weight.zero_()
    noisy, variance = noisy_pair(shot_noise, read_noise)
    torch.testing.assert_close(model(noisy, variance), noisy, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
@pytest.mark.parametrize(("shot_noise", "read_noise"), [*LEVELS, (0.0, 0.0)])
def test_black_white_and_zero_noise_give_finite_numbers_and_gradients(
    value: float, shot_noise: float, read_noise: float
) -> None:
    flat = torch.full((1, 4, 8, 8), value)
    half = flat.clone()
    half[..., 4:] = 0.7
    model = network()
    for noisy in (flat, half):
        model.zero_grad()
        out = model(noisy, noise_level_function(noisy, *levels(shot_noise, read_noise)))
        assert out.isfinite().all() and (out - noisy).abs().max() < 1
        out.sum().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_a_gradient_in_every_parameter() -> None:
    noisy, variance = noisy_pair(0.01, 1e-4)
    model = network()
    model(noisy, variance).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all() and parameter.grad.abs().max() > 0, name


def test_it_learns_to_remove_noise() -> None:
    """On one batch of slopes at two noise levels, the error falls below the noise at both."""
    slopes = torch.linspace(0.1, 0.8, 24).expand(1, 4, 24, 24)
    clean = torch.cat([slopes, slopes.transpose(2, 3)])
    shot, read = torch.tensor([0.002, 0.02]), torch.tensor([1e-5, 1e-3])
    noisy = noise_from_seeds(clean, shot, read, [3, 4]).clamp(0, 1)
    variance = noise_level_function(noisy, shot, read)
    torch.manual_seed(0)
    model = RawDenoiser(**{**SIZES, "unshuffle": 1}, stabilized=True)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(80):
        optimizer.zero_grad()
        DenoiserObjective(True).loss(
            {"clean": model(noisy, variance)}, {"clean": clean, "variance": variance}
        ).backward()
        optimizer.step()
    with torch.no_grad():
        left = (model(noisy, variance) - clean).abs().mean((1, 2, 3)) / (noisy - clean).abs().mean((1, 2, 3))
    assert left.max() < 0.92, left


def test_each_image_of_a_batch_is_as_alone() -> None:
    pairs = [noisy_pair(*level, raw(seed=seed)) for seed, level in enumerate(LEVELS)]
    noisy, variance = (torch.cat(part) for part in zip(*pairs, strict=True))
    model = network()
    with torch.no_grad():
        together = model(noisy, variance)
        for index, pair in enumerate(pairs):
            torch.testing.assert_close(model(*pair), together[[index]], atol=1e-5, rtol=0)


@pytest.mark.parametrize("unshuffle", [1, 2])
def test_tiles_differ_from_the_whole_by_little(unshuffle: int) -> None:
    """As in tests/networks/inference/test_tiled.py; each tile reads the noise level itself."""
    torch.manual_seed(0)
    sizes = {**SIZES, "unshuffle": unshuffle, "num_blocks": 2}
    model = RawDenoiser(**sizes, stabilized=True).eval().requires_grad_(False)
    model.tail.weight *= 4
    clean = raw(101, 131)
    clean[..., 65:] *= 0.4
    noisy, variance = noisy_pair(0.02, 1e-3, clean)
    tiled = TiledDenoiser(model, 32)
    whole = TiledDenoiser(model, 10_000)
    expected = whole(noisy, variance)
    assert (expected - noisy).abs().mean() > 0.01
    torch.testing.assert_close(tiled(noisy, variance), expected, atol=2e-3, rtol=0)


# ---------------------------------------------------------------- weight files


def test_weights_say_that_they_are_stabilized_and_old_ones_are_not(tmp_path: Path) -> None:
    model = network()
    for sizes, expected in (
        ({"denoiser": SIZES, "stabilized": True}, True),
        ({"denoiser": SIZES, "stabilized": False}, False),
        ({"denoiser": SIZES}, False),
    ):
        save_weights(tmp_path / "a.safetensors", model, {"network": "RawDenoiser", "sizes": sizes})
        loaded = pretrained.load_network(tmp_path / "a.safetensors", RawDenoiser)
        assert loaded.stabilized is expected
        assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())


def test_it_is_off_by_default_and_adds_no_parameter() -> None:
    plain, stable = RawDenoiser(**SIZES), RawDenoiser(**SIZES, stabilized=True)
    assert not plain.stabilized
    assert [(name, value.shape) for name, value in plain.state_dict().items()] == [
        (name, value.shape) for name, value in stable.state_dict().items()
    ]
    assert denoiser.STABLE_DEVIATION == 0.1
