"""Networks in actors of Ray, which tasks on any machine of the cluster feed.

A GPU computes a pair in less time than a core needs to decode and encode one. So the networks stay
in processes with a GPU, the actors, and tasks that take a core each do the rest: they send photos
as integers and get pairs as integers. A task makes its shard by the function that every engine
calls; only `PairMaker.compute` is that of an actor.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.pairs.computing import ComputedPair
from cycleisp.tasks.cluster.calls import SIGNS, Calls, first_answer
from cycleisp.tasks.pair_maker import PairMaker
from cycleisp.tasks.processes import ALONE
from cycleisp.utils.config import GenerationRecipe

ACTORS_PER_GPU = 2  # while one draws noise on its core, the other one computes


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

    def sign(self) -> None:
        """Does nothing: an answer is a sign of life."""

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
            UserError: as `PairMaker.open`; or no actor could start.
        """
        # A lost actor is started again, where its resources are; meanwhile calls go to the others.
        # A sign of life does not wait for calls before it, whose photos are on their way.
        signs = {"concurrency_groups": {SIGNS: 1}, "allow_out_of_order_execution": True}
        options = {"max_restarts": -1, "max_task_retries": 0, **signs}
        actor = ray.remote(**options, **resources)(Networks)
        actors = tuple(actor.remote(recipe.model_dump_json(), present) for _ in range(count))
        settings, made_by = first_answer(ray, [one.facts.remote() for one in actors])
        return cls(actors, settings, made_by)

    def maker(self, ray: Any, recipe: GenerationRecipe, first: int) -> PairMaker:
        """Returns a PairMaker that reads and writes here, and computes there.

        Args:
            ray: the package.
            recipe: the recipe.
            first: the number of the actor from which turns begin, another one for each shard.
        """
        return PairMaker(
            settings=self.settings,
            made_by=self.made_by,
            compute=Calls(ray, self.actors[first % len(self.actors) :] + self.actors[: first % len(self.actors)]),
            memory=None,
            batch_size=recipe.batch_size,
            workers=recipe.workers,
        )
