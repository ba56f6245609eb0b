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
_PAUSE = 1.0  # seconds that it waits for a first sign of life
_SILENCE = 60.0  # seconds without an answer, after which it asks for a sign of life
_LIFE = 10.0  # seconds that it waits for that
_SIGNS = "signs"  # calls of this concurrency group are answered while an actor computes

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

    An actor may be lost and come back, or wait for a GPU in vain. So only those are asked that have
    given a sign of life, and whoever falls silent must give another. Whichever computes, the pair
    is the same.

    Args:
        ray: the package.
        actors: their handles; the first one gets the first batch.
    """

    def __init__(self, ray: Any, actors: Sequence[Any]) -> None:
        self._ray = ray
        self._all = [_Actor(ray, handle) for handle in actors]
        self._turns = itertools.cycle(self._all)

    def __call__(
        self, photos: Sequence[NDArray], seeds: Sequence[int], known: Sequence[NDArray[np.float32]]
    ) -> list[Callable[[], ComputedPair]]:
        batch = (list(photos), list(seeds), list(known))
        asked = self._ask(batch)
        return [partial(self._pair, asked, batch, number) for number in range(len(photos))]

    def _ask(self, batch: _Batch) -> "list[_Asked]":
        """Asks the next actor that lives. Asks nobody, if none has given a sign within a moment."""
        begun = time.monotonic()
        while True:
            for actor in itertools.islice(self._turns, len(self._all)):
                if actor.lives():
                    return [_Asked(actor, actor.handle.compute.remote(*batch))]
            left = begun + _PAUSE - time.monotonic()
            if left <= 0:
                return []
            self._ray.wait([actor.sign() for actor in self._all], num_returns=1, timeout=left)
            time.sleep(_PAUSE / 50)  # since lost ones answer at once, by an error

    def _pair(self, first: "list[_Asked]", batch: _Batch, number: int) -> ComputedPair:
        """Waits for a pair. If its actor is lost or shows no life, others compute the batch, too.

        Raises:
            RayActorError, ObjectLostError: all actors were lost for _PATIENCE.
            GetTimeoutError: none has shown life for as long.
        """
        errors = self._ray.exceptions
        given_up = time.monotonic() + _PATIENCE
        asked = list(first)
        while True:
            ready = asked and self._ray.wait([one.answer for one in asked], num_returns=1, timeout=_SILENCE)[0]
            if ready:
                (answered,) = (one for one in asked if one.answer == ready[0])
                try:
                    return self._ray.get(answered.answer)[number]
                except (errors.RayActorError, errors.ObjectLostError):
                    if time.monotonic() > given_up:
                        raise
                answered.actor.doubt()
                asked.remove(answered)
            elif any(one.actor.still_lives() for one in asked):  # it has much to do
                given_up = time.monotonic() + _PATIENCE
                continue
            elif time.monotonic() > given_up:
                raise errors.GetTimeoutError(f"no networks have shown life for {_PATIENCE} seconds")
            asked += self._ask(batch)


class _Actor:
    """An actor, and what is known of its life."""

    def __init__(self, ray: Any, handle: Any) -> None:
        self._ray, self.handle = ray, handle
        self._lives, self._sign = False, None

    def sign(self) -> Any:
        """Returns the sign of life to come, for which the actor has been asked once."""
        sign = self._sign  # several threads ask
        if sign is None:
            sign = self._sign = self.handle.sign.options(concurrency_group=_SIGNS).remote()
        return sign

    def lives(self, patience: float = 0.0) -> bool:
        """Tells whether it has given a sign since it was doubted, or does so in these seconds."""
        if self._lives:
            return True
        sign = self.sign()
        if not self._ray.wait([sign], num_returns=1, timeout=patience)[0]:
            return False
        self._sign = None
        try:
            self._ray.get(sign)
        except self._ray.exceptions.RayActorError:
            return False  # it was lost before it could
        self._lives = True
        return True

    def still_lives(self) -> bool:
        """Asks for another sign of life, and tells whether it came in time."""
        self.doubt()
        return self.lives(_LIFE)

    def doubt(self) -> None:
        """Makes another sign necessary."""
        self._lives = False


@dataclass(frozen=True)
class _Asked:
    """Who has been asked, and the answer to come."""

    actor: _Actor
    answer: Any
