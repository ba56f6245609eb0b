"""Statistics of noise. Bounds are five standard errors, unless a comment says otherwise."""

import dataclasses
import math
import random

import numpy as np
import pytest
import torch
from torch import Tensor

from cycleisp.utils.raw.noise import (
    PROFILES,
    FixedNoise,
    NoiseProfile,
    add_shot_read_noise,
    clipped_mean,
    noise_from_seeds,
    noise_level_function,
    parse_noise,
    white_noise,
)

SIGMAS = 5.0


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def levels(shot: float, read: float, batch: int = 1) -> tuple[Tensor, Tensor]:
    return torch.full((batch,), shot), torch.full((batch,), read)


# ---------------------------------------------------------------- shot and read noise


@pytest.mark.parametrize("signal", [0.0, 0.01, 0.1, 0.5, 1.0])
@pytest.mark.parametrize(("shot", "read"), [(0.012, 1e-3), (1e-4, 1e-7), (0.01, 0.0), (0.0, 4e-4)])
def test_mean_and_variance_are_those_of_the_model(signal: float, shot: float, read: float) -> None:
    clean = torch.full((1, 4, 200, 200), signal)
    noise = (add_shot_read_noise(clean, *levels(shot, read), generator()) - clean).double()
    variance, count = shot * signal + read, noise.numel()
    assert abs(noise.mean().item()) <= SIGMAS * math.sqrt(variance / count)
    # of a Gaussian; a float32 rounding of values near 1 adds a variance of about 1e-15
    assert abs(noise.var().item() - variance) <= SIGMAS * variance * math.sqrt(2 / (count - 1)) + 1e-14


def test_noise_is_gaussian() -> None:
    """Skewness and excess kurtosis of N Gaussians have standard errors sqrt(6/N) and sqrt(24/N)."""
    noise = add_shot_read_noise(torch.zeros(1, 4, 200, 200), *levels(0.0, 1.0), generator()).double()
    count = noise.numel()
    assert abs((noise**3).mean().item()) <= SIGMAS * math.sqrt(15 / count)  # E[x^6] = 15
    assert abs((noise**4).mean().item() - 3) <= SIGMAS * math.sqrt(96 / count)  # E[x^8] - 3^2 = 96


def test_noise_of_neighbours_and_of_planes_is_independent() -> None:
    noise = add_shot_read_noise(torch.zeros(1, 4, 200, 200), *levels(0.0, 1.0), generator())[0].double()
    pairs = {
        "rows": (noise[:, 1:], noise[:, :-1]),
        "columns": (noise[..., 1:], noise[..., :-1]),
        "planes": (noise[1:], noise[:-1]),
    }
    for name, (first, second) in pairs.items():
        assert abs((first * second).mean().item()) <= SIGMAS / math.sqrt(first.numel()), name


def test_each_image_of_a_batch_has_its_own_level() -> None:
    shot, read = torch.tensor([0.0, 1e-2]), torch.tensor([1e-4, 0.0])
    noise = (add_shot_read_noise(torch.full((2, 4, 100, 100), 0.25), shot, read, generator()) - 0.25).double()
    for image, variance in zip(noise, (1e-4, 2.5e-3), strict=True):
        assert abs(image.var().item() - variance) <= SIGMAS * variance * math.sqrt(2 / (image.numel() - 1))


def test_noise_level_function_by_hand() -> None:
    signal = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3).expand(2, 4, 1, 3)
    variance = noise_level_function(signal, torch.tensor([0.01, 0.1]), torch.tensor([0.001, 0.0]))
    assert variance.shape == (2, 4, 1, 3)
    torch.testing.assert_close(variance[0, 0, 0], torch.tensor([0.001, 0.006, 0.011]))
    torch.testing.assert_close(variance[1, 3, 0], torch.tensor([0.0, 0.05, 0.1]))


def test_each_plane_may_have_its_own_level() -> None:
    """SIDD's noise level functions differ between colours."""
    signal = torch.rand(2, 4, 5, 6, generator=generator())
    shot = 0.01 * torch.arange(1, 9).view(2, 4).float()
    read = 0.001 * torch.arange(8, 0, -1).view(2, 4).float()
    variance = noise_level_function(signal, shot, read)
    for image in range(2):
        for plane in range(4):
            by_hand = shot[image, plane] * signal[image, plane] + read[image, plane]
            torch.testing.assert_close(variance[image, plane], by_hand)
    noise = add_shot_read_noise(torch.full((2, 4, 100, 100), 0.25), shot, read, generator()) - 0.25
    expected = 0.25 * shot + read
    assert ((noise.var(dim=(2, 3)) / expected) - 1).abs().max() <= SIGMAS * math.sqrt(2 / (100 * 100 - 1))


