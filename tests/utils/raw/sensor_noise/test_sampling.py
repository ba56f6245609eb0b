"""Every part of a sensor's noise: its moments, its place on the mosaic, its randomness.

Bounds are five standard errors, which are computed from the distribution.
"""

import dataclasses
import math
import random

import numpy as np
import pytest
import torch
from torch import Tensor

from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.noise import clipped_mean, noise_from_seeds
from cycleisp.utils.raw.sensor_noise.parameters import SensorNoise
from cycleisp.utils.raw.sensor_noise.sampling import FEW_ELECTRONS, add_sensor_noise, part_seed

SIGMAS = 5.0


def one(value: float) -> Tensor:
    return torch.tensor([value])


def sensor(shot: float = 0.0, read: float = 0.0, poisson: bool = False, **parts: float) -> SensorNoise:
    """Returns the noise of a batch of one image."""
    more = {name: one(value) for name, value in parts.items()}
    return SensorNoise(one(shot), one(read), poisson=torch.tensor([poisson]), **more)


def noisy_flat(signal: float, noise: SensorNoise, side: int = 200, seed: int = 3, clip: bool = False) -> Tensor:
    """Returns a flat field (4, side, side) with noise, in double precision."""
    return add_sensor_noise(torch.full((1, 4, side, side), signal), noise, [seed], clip)[0].double()


# ---------------------------------------------------------------- shot and read noise


def test_shot_and_read_noise_alone_are_the_plain_model_to_the_last_bit() -> None:
    clean = torch.rand(3, 4, 9, 7, generator=torch.Generator().manual_seed(0))
    shot, read, seeds = torch.tensor([0.01, 0.0, 0.002]), torch.tensor([1e-4, 1e-3, 0.0]), [5, 2**62, 0]
    plain = noise_from_seeds(clean, shot, read, seeds)
    assert torch.equal(add_sensor_noise(clean, SensorNoise(shot, read), seeds), plain)
    none = torch.zeros(3)
    nothing = SensorNoise(shot, read, none, none, none + torch.nan, none, none, none, none, none.bool())
    assert torch.equal(add_sensor_noise(clean, nothing, seeds), plain)
    by_plane = SensorNoise(shot[:, None].expand(3, 4), read[:, None].expand(3, 4))
    assert torch.equal(add_sensor_noise(clean, by_plane, seeds), plain)
    levels = SensorNoise(shot, read).levels()
    assert levels.shot_noise is shot and levels.read_noise is read


@pytest.mark.parametrize("electrons", [0.3, 2.0, 20.0, 60.0])
def test_few_electrons_are_counted(electrons: float) -> None:
    """Central moments of Poisson: n, n, 3 n^2 + n, and the 6th 15 n^3 + 25 n^2 + n."""
    gain = 1e-3
    counted = noisy_flat(electrons * gain, sensor(gain, poisson=True)) / gain
    assert (counted - counted.round()).abs().max() < 1e-4  # whole electrons
    error, count, n = counted - electrons, counted.numel(), electrons
    assert abs(error.mean().item()) <= SIGMAS * math.sqrt(n / count)
    assert abs(error.square().mean().item() - n) <= SIGMAS * math.sqrt((3 * n**2 + n - n**2) / count)
    sixth = 15 * n**3 + 25 * n**2 + n
    assert abs(error.pow(3).mean().item() - n) <= SIGMAS * math.sqrt((sixth - n**2) / count)  # a Gaussian has 0


@pytest.mark.parametrize(("electrons", "poisson"), [(FEW_ELECTRONS, True), (1000.0, True), (5.0, False)])
def test_many_electrons_are_gaussian_and_so_are_all_unless_asked_for(electrons: float, poisson: bool) -> None:
    gain = 1e-4
    noise = noisy_flat(electrons * gain, sensor(gain, poisson=poisson)) / gain - electrons
    count = noise.numel()
    assert abs(noise.mean().item()) <= SIGMAS * math.sqrt(electrons / count)
    assert abs(noise.square().mean().item() / electrons - 1) <= SIGMAS * math.sqrt(2 / count)
    assert abs(noise.pow(3).mean().item()) <= SIGMAS * math.sqrt(15 * electrons**3 / count)


