"""Makes shards on a cluster: each shard is a task of Ray, which any of its machines may take.

Ray does what a scheduler does: it hands out tasks, starts the task of a lost machine on another
one, and ends all tasks when the driver ends. A task makes one shard by the function that every
engine calls, and puts it into the folder itself, so that little goes over the network. Where the
cluster has GPUs, the networks are in actors, which the tasks of all machines feed
(networks.py).
The machines of the cluster must see the photos and the folder under the same paths.
"""

import logging
import os
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from cycleisp.dataloaders.pairs.factory import pair_bar
from cycleisp.dataloaders.pairs.shards.folder import merge, own_folder
from cycleisp.dataloaders.pairs.shards.layout import shard_name
from cycleisp.dataloaders.pairs.shards.making import MadeShard, make_shards
from cycleisp.dataloaders.pairs.shards.planning import PlannedShard
from cycleisp.dataloaders.pairs.shards.selection import Part
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.tasks.cluster.networks import ACTORS_PER_GPU, FarNetworks
from cycleisp.tasks.pair_maker import PairMaker
from cycleisp.tasks.processes import ALONE
from cycleisp.tasks.shards import claimed_part, count, open_folder, plan_of, wanted_pairs
from cycleisp.utils.config import GenerationRecipe
from cycleisp.utils.errors import UserError, reason

log = logging.getLogger(__name__)

RETRIES = 3  # of a task whose process or machine was lost; an error of the task itself is none of these
_THREADS_OF_TASK = 2  # that read, and that write, where the recipe says nothing: a task has one core
_AHEAD = 2  # tasks for each core that wait for one, so that no core waits for the driver


def generate_with_ray(recipe: GenerationRecipe) -> Summary:
    """Makes the shards of a recipe on a cluster, and returns what became of their pairs.

    Args:
        recipe: the photos, the output folder and all options. `address` names a cluster; without it
            one of this machine alone is started, and ended at the end.

    Raises:
        UserError: as `generate_shards`; or Ray is not installed, or the cluster does not answer.
            Finished shards are kept.
    """
    ray = import_ray()
    part = Part.chosen(recipe.shard_range)
    wanted, output, summary = wanted_pairs(recipe), Path(recipe.output), Summary()
    with claimed_part(output, part, ALONE), own_folder(output, f"{part.name}.ray") as work, _cluster(ray, recipe):
        plan = plan_of(recipe, wanted, progress=True)
        shards = [plan.shard(number, wanted) for number in part.shards(plan.shards)]
        recipe, networks = _networks_for(ray, recipe)
        task = ray.remote(max_retries=RETRIES, num_cpus=1)(make_in_task)
        log.info("%d shards in all, this run makes %d of them (%s)", plan.shards, len(shards), part.name)
        try:
            with pair_bar(sum(len(shard.sources) for shard in shards), progress=True) as bar:
                for planned, result in _results(ray, task, recipe, shards, work, networks):
                    if isinstance(result, str):
                        summary.skip(output / shard_name(planned.number), result)
                    else:
                        count(result, planned, summary)
                    bar.update(len(planned.sources))
                    bar.set_postfix(skipped=len(summary.skipped))
        finally:
            merge(output)
    return summary


def import_ray() -> Any:
    """Returns the package ray.

    Raises:
        UserError: it is not installed.
    """
    try:
        import ray
    except ImportError:
        raise UserError("--engine ray needs Ray; pip install cycleisp[cluster], or leave --engine out") from None
    return ray


