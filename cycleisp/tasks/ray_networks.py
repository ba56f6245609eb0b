"""Networks in actors of Ray, which tasks on any machine of the cluster feed.

A GPU computes a pair in less time than a core needs to decode and encode one. So the networks stay
in processes with a GPU, the actors, and tasks that take a core each do the rest: they send photos
as integers and get pairs as integers. A task makes its shard by the function that every engine
calls; only `PairMaker.compute` is that of an actor.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.pairs.computing import ComputedPair
from cycleisp.tasks.pair_maker import PairMaker
from cycleisp.tasks.processes import ALONE
from cycleisp.utils.config import GenerationRecipe

ACTORS_PER_GPU = 2  # while one draws noise on its core, the other one computes
_PATIENCE = 300  # seconds that a task waits for an actor, when all are lost
_PAUSE = 1.0  # seconds before it asks again


class Networks:
    """An actor: networks, noise and rounding of a recipe.

    Args:
        recipe: the recipe as JSON.
        present: the present folder of the driver, from which the paths of a recipe begin.
    """

    def __init__(self, recipe: str, present: str) -> None:
        os.chdir(present)
        self._recipe = GenerationRecipe.model_validate_json(recipe)
        self._opened: PairMaker | None = None  # no cached_property: its lock cannot be sent by Ray

    @property
    def _maker(self) -> PairMaker:
        """Loads the networks in the first call, whose caller then gets what is wrong with them."""
        if self._opened is None:
            self._opened = PairMaker.open(self._recipe, ALONE)
        return self._opened

    def facts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns `settings` and `made_by` of the PairMaker here. Raises UserError as it does."""
        return self._maker.settings, self._maker.made_by

    def compute(
        self, photos: Sequence[NDArray], seeds: Sequence[int], known: Sequence[NDArray[np.float32]]
    ) -> list[ComputedPair]:
        """Computes the pairs of a batch, as `Compute` does."""
        own = [np.array(raw) for raw in known]  # Ray's arrays cannot be written to, at which PyTorch warns
        return [pair() for pair in self._maker.compute(photos, seeds, own)]


@dataclass(frozen=True)
class FarNetworks:
    """What a task must know of the actors that compute for it.

    Attributes:
        actors: their handles.
        settings, made_by: of the PairMaker in each of them.
    """

    actors: tuple[Any, ...]
    settings: dict[str, Any]
    made_by: dict[str, Any]

    @classmethod
    def start(cls, ray: Any, recipe: GenerationRecipe, present: str, count: int, **resources: float) -> "FarNetworks":
        """Starts so many actors with these resources each, as `num_gpus`.

        Raises:
            UserError: as `PairMaker.open`.
        """
        # A lost actor is started again, where its resources are; meanwhile calls go to the others.
        actor = ray.remote(max_restarts=-1, max_task_retries=0, **resources)(Networks)
        actors = tuple(actor.remote(recipe.model_dump_json(), present) for _ in range(count))
        try:
            settings, made_by = ray.get(actors[0].facts.remote())
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        return cls(actors, settings, made_by)

    def maker(self, ray: Any, recipe: GenerationRecipe, first: int) -> PairMaker:
        """Returns a PairMaker that reads and writes here, and computes there.

        Args:
            ray: the package.
            recipe: the recipe.
            first: which actor gets the first batch; the next one gets the second.
        """
        return PairMaker(
            settings=self.settings,
            made_by=self.made_by,
            compute=_Calls(ray, itertools.cycle(self.actors[first % len(self.actors) :] + self.actors[:first])),
            memory=None,
            batch_size=recipe.batch_size,
            workers=recipe.workers,
        )


@dataclass(frozen=True)
class _Calls:
    """Lets actors compute, in turn. Who wants the pair waits for it, and others go on."""

    ray: Any
    actors: Iterator[Any]

    def __call__(
        self, photos: Sequence[NDArray], seeds: Sequence[int], known: Sequence[NDArray[np.float32]]
    ) -> list[Callable[[], ComputedPair]]:
        batch = (list(photos), list(seeds), list(known))
        answer = next(self.actors).compute.remote(*batch)
        return [partial(self._pair, answer, batch, number) for number in range(len(photos))]

    def _pair(self, answer: Any, batch: tuple[list[Any], ...], number: int) -> ComputedPair:
        """Waits for a pair. If its actor is lost, the next one computes the batch again."""
        errors = self.ray.exceptions
        given_up = time.monotonic() + _PATIENCE
        while True:
            try:
                return self.ray.get(answer)[number]
            except (errors.RayActorError, errors.ObjectLostError):
                if time.monotonic() > given_up:
                    raise
                time.sleep(_PAUSE)
                answer = next(self.actors).compute.remote(*batch)
