"""Calls to actors of Ray that may be lost, come back, or never start.

A lost actor is started again, where its resources are. Until then Ray refuses calls to it. An actor
for a GPU that is gone never starts, and calls to it may wait for ever. So a batch is sent only to
actors that have answered a small call, their sign of life; and one that keeps a task waiting for
long must give another. Whichever actor computes a pair, the pair is the same.
"""

import itertools
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.pairs.computing import ComputedPair
from cycleisp.utils.errors import UserError, reason

SIGNS = "signs"  # the concurrency group of signs of life: they are given while an actor computes
PATIENCE = 300.0  # seconds without any sign of life, after which a pair is given up
LOSSES = 5  # actors that may be lost while they compute a batch, which may be why
FIRST_SIGN = 1.0  # seconds that a batch waits for a first sign, before its pairs are waited for
ANSWER = 60.0  # seconds that a pair is waited for, before another sign is asked for
ANOTHER_SIGN = 10.0  # seconds that that one is waited for
START = 60.0  # seconds that actors are waited for, before the log says so

_Batch = tuple[list[Any], ...]  # photos, seeds, known RAW
log = logging.getLogger(__name__)


def first_answer(ray: Any, answers: list[Any]) -> Any:
    """Returns the first answer of actors of which some may be lost, or never start.

    Ray still counts the GPUs of a machine that has just ended; an actor for one of them never
    starts.

    Raises:
        Exception: what an actor has raised.
        UserError: all actors are lost.
    """
    while True:
        ready, waiting = ray.wait(answers, num_returns=1, timeout=START)
        if not ready:
            log.warning("no networks have started for %.0f seconds; they wait for a GPU of the cluster", START)
            continue
        try:
            return ray.get(ready[0])
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayError as error:
            answers = waiting
            if not answers:
                raise UserError(
                    f"the networks could not start on any machine of the cluster: {reason(error)}"
                ) from None


class Calls:
    """Lets actors compute batches, in turn, as `Compute` of the pairs' factory does.

    Args:
        ray: the package.
        actors: handles of `networks.Networks`.
    """

    def __init__(self, ray: Any, actors: Sequence[Any]) -> None:
        self._ray = ray
        self._all = [_Actor(ray, handle) for handle in actors]
        self._turns = itertools.cycle(self._all)

    def __call__(
        self, photos: Sequence[NDArray], seeds: Sequence[int], known: Sequence[NDArray[np.float32]]
    ) -> list[Callable[[], ComputedPair]]:
        """Sends a batch, and returns functions for any thread, which wait for its pairs."""
        batch = (list(photos), list(seeds), list(known))
        asked = self._ask(batch)
        return [partial(self._pair, asked, batch, number) for number in range(len(photos))]

    def _ask(self, batch: _Batch, but: "Sequence[_Asked]" = ()) -> "list[_Asked]":
        """Asks the next actor that lives and has not been asked; returns [] if there is none."""
        known = [one.actor for one in but]
        end = time.monotonic() + FIRST_SIGN
        while True:
            for actor in itertools.islice(self._turns, len(self._all)):
                if actor not in known and actor.lives():
                    return [_Asked(actor, actor.handle.compute.remote(*batch))]
            left = end - time.monotonic()
            if known or left <= 0:
                return []
            self._ray.wait([actor.sign() for actor in self._all], num_returns=1, timeout=left)
            time.sleep(FIRST_SIGN / 20)  # since lost ones refuse at once

    def _pair(self, first: "list[_Asked]", batch: _Batch, number: int) -> ComputedPair:
        """Waits for a pair. If its actor is lost or gives no sign, others compute the batch, too.

        Raises:
            RayError: LOSSES actors were lost over the batch, or none gave a sign for PATIENCE.
        """
        errors = self._ray.exceptions
        asked, losses, given_up = list(first), 0, time.monotonic() + PATIENCE
        while True:
            ready = asked and self._ray.wait([one.answer for one in asked], num_returns=1, timeout=ANSWER)[0]
            if ready:
                (answered,) = (one for one in asked if one.answer == ready[0])
                try:
                    return self._ray.get(answered.answer)[number]
                except errors.RayTaskError:
                    raise  # what the networks have raised, and would raise anywhere
                except errors.RayError:
                    losses += 1
                    if losses == LOSSES:
                        raise
                answered.actor.doubt()
                asked.remove(answered)
            elif any(one.actor.still_lives() for one in asked):  # other batches are before this one
                given_up = time.monotonic() + PATIENCE
                continue
            elif time.monotonic() > given_up:
                words = f"no networks have given a sign of life for {PATIENCE:.0f} seconds"
                raise errors.RayActorError(error_msg=words)
            asked += self._ask(batch, but=asked)


class _Actor:
    """An actor, and what is known of its life. Several threads may ask."""

    def __init__(self, ray: Any, handle: Any) -> None:
        self._ray, self.handle = ray, handle
        self._lives, self._sign = False, None

    def sign(self) -> Any:
        """Returns the call for a sign of life that waits for its answer, or makes one."""
        sign = self._sign
        if sign is None:
            sign = self._sign = self.handle.sign.options(concurrency_group=SIGNS).remote()
        return sign

    def lives(self, patience: float = 0.0) -> bool:
        """Tells whether it has given a sign since it was doubted, or does so in these seconds."""
        if self._lives:
            return True
        sign = self.sign()
        if not self._ray.wait([sign], num_returns=1, timeout=patience)[0]:
            return False
        if self._sign is sign:
            self._sign = None
        try:
            self._ray.get(sign)
        except self._ray.exceptions.RayError:
            return False  # it was lost before it could
        self._lives = True
        return True

    def still_lives(self) -> bool:
        """Asks for another sign of life, and tells whether it came in time."""
        self.doubt()
        return self.lives(ANOTHER_SIGN)

    def doubt(self) -> None:
        """Makes another sign necessary: one that is asked for from now on."""
        self._lives, self._sign = False, None


@dataclass(frozen=True)
class _Asked:
    """An actor that has been asked to compute a batch, and its answer to come."""

    actor: _Actor
    answer: Any