@contextmanager
def _cluster(ray: Any, recipe: GenerationRecipe) -> Iterator[None]:
    """Joins a cluster, or starts one of this machine alone, while the block runs."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        options = {} if recipe.address else {"include_dashboard": False}
        ray.init(address=recipe.address or "local", logging_level=logging.WARNING, **options)
    except Exception as error:  # Ray raises plain ones, too, as where a machine is too busy to start it
        raise UserError(
            f"--address {recipe.address or '(this machine)'}: no cluster of Ray answers ({reason(error)}); start one "
            "with `ray start --head`, or leave --address out"
        ) from None
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray has one that ends this process without a word
    try:
        yield
    finally:
        ray.shutdown()  # its tasks end with the driver


def _networks_for(ray: Any, recipe: GenerationRecipe) -> tuple[GenerationRecipe, FarNetworks | None]:
    """Returns the recipe with the device of all tasks, and the networks on GPUs, if these compute.

    Results of CPUs and of GPUs differ in the last place, so that a folder never mixes them. On CPUs
    each task has networks of its own, on its core: to send photos elsewhere would gain nothing.

    Raises:
        UserError: the cluster has no GPU, and the recipe asks for one; or as `PairMaker.open`.
    """
    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    device = recipe.device
    if device == "auto":
        device = "cuda" if gpus else "cpu"
    workers = recipe.workers if "workers" in recipe.model_fields_set else _THREADS_OF_TASK
    recipe = recipe.model_copy(update={"device": device, "workers": workers})
    if device == "cpu":
        return recipe, None
    if not gpus:
        raise UserError(
            f"--device {device}: the cluster has no GPU; leave --device out, or join a machine that has one"
        )
    # Actors ask for no core: tasks that wait for a lost one hold them all, and it could not return.
    share = {"num_gpus": 1 / ACTORS_PER_GPU, "num_cpus": 0}
    return recipe, FarNetworks.start(ray, recipe, str(Path.cwd()), ACTORS_PER_GPU * gpus, **share)


def _results(
    ray: Any,
    task: Any,
    recipe: GenerationRecipe,
    shards: list[PlannedShard],
    work: Path,
    networks: FarNetworks | None = None,
) -> Iterator[tuple[PlannedShard, MadeShard | str]]:
    """Yields each shard with what its task returned, or in words why it was lost.

    Raises:
        UserError: a task has raised it, as all others would.
    """
    most = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting = deque(shards)
    running: dict[Any, PlannedShard] = {}
    while waiting or running:
        while waiting and len(running) < most:
            shard = waiting.popleft()
            places = str(work.absolute()), str(Path.cwd())
            running[task.remote(recipe.model_dump_json(), shard, *places, networks)] = shard
        (ready, *_), _ = ray.wait(list(running), num_returns=1)
        shard = running.pop(ready)
        try:
            yield shard, ray.get(ready)
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, Exception) and not isinstance(cause, ray.exceptions.RayError):
                raise cause from None
            lost = "its networks were lost" if cause else f"its task was lost {RETRIES + 1} times"
            yield shard, f"{lost} ({reason(error)}); the same command tries it again"


def make_in_task(
    recipe: str, shard: PlannedShard, work: str, present: str, networks: FarNetworks | None = None
) -> MadeShard:
    """Makes one shard in a process of the cluster.

    Args:
        recipe: the recipe as JSON.
        shard: what to make.
        work: a folder of the run, in which the task makes one of its own.
        present: the present folder of the driver, from which the paths of a recipe begin.
        networks: those that compute; None computes here.

    Raises:
        UserError, OSError: as `make_shards`; or this machine has no such folder.
    """
    os.chdir(present)
    whole = GenerationRecipe.model_validate_json(recipe)
    maker = _maker(recipe) if networks is None else networks.maker(import_ray(), whole, shard.number)
    folder = open_folder(whole, maker)
    with tempfile.TemporaryDirectory(prefix=f"{shard.number:06d}-", dir=work) as place:
        (made,) = make_shards(folder, [shard], maker.factory, Path(place), maker.made_by)
    return made


@lru_cache(maxsize=1)  # a process makes many shards of one run
def _maker(recipe: str) -> PairMaker:
    return PairMaker.open(GenerationRecipe.model_validate_json(recipe), ALONE)
