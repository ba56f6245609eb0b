from dataclasses import replace

import numpy as np
import pytest

from benchmarks.fabricated_camera import FabricatedCamera
from cycleisp.utils.raw.calibration.levels import count_levels, mean_level
from cycleisp.utils.raw.calibration.scene_noise import Limits, measure_blocks

CAMERA = FabricatedCamera(sigma_row=0.0, sigma_column=0.0, sigma_fixed=0.0, black=(512.0,) * 4)
OPEN = Limits(-np.inf, np.inf)
READ = 25 + 1 / 12


def blocks_of(frames, limits=OPEN):
    means = [mean_level(count_levels(frame, "R")) for frame in frames]
    return measure_blocks(frames, "R", 512.0, means, limits, lambda: None)


def excess(blocks):
    """Returns by how many of its standard errors the variance is above the camera's."""
    expected = CAMERA.gain * blocks.mean + READ
    weight = blocks.count / expected**2
    values = (blocks.count * blocks.freedom).sum()
    ratio = (weight * blocks.variance * expected).sum() / (weight * expected**2).sum()
    return (ratio - 1) / np.sqrt(2 / values)


@pytest.mark.parametrize("number", [2, 3, 8])
@pytest.mark.parametrize("flicker", [0.0, 0.01, 0.1])
def test_variance_is_that_of_the_light_whatever_vignetting_dust_and_lamp_do(number, flicker) -> None:
    blocks = blocks_of(CAMERA.flats([0.5], number, flicker))
    assert abs(excess(blocks)) < 4
    assert blocks.freedom == number - 1


def test_a_lamp_that_flickers_while_the_shutter_rolls_is_taken_out() -> None:
    assert abs(excess(blocks_of(CAMERA.flats([0.5], 4, 0.01, banded=True)))) < 4


def test_row_noise_is_taken_out_of_dim_and_bright_frames() -> None:
    camera = replace(CAMERA, sigma_row=3.0)
    for level in (0.0005, 0.3):
        assert abs(excess(blocks_of(camera.flats([level], 4)))) < 4


def test_texture_of_a_scene_cancels() -> None:
    random = np.random.default_rng(0)
    scene = random.uniform(0.05, 0.6, (256, 256)) * CAMERA.white
    burst = [CAMERA.frame(CAMERA.expose(scene), "burst", "scene") for _ in range(4)]
    assert abs(excess(blocks_of(burst))) < 4


def test_blocks_near_saturation_are_left_out_and_the_others_are_not_biased() -> None:
    high = CAMERA.white - 512.0
    blocks = blocks_of(CAMERA.flats([1.03], 4, 0.003), Limits(-np.inf, high))
    assert 0 < blocks.used.sum() < len(blocks.used)
    used = replace(
        blocks, mean=blocks.mean[blocks.used], variance=blocks.variance[blocks.used], count=blocks.count[blocks.used]
    )
    assert abs(excess(used)) < 4
    assert used.mean.max() < high - 5 * (CAMERA.gain * high) ** 0.5 / 2


def test_dim_blocks_are_left_out_where_black_is_clipped() -> None:
    camera = replace(CAMERA, black=(0.0,) * 4)
    frames = camera.flats([0.0005, 0.05], 2)
    means = [mean_level(count_levels(frame, "R")) for frame in frames]
    dim = measure_blocks(frames[:2], "R", 0.0, means[:2], Limits(0.0, np.inf), lambda: None)
    light = measure_blocks(frames[2:], "R", 0.0, means[2:], Limits(0.0, np.inf), lambda: None)
    assert not dim.used.any()
    assert light.used.all()
