import numpy as np
import pytest

from cycleisp.utils.raw.calibration.estimate import Estimate
from cycleisp.utils.raw.calibration.photon_transfer import NoLineError, photon_transfer
from cycleisp.utils.raw.calibration.scene_noise import Blocks

GAIN, READ = 2.0, 25.0
DARK = Estimate(READ, 0.1)


def group(level, seed=0, blocks=64, wrong=1.0, used=True):
    """Returns blocks around a brightness whose variances scatter as those of 1024 photosites."""
    random = np.random.default_rng([seed, abs(level)])
    mean = level * random.uniform(0.8, 1.0, blocks)
    variance = wrong * (GAIN * mean + READ) * random.chisquare(1024, blocks) / 1024
    return Blocks(mean, variance, np.full(blocks, 1024.0), 1, np.full(blocks, used))


def test_the_line_is_the_camera_s() -> None:
    line = photon_transfer([group(level) for level in (100, 1000, 5000, 10000)], DARK)
    assert line.gain.value == pytest.approx(GAIN, abs=4 * line.gain.error)
    assert line.gain.error < 0.01 * GAIN
    assert line.offset.value == pytest.approx(READ, abs=4 * line.offset.error)


def test_without_dark_frames_the_offset_is_the_line_s() -> None:
    line = photon_transfer([group(level) for level in (20, 100, 1000)], None)
    assert line.offset.value == pytest.approx(READ, abs=4 * line.offset.error)
    assert line.offset.error > DARK.error


def test_errors_cover_the_truth() -> None:
    lines = [photon_transfer([group(level, seed) for level in (50, 500, 5000)], DARK) for seed in range(100)]
    distance = np.array([(line.gain.value - GAIN) / line.gain.error for line in lines])
    assert abs(distance.mean()) < 0.4  # 4 / sqrt(100)
    assert 0.68 - 0.14 < (np.abs(distance) < 1).mean() < 0.95
    assert (np.abs(distance) < 2).mean() > 0.95 - 0.07


def test_what_moves_is_left_out() -> None:
    groups = [group(level) for level in (100, 1000, 5000)]
    variance = groups[1].variance.copy()
    variance[:8] *= 30  # a leaf in an eighth of the frame
    moved = Blocks(groups[1].mean, variance, groups[1].count, 1, groups[1].used)
    line = photon_transfer([groups[0], moved, groups[2]], DARK)
    assert line.gain.value == pytest.approx(GAIN, abs=4 * line.gain.error)


def test_a_group_that_is_off_makes_the_error_larger() -> None:
    levels = (100, 1000, 3000, 5000, 10000)
    good = photon_transfer([group(level) for level in levels], DARK)
    off = photon_transfer([group(level, wrong=1.1 if level == 3000 else 1.0) for level in levels], DARK)
    assert off.gain.error > 2 * good.gain.error


def test_points_of_charts_tell_which_were_used() -> None:
    line = photon_transfer([group(100), group(1000), group(16000, used=False)], DARK)
    assert set(line.mean[~line.used] > 10000) == {True}
    inside = line.used
    expected = GAIN * line.mean[inside] + READ
    assert (np.abs(line.variance[inside] - expected) < 5 * line.error[inside]).all()


@pytest.mark.parametrize(
    ("groups", "dark", "message"),
    [
        ([group(100, used=False)], DARK, "free of clipped"),
        ([group(1000)], None, "equally bright"),
        ([group(-5)], DARK, "as dark as black"),
    ],
)
def test_frames_that_tell_no_gain_are_refused(groups, dark, message) -> None:
    with pytest.raises(NoLineError, match=message):
        photon_transfer(groups, dark)
