"""What a step's number decides: its learning rate and its patches.

Nothing else decides them, so a run can go on at any step.
"""

import math
from collections.abc import Iterator

from cycleisp.utils.config import Training
from cycleisp.utils.training.errors import TrainingError


def learning_rate(recipe: Training, step: int) -> float:
    """Returns the learning rate of a step.

    The schedule "step" multiplies the rate by `gamma` at every milestone. "cosine" rises linearly
    during `warmup`, then falls to `final_learning_rate` as half a wave of the cosine.

    Args:
        recipe: the settings of the loop.
        step: the number of the step, counted from 0.
    """
    if recipe.schedule == "step":
        return recipe.learning_rate * recipe.gamma ** sum(step >= milestone for milestone in recipe.milestones)
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    progress = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return recipe.final_learning_rate + (recipe.learning_rate - recipe.final_learning_rate) * cosine


class StepBatches:
    """A batch sampler: the numbers of the patches that this process takes at each step.

    Step s takes the patches s * B ... s * B + B - 1 of an endless stream, B being the batch size.
    Several processes share them in equal, consecutive parts.

    Args:
        start: the first step.
        steps: the step after the last one.
        batch_size: B, of all processes together.
        rank: the number of this process, from 0.
        world_size: the number of processes.

    Raises:
        TrainingError: the processes cannot share a batch equally.
    """

    def __init__(self, start: int, steps: int, batch_size: int, rank: int, world_size: int) -> None:
        if batch_size % world_size:
            raise TrainingError(f"batch_size {batch_size} cannot be split over {world_size} processes")
        self._range = range(start, steps)
        self._batch_size, self._share, self._rank = batch_size, batch_size // world_size, rank

    def __len__(self) -> int:
        return len(self._range)

    def __iter__(self) -> Iterator[list[int]]:
        for step in self._range:
            first = step * self._batch_size + self._rank * self._share
            yield list(range(first, first + self._share))