def test_one_level_an_image_is_the_same_for_every_plane() -> None:
    signal = torch.rand(3, 4, 5, 6, generator=generator())
    shot, read = torch.tensor([0.01, 0.02, 0.03]), torch.tensor([1e-3, 0.0, 1e-4])
    by_plane = noise_level_function(signal, shot[:, None].expand(3, 4), read[:, None].expand(3, 4))
    assert noise_level_function(signal, shot, read).equal(by_plane)
    mixed = noise_level_function(signal, shot, read[:, None].expand(3, 4))  # one for all planes, and one for each
    assert mixed.equal(by_plane)


def test_negative_signal_counts_as_black() -> None:
    signal = torch.tensor([-0.5, -1e-6, 0.0]).view(1, 1, 1, 3)
    variance = noise_level_function(signal, *levels(0.1, 0.003))
    torch.testing.assert_close(variance.flatten(), torch.full((3,), 0.003))
    assert add_shot_read_noise(signal, *levels(0.1, 0.0), generator()).equal(signal)


def test_noisy_raw_is_not_clipped_and_clean_raw_is_left_alone() -> None:
    clean = torch.cat([torch.zeros(1, 4, 32, 32), torch.ones(1, 4, 32, 32)])
    before = clean.clone()
    noisy = add_shot_read_noise(clean, *levels(0.01, 0.001, batch=2), generator())
    assert noisy.min() < 0 and noisy.max() > 1
    assert noisy.dtype == clean.dtype and clean.equal(before)


def test_no_noise_changes_nothing() -> None:
    clean = torch.rand(1, 4, 8, 8, generator=generator())
    assert add_shot_read_noise(clean, *levels(0.0, 0.0), generator()).equal(clean)


# ---------------------------------------------------------------- randomness


def test_same_seed_same_noise_other_seed_other_noise() -> None:
    clean = torch.full((1, 4, 16, 16), 0.3)
    first, again, other = (add_shot_read_noise(clean, *levels(0.01, 0.001), generator(seed)) for seed in (7, 7, 8))
    assert first.equal(again)
    assert not first.equal(other)


def test_a_generator_goes_on() -> None:
    clean, source = torch.full((1, 4, 16, 16), 0.3), generator()
    first, second = (add_shot_read_noise(clean, *levels(0.01, 0.001), source) for _ in range(2))
    assert not first.equal(second)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_profile_with_the_same_seed_draws_the_same_levels(profile: NoiseProfile) -> None:
    first, again, other = (profile.sample(5, generator(seed)) for seed in (3, 3, 4))
    assert first.shot_noise.equal(again.shot_noise) and first.read_noise.equal(again.read_noise)
    assert not first.shot_noise.equal(other.shot_noise)


def test_global_random_states_are_untouched() -> None:
    torch_state, numpy_state, python_state = torch.get_rng_state(), np.random.get_state(), random.getstate()
    drawn = PROFILES["dnd"].sample(4, generator())
    FixedNoise(0.01, 0.001).sample(4, generator())
    clean = torch.rand(4, 4, 8, 8, generator=generator())
    add_shot_read_noise(clean, drawn.shot_noise, drawn.read_noise, generator())
    noise_from_seeds(clean, drawn.shot_noise, drawn.read_noise, [1, 2, 3, 4])
    white_noise(clean, [1, 2, 3, 4])
    assert torch.get_rng_state().equal(torch_state)
    assert repr(np.random.get_state()) == repr(numpy_state)
    assert random.getstate() == python_state


# ---------------------------------------------------------------- a seed an image

SEEDS = [5, 2**63 - 1, 0, 12345]


def test_noise_of_an_image_depends_on_its_seed_alone() -> None:
    clean = torch.rand(4, 4, 6, 10, generator=generator())
    shot, read = torch.tensor([0.01, 0.02, 0.0, 0.001]), torch.tensor([1e-3, 0.0, 1e-4, 1e-5])
    together = noise_from_seeds(clean, shot, read, SEEDS)
    for order in ([0], [1], [3, 2], [2, 0, 1, 3], [3, 3]):
        some = noise_from_seeds(clean[order], shot[order], read[order], [SEEDS[index] for index in order])
        assert torch.equal(some, together[order])
        assert torch.equal(white_noise(clean[order], [SEEDS[i] for i in order]), white_noise(clean, SEEDS)[order])


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 5), (16, 16)], ids=str)
def test_noise_from_seeds_is_add_shot_read_noise_image_by_image(size: tuple[int, int]) -> None:
    clean = torch.rand(4, 4, *size, generator=generator())
    shot, read = torch.tensor([0.01, 0.02, 0.0, 0.001]), torch.tensor([1e-3, 0.0, 1e-4, 1e-5])
    together = noise_from_seeds(clean, shot, read, SEEDS)
    for index, seed in enumerate(SEEDS):
        one = slice(index, index + 1)
        alone = add_shot_read_noise(clean[one], shot[one], read[one], generator(seed))
        assert torch.equal(alone, together[one])