def test_no_light_and_no_gain_bring_no_electrons() -> None:
    assert noisy_flat(0.0, sensor(0.01, poisson=True)).abs().max() == 0
    assert (noisy_flat(0.25, sensor(0.0, poisson=True)) - 0.25).abs().max() == 0


def test_heavy_tails_keep_the_variance_and_are_heavy() -> None:
    """There is no 4th moment below lambda = -1/4. Gaussians exceed 5 sigma once in 1.7 million."""
    read = 4e-4
    for tail, fourth in ((-0.1, 6.79), (0.0, 4.2), (0.5, 2.08)):  # SciPy's
        noise = noisy_flat(0.3, sensor(0.0, read, tail=tail)) - 0.3
        bound = SIGMAS * math.sqrt((fourth - 1) / noise.numel())
        assert abs(noise.mean().item()) <= SIGMAS * math.sqrt(read / noise.numel())
        assert abs(noise.square().mean().item() / read - 1) <= bound
    heavy = noisy_flat(0.3, sensor(0.0, read, tail=-0.24)) - 0.3
    assert (heavy.abs() > 5 * math.sqrt(read)).sum() > 50


def test_shot_noise_stays_gaussian_under_heavy_tailed_read_noise() -> None:
    noise = noisy_flat(0.5, sensor(0.01, 0.0, tail=-0.2)) - 0.5
    assert abs(noise.square().mean().item() / 0.005 - 1) <= SIGMAS * math.sqrt(2 / noise.numel())
    assert abs(noise.pow(4).mean().item() / 0.005**2 - 3) <= SIGMAS * math.sqrt(96 / noise.numel())


# ---------------------------------------------------------------- rows and columns


@pytest.mark.parametrize(("part", "axis"), [("row_noise", 2), ("column_noise", 1)])
def test_offsets_are_those_of_the_mosaics_rows_and_columns(part: str, axis: int) -> None:
    """They are constant along one axis of the mosaic, and independent along the other one."""
    side, variance = 2000, 1e-4
    planes = add_sensor_noise(torch.zeros(1, 4, side, 3), sensor(**{part: variance}), [1])
    if part == "column_noise":
        planes = add_sensor_noise(torch.zeros(1, 4, 3, side), sensor(**{part: variance}), [1])
    mosaic = bayer.unpack(planes)[0].double()
    offsets = mosaic.select(axis, 0).flatten()
    assert torch.equal(mosaic, offsets.view([1, -1, 1] if axis == 2 else [1, 1, -1]).expand(mosaic.shape))
    count = len(offsets)
    assert count == 2 * side and len(offsets.unique()) == count
    assert abs(offsets.mean().item()) <= SIGMAS * math.sqrt(variance / count)
    assert abs(offsets.square().mean().item() / variance - 1) <= SIGMAS * math.sqrt(2 / count)
    for step in (1, 2):  # the next row of the mosaic, and that of the same colours
        correlation = (offsets[step:] * offsets[:-step]).mean().item() / variance
        assert abs(correlation) <= SIGMAS / math.sqrt(count - step)


def test_a_row_may_move_its_sites_by_different_amounts() -> None:
    variances = torch.tensor([[1e-4, 4e-4, 9e-4, 0.0]])
    noise = SensorNoise(one(0.0), one(0.0), row_noise=variances)
    red, green, other_green, blue = add_sensor_noise(torch.zeros(1, 4, 50, 2), noise, [1])[0]
    torch.testing.assert_close(green, 2 * red)
    assert blue.abs().max() == 0 and other_green.abs().min() > 0
    assert not torch.allclose(other_green, 3 * red, atol=1e-3)


# ---------------------------------------------------------------- numbers and defects


