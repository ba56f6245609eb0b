"""Networks in actors of Ray, which tasks on any machine of the cluster feed.

A GPU computes a pair in less time than a core needs to decode and encode one. So the networks stay
in processes with a GPU, the actors, and tasks that take a core each do the rest: they send photos
as integers and get pairs as integers. A task makes its shard by the function that every engine
calls; only `PairMaker.compute` is that of an actor.
"""

import itertools
import os
import time
from collections.abc import Callable, Sequence
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
_PATIENCE = 300  # seconds that a task waits for an actor, when all are lost or none answers
_PAUSE = 1.0  # seconds before it asks again
_SILENCE = 60.0  # seconds without an answer, after which it asks for a sign of life
_LIFE = 10.0  # seconds that it waits for that
_SIGNS = "signs"  # calls of this concurrency group are answered while an actor computes
_REST = 30.0  # seconds in which an actor that was lost or did not answer is passed over

_Batch = tuple[list[Any], ...]  # photos, seeds, known RAW


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
            UserError: as `PairMaker.open`.
        """
        # A lost actor is started again, where its resources are; meanwhile calls go to the others.
        options = {"max_restarts": -1, "max_task_retries": 0, "concurrency_groups": {_SIGNS: 1}}
        actor = ray.remote(**options, **resources)(Networks)
        actors = tuple(actor.remote(recipe.model_dump_json(), present) for _ in range(count))
        try:
            settings, made_by = _first_answer(ray, [one.facts.remote() for one in actors])
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
            compute=_Calls(ray, self.actors[first % len(self.actors) :] + self.actors[: first % len(self.actors)]),
            memory=None,
            batch_size=recipe.batch_size,
            workers=recipe.workers,
        )


def _first_answer(ray: Any, answers: list[Any]) -> Any:
    """Returns the first answer of actors, some of which may be lost, or wait for a GPU in vain.

    The latter is so where a machine had just ended, and its GPUs were still counted.

    Raises:
        RayTaskError: what an actor has raised.
        RayActorError: all are lost.
    """
    while True:
        (ready, *_), answers = ray.wait(answers, num_returns=1)
        try:
            return ray.get(ready)
        except ray.exceptions.RayActorError:
            if not answers:
                raise


class _Calls:
    """Lets actors compute, in turn. Who wants the pair waits for it, and others go on.

    An actor that is lost may come back, and one that waits for a GPU may never answer. So both are
    passed over for a while, and another one is asked. Whichever computes, the pair is the same.

    Args:
        ray: the package.
        actors: their handles; the first one gets the first batch.
    """

    def __init__(self, ray: Any, actors: Sequence[Any]) -> None:
        self._ray = ray
        self._actors = itertools.cycle(enumerate(actors))
        self._rested = [0.0] * len(actors)  # when each may be asked again

    def __call__(
        self, photos: Sequence[NDArray], seeds: Sequence[int], known: Sequence[NDArray[np.float32]]
    ) -> list[Callable[[], ComputedPair]]:
        batch = (list(photos), list(seeds), list(known))
        asked = self._ask(batch)
        return [partial(self._pair, asked, batch, number) for number in range(len(photos))]

    def _ask(self, batch: _Batch) -> "_Asked":
        """Asks the next actor that is not passed over, or else the one that was so for longest."""
        now = time.monotonic()
        for number, actor in itertools.islice(self._actors, len(self._rested)):
            if self._rested[number] <= now:
                return _Asked(number, actor, actor.compute.remote(*batch))
        soonest = self._rested.index(min(self._rested))
        number, actor = next(one for one in self._actors if one[0] == soonest)
        return _Asked(number, actor, actor.compute.remote(*batch))

    def _pair(self, first: "_Asked", batch: _Batch, number: int) -> ComputedPair:
        """Waits for a pair. If its actor is lost or shows no life, others compute the batch, too.

        Raises:
            RayActorError, ObjectLostError: all actors were lost for _PATIENCE.
            GetTimeoutError: none has shown life for as long.
        """
        errors = self._ray.exceptions
        given_up = time.monotonic() + _PATIENCE
        asked = [first]
        while True:
            ready, _ = self._ray.wait([one.answer for one in asked], num_returns=1, timeout=_SILENCE)
            if ready:
                (answered,) = (one for one in asked if one.answer == ready[0])
                try:
                    return self._ray.get(answered.answer)[number]
                except (errors.RayActorError, errors.ObjectLostError):
                    if time.monotonic() > given_up:
                        raise
                self._pass_over([answered])
                asked.remove(answered)
            elif any(self._lives(one.actor) for one in asked):  # it has much to do
                given_up = time.monotonic() + _PATIENCE
                continue
            elif time.monotonic() > given_up:
                raise errors.GetTimeoutError(f"no networks have shown life for {_PATIENCE} seconds")
            else:
                self._pass_over(asked)
            if not asked and min(self._rested) > time.monotonic():
                time.sleep(_PAUSE)
            asked.append(self._ask(batch))

    def _lives(self, actor: Any) -> bool:
        sign = actor.sign.options(concurrency_group=_SIGNS).remote()
        if not self._ray.wait([sign], num_returns=1, timeout=_LIFE)[0]:
            return False
        try:
            self._ray.get(sign)
        except self._ray.exceptions.RayActorError:
            return False
        return True

    def _pass_over(self, asked: "list[_Asked]") -> None:
        for one in asked:
            self._rested[one.number] = time.monotonic() + _REST


@dataclass(frozen=True)
class _Asked:
    """Who has been asked, with the number, and the answer to come."""

    number: int
    actor: Any
    answer: Any