def test_white_noise_is_standard_normal_and_other_seeds_are_independent() -> None:
    white = white_noise(torch.full((3, 4, 120, 120), 7.0), [0, 1, 2]).double().flatten(1)  # values of `like` are unused
    count = white.shape[1]
    assert white.mean(1).abs().max() <= SIGMAS / math.sqrt(count)
    assert (white.var(1) - 1).abs().max() <= SIGMAS * math.sqrt(2 / (count - 1))
    assert ((white**3).mean(1)).abs().max() <= SIGMAS * math.sqrt(15 / count)
    assert ((white**4).mean(1) - 3).abs().max() <= SIGMAS * math.sqrt(96 / count)
    assert (torch.corrcoef(white) - torch.eye(3)).abs().max() <= SIGMAS / math.sqrt(count)


def test_noise_from_seeds_has_the_models_variance_and_is_not_clipped() -> None:
    clean = torch.tensor([0.0, 0.25]).view(2, 1, 1, 1).expand(2, 4, 100, 100)
    shot, read = torch.tensor([0.02, 0.01]), torch.tensor([1e-4, 0.0])
    noise = (noise_from_seeds(clean, shot, read, [3, 4]) - clean).double()
    assert noise[0].min() < 0
    for image, variance in zip(noise, (1e-4, 2.5e-3), strict=True):
        assert abs(image.mean().item()) <= SIGMAS * math.sqrt(variance / image.numel())
        assert abs(image.var().item() - variance) <= SIGMAS * variance * math.sqrt(2 / (image.numel() - 1))


def test_as_many_seeds_as_images() -> None:
    """Otherwise one seed would silently give the whole batch the same noise."""
    for seeds in ([], [1], [1, 2], [1, 2, 3, 4]):
        with pytest.raises(ValueError, match=r"shorter|longer"):
            white_noise(torch.zeros(3, 4, 2, 2), seeds)
        with pytest.raises(ValueError, match=r"shorter|longer"):
            noise_from_seeds(torch.zeros(3, 4, 2, 2), *levels(0.01, 0.001, batch=3), seeds)


# ---------------------------------------------------------------- the average of clipped frames


@pytest.mark.parametrize("signal", [0.0, 0.02, 0.5, 0.97, 1.0])
@pytest.mark.parametrize("variance", [1e-4, 1e-2, 0.25])
def test_the_mean_of_clipped_noise_is_that_of_many_frames(signal: float, variance: float) -> None:
    frames = (signal + math.sqrt(variance) * torch.randn(200_000, generator=generator(), dtype=torch.float64)).clamp(
        0, 1
    )
    mean = clipped_mean(torch.tensor([signal], dtype=torch.float64), torch.tensor([variance], dtype=torch.float64))
    assert abs(mean.item() - frames.mean().item()) <= SIGMAS * frames.std().item() / math.sqrt(len(frames)) + 1e-12


def test_the_mean_of_clipped_noise_by_hand() -> None:
    """At black half of a normal distribution is left, with mean sigma / sqrt(2 pi).

    White mirrors black.
    """
    sigma, signal = 0.05, torch.tensor([0.0, 1.0, 0.5])
    mean = clipped_mean(signal, torch.full((3,), sigma**2))
    expected = [sigma / math.sqrt(2 * math.pi), 1 - sigma / math.sqrt(2 * math.pi), 0.5]
    torch.testing.assert_close(mean, torch.tensor(expected), atol=1e-6, rtol=0)
    quiet = torch.linspace(0, 1, 11)
    torch.testing.assert_close(clipped_mean(quiet, torch.zeros(11)), quiet, atol=1e-6, rtol=0)


# ---------------------------------------------------------------- distributions of levels

COUNT = 20000