@pytest.mark.parametrize("bits", [6.0, 10.0, math.log2(959)])
def test_values_are_rounded_to_steps_between_black_and_white(bits: float) -> None:
    """The error of rounding is uniform: variance q^2 / 12, and a 4th moment of q^4 / 80."""
    clean = torch.rand(1, 4, 150, 150, generator=torch.Generator().manual_seed(2))
    rounded = add_sensor_noise(clean, sensor(quantization_bits=bits), [1])
    step = 2.0**-bits
    numbers = rounded.double() / step
    assert (numbers - numbers.round()).abs().max() < 1e-3
    error, count = (rounded - clean).double(), clean.numel()
    assert error.abs().max() <= step / 2 * 1.001
    assert abs(error.mean().item()) <= SIGMAS * step / math.sqrt(12 * count)
    assert abs(error.square().mean().item() / step**2 - 1 / 12) <= SIGMAS * math.sqrt((1 / 80 - 1 / 144) / count)
    ends = torch.tensor([0.0, 1.0]).repeat(2, 4).view(1, 4, 2, 2)
    torch.testing.assert_close(add_sensor_noise(ends, sensor(quantization_bits=bits), [1]), ends, atol=1e-6, rtol=0)


def test_hot_pixels_are_a_share_of_single_photosites_with_exponential_dark_current() -> None:
    density, mean = 0.01, 0.03
    dark = noisy_flat(0.0, sensor(hot_pixels=density, hot_amplitude=mean))
    hot, count = dark > 0, dark.numel()
    assert abs(hot.double().mean().item() - density) <= SIGMAS * math.sqrt(density * (1 - density) / count)
    current = dark[hot]
    assert abs(current.mean().item() / mean - 1) <= SIGMAS / math.sqrt(len(current))
    assert abs((current > mean).double().mean().item() - math.exp(-1)) <= SIGMAS * 0.49 / math.sqrt(len(current))
    tiles = hot.double().sum(0)  # the four sites of a tile are hot independently of each other
    assert abs((tiles >= 2).double().mean().item() - 6 * density**2) <= SIGMAS * math.sqrt(6 * density**2 / count * 4)
    neighbours = (hot[:, 1:] & hot[:, :-1]).double().mean().item()
    assert abs(neighbours - density**2) <= SIGMAS * math.sqrt(density**2 / count)


def test_dark_current_has_shot_noise_as_light_has() -> None:
    parts = {"hot_pixels": 1.0, "hot_amplitude": 0.03}
    current = noisy_flat(0.0, sensor(**parts))
    noise = noisy_flat(0.0, sensor(0.01, **parts)) - current
    ratio = (noise.square() / (0.01 * current.clamp(min=1e-12))).mean().item()
    assert abs(ratio - 1) <= SIGMAS * math.sqrt(2 / noise.numel())


def test_dead_pixels_are_black_whatever_else_there_is() -> None:
    density = 0.02
    dead = noisy_flat(0.5, sensor(0.01, 1e-4, dead_pixels=density, row_noise=1e-4)) == 0
    assert abs(dead.double().mean().item() - density) <= SIGMAS * math.sqrt(density / dead.numel())


def test_clipping_is_at_black_and_white_and_has_the_mean_of_clipped_noise() -> None:
    for signal in (0.0, 0.01, 0.99):
        clipped = noisy_flat(signal, sensor(0.0, 4e-4), clip=True)
        assert clipped.min() >= 0 and clipped.max() <= 1
        mean = clipped_mean(torch.tensor([signal]).double(), torch.tensor([4e-4]).double()).item()
        assert abs(clipped.mean().item() - mean) <= SIGMAS * clipped.std().item() / math.sqrt(clipped.numel())
    assert noisy_flat(0.0, sensor(0.0, 4e-4)).min() < 0


# ---------------------------------------------------------------- all of it

EVERYTHING = SensorNoise(
    shot_noise=torch.tensor([[0.01] * 4, [0.002, 0.003, 0.004, 0.005], [0.01] * 4]),
    read_noise=torch.tensor([[1e-4] * 4, [1e-5, 2e-5, 3e-5, 4e-5], [1e-4] * 4]),
    row_noise=torch.tensor([1e-5, 0.0, 1e-6]),
    column_noise=torch.tensor([0.0, 1e-6, 0.0]),
    tail=torch.tensor([-0.1, math.nan, 0.1]),
    hot_pixels=torch.tensor([0.01, 0.0, 0.2]),
    hot_amplitude=torch.tensor([0.1, 0.0, 0.3]),
    dead_pixels=torch.tensor([0.0, 0.01, 0.1]),
    quantization_bits=torch.tensor([10.0, 0.0, 8.0]),
    poisson=torch.tensor([True, False, True]),
)
SEEDS = [7, 2**63 - 1, 0]


