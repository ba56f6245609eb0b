"""What a step's number decides: its learning rate, and the patches of every process."""

from itertools import pairwise

import pytest

from cycleisp.utils.training.errors import TrainingError
from cycleisp.utils.training.schedule import StepBatches, learning_rate
from tests.support.training import recipe


def test_learning_rates() -> None:
    stepped = recipe(schedule="step", milestones=[4, 8], gamma=0.1, learning_rate=1.0)
    assert [learning_rate(stepped, step) for step in (0, 3, 4, 7, 8)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    cosine = recipe(steps=103, warmup=3, learning_rate=1.0, final_learning_rate=0.1)
    rates = [learning_rate(cosine, step) for step in range(103)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert rates[3] == pytest.approx(1) and rates[53] == pytest.approx(0.55)
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)
    assert all(later <= earlier for earlier, later in pairwise(rates[3:]))


def test_processes_share_out_the_patches_of_a_step() -> None:
    shares = [list(StepBatches(3, 5, 4, rank, 2)) for rank in (0, 1)]
    assert shares == [[[12, 13], [16, 17]], [[14, 15], [18, 19]]]
    with pytest.raises(TrainingError, match="cannot be split over 3"):
        StepBatches(0, 5, 4, 0, 3)