def in_logarithms(profile: NoiseProfile, count: int = COUNT) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms, to the profile's base, of the shot and read noise of `count` draws."""
    drawn = profile.sample(count, generator())
    assert drawn.shot_noise.shape == drawn.read_noise.shape == (count,)
    assert drawn.shot_noise.dtype == drawn.read_noise.dtype == torch.float32
    shot, read = (
        np.log(noise.double().numpy()) / np.log(profile.base) for noise in (drawn.shot_noise, drawn.read_noise)
    )
    return shot, read


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_log_shot_noise_is_uniform_over_its_range(profile: NoiseProfile) -> None:
    shot = profile.sample(COUNT, generator()).shot_noise.double().log10().numpy()
    low, high = np.log10(profile.shot_range)
    assert low - 1e-6 <= shot.min() and shot.max() <= high + 1e-6  # float32 rounding
    share = np.histogram(shot, bins=10, range=(low - 1e-6, high + 1e-6))[0] / COUNT
    assert np.abs(share - 0.1).max() <= SIGMAS * math.sqrt(0.1 * 0.9 / COUNT)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_read_noise_scatters_around_its_line(profile: NoiseProfile) -> None:
    shot, read = in_logarithms(profile)
    slope, intercept = np.polyfit(shot, read, 1)
    spread = np.std(read - (slope * shot + intercept), ddof=2)
    slope_error = profile.spread / (shot.std() * math.sqrt(COUNT))
    intercept_error = profile.spread * math.sqrt((1 + (shot.mean() / shot.std()) ** 2) / COUNT)
    assert abs(slope - profile.slope) <= SIGMAS * slope_error
    assert abs(intercept - profile.intercept) <= SIGMAS * intercept_error
    assert abs(spread - profile.spread) <= SIGMAS * profile.spread / math.sqrt(2 * (COUNT - 2))


@pytest.mark.parametrize(
    ("name", "shot_range", "slope", "intercept", "spread", "base"),
    [
        ("dnd", (1e-4, 0.012), 2.18, 1.20, 0.26, 10),
        ("sidd", (0.00068674, 0.02194856), 1.85, 0.30, 0.20, 10),
        ("upi_released", (1e-4, 0.012), 2.18, 1.20, 0.26, math.e),
    ],
)
def test_profiles_have_the_published_constants(
    name: str, shot_range: tuple[float, float], slope: float, intercept: float, spread: float, base: float
) -> None:
    assert PROFILES[name] == NoiseProfile(name, shot_range, slope, intercept, spread, base)


def test_upi_released_reads_477_times_below_dnd_for_the_same_shot_noise() -> None:
    """On the line itself: (10 / e)^1.20 = 4.77."""
    dnd, released = (
        dataclasses.replace(PROFILES[name], spread=0.0).sample(1000, generator()) for name in ("dnd", "upi_released")
    )
    torch.testing.assert_close(dnd.shot_noise, released.shot_noise, rtol=1e-5, atol=0)
    ratio = dnd.read_noise / released.read_noise
    assert ratio.min().item() == pytest.approx(4.7736, rel=1e-3)
    assert ratio.max().item() == pytest.approx(4.7736, rel=1e-3)


def test_dnd_read_noise_at_its_ends() -> None:
    """log10 read = 2.18 log10 shot + 1.20: 3.0e-8 at shot 1e-4, 1.03e-3 at shot 0.012."""
    drawn = dataclasses.replace(PROFILES["dnd"], spread=0.0).sample(COUNT, generator())
    assert drawn.read_noise.min().item() == pytest.approx(3.02e-8, rel=0.02)
    assert drawn.read_noise.max().item() == pytest.approx(1.031e-3, rel=0.02)


def test_fixed_noise_is_what_it_says() -> None:
    source = generator(5)
    state = source.get_state()
    drawn = FixedNoise(0.01, 0.0005).sample(3, source)
    assert drawn.shot_noise.equal(torch.full((3,), 0.01)) and drawn.read_noise.equal(torch.full((3,), 0.0005))
    assert source.get_state().equal(state)  # draws nothing


# ---------------------------------------------------------------- what users write


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_known_by_its_name(name: str) -> None:
    assert parse_noise(name) is PROFILES[name]
    assert PROFILES[name].name == name


@pytest.mark.parametrize(
    ("text", "shot", "read"),
    [
        ("shot=0.01,read=0.0005", 0.01, 0.0005),
        ("shot=1e-2, read=5e-4", 0.01, 0.0005),
        ("  shot=0,read=1 ", 0, 1),
        ("shot=0,read=0", 0, 0),
    ],
)
def test_explicit_variances(text: str, shot: float, read: float) -> None:
    assert parse_noise(text) == FixedNoise(shot, read)


def test_the_name_of_fixed_noise_can_be_written_again() -> None:
    fixed = FixedNoise(0.01, 0.0005)
    assert parse_noise(fixed.name) == fixed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "canon",
        "DND",
        "shot=0.01",
        "read=0.01",
        "0.01,0.0005",
        "shot=,read=",
        "shot=a,read=b",
        "shot=0.01,read=0.0005,seed=3",
        "shot=-0.01,read=0.0005",
        "shot=0.01,read=1.5",
        "shot=1.5,read=0.0005",
        "shot=nan,read=0.0005",
        "shot=0.01,read=inf",
    ],
)
def test_anything_else_is_refused_with_what_would_do(text: str) -> None:
    with pytest.raises(ValueError, match=r"dnd.*shot=0\.01,read=0\.0005") as refused:
        parse_noise(text)
    assert repr(text) in str(refused.value)