def some_of(noise: SensorNoise, order: list[int]) -> SensorNoise:
    values = {field.name: getattr(noise, field.name) for field in dataclasses.fields(noise)}
    return SensorNoise(**{name: value[order] for name, value in values.items()})


def test_noise_depends_neither_on_the_batch_nor_on_the_place_in_it() -> None:
    clean = torch.rand(3, 4, 12, 10, generator=torch.Generator().manual_seed(0)) ** 3
    together = add_sensor_noise(clean, EVERYTHING, SEEDS)
    assert torch.equal(add_sensor_noise(clean, EVERYTHING, SEEDS), together)
    for order in ([0], [1], [2], [2, 0], [1, 2, 0], [0, 0]):
        own = [SEEDS[index] for index in order]
        assert torch.equal(add_sensor_noise(clean[order], some_of(EVERYTHING, order), own), together[order])
    assert not torch.equal(add_sensor_noise(clean, EVERYTHING, [8, 9, 10]), together)


def test_a_part_changes_no_other_part() -> None:
    """The noise less the rows' offsets is the noise that there was without them."""
    clean = torch.full((1, 4, 20, 20), 0.2)
    plain = {"tail": -0.1, "column_noise": 1e-5}
    without = add_sensor_noise(clean, sensor(0.01, 1e-4, **plain), [4])
    rows = add_sensor_noise(clean, sensor(row_noise=1e-3), [4]) - clean
    both = add_sensor_noise(clean, sensor(0.01, 1e-4, row_noise=1e-3, **plain), [4])
    torch.testing.assert_close(both - without, rows, atol=1e-6, rtol=0)
    assert len({part_seed(5, part) for part in ("read", "rows", "columns", "defects", "electrons", "levels")}) == 6
    assert all(0 <= part_seed(seed, "rows") < 2**63 for seed in (0, 2**63 - 1))


@pytest.mark.parametrize("signal", [0.02, 0.4])
def test_the_levels_are_the_variance_of_all_parts_together(signal: float) -> None:
    """Rows and columns are few, so that many small images are measured."""
    count, shot, read, row, column, bits = 1500, 1e-3, 2e-5, 8e-6, 4e-6, 7.0
    full = torch.full((count,), 1.0)
    noise = SensorNoise(
        shot * full,
        read * full,
        row_noise=row * full,
        column_noise=(column * full)[:, None].expand(-1, 4),
        tail=0.1 * full,
        quantization_bits=bits * full,
        poisson=full.bool(),
    )
    levels = noise.levels()
    assert levels.read_noise.shape == (count, 4)
    expected = shot * signal + (read + row + column + 4**-bits / 12)
    torch.testing.assert_close(shot * signal + levels.read_noise, torch.full((count, 4), expected), rtol=1e-5, atol=0)
    error = (add_sensor_noise(torch.full((count, 4, 2, 2), signal), noise, range(count)) - signal).double()
    # Values of an image share offsets, which are a small part of the variance.
    assert abs(error.square().mean().item() / expected - 1) <= SIGMAS * math.sqrt(2.5 / (4 * count)) + 0.01


def test_the_global_random_state_is_neither_used_nor_moved() -> None:
    states = torch.get_rng_state(), repr(np.random.get_state()), random.getstate()
    clean = torch.full((3, 4, 6, 6), 0.1)
    first = add_sensor_noise(clean, EVERYTHING, SEEDS)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (repr(np.random.get_state()), random.getstate()) == states[1:]
    torch.rand(5)
    assert torch.equal(add_sensor_noise(clean, EVERYTHING, SEEDS), first)


def test_the_clean_image_is_left_alone() -> None:
    clean = torch.full((3, 4, 6, 6), 0.1)
    add_sensor_noise(clean, EVERYTHING, SEEDS, clip=True)
    assert torch.equal(clean, torch.full((3, 4, 6, 6), 0.1))


def test_as_many_seeds_as_images() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        add_sensor_noise(torch.zeros(3, 4, 2, 2), EVERYTHING, [1, 2])
