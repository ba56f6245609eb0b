"""Makes noisy/clean pairs in shards: what `generate_data.py --shards` does.

Which pairs belong to which shard is planned first. Then every process makes its shards by the one
function `dataloaders.pairs.shards.making.make_shards`.
"""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from cycleisp.dataloaders.pairs.factory import pair_bar
from cycleisp.dataloaders.pairs.naming import repeated, with_names
from cycleisp.dataloaders.pairs.shards.folder import MAKING, ShardFolder, merge, own_folder
from cycleisp.dataloaders.pairs.shards.making import MadeShard, make_shards
from cycleisp.dataloaders.pairs.shards.planning import Plan, PlannedShard, estimated_bytes, plan_shards
from cycleisp.dataloaders.pairs.shards.selection import Part
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.dataloaders.sources import Source, find_sources
from cycleisp.tasks.pair_maker import PairMaker
from cycleisp.tasks.processes import Process
from cycleisp.utils.config import GenerationRecipe
from cycleisp.utils.output.result_names import TakenNames
from cycleisp.utils.processes.together import claimed_together

log = logging.getLogger(__name__)


def generate_shards(recipe: GenerationRecipe, process: Process) -> Summary:
    """Makes the shards that a recipe asks for and that its output folder does not hold yet.

    Args:
        recipe: the photos, the output folder and all options.
        process: this process, where several share the shards.

    Returns:
        How many pairs were made, kept and left out by this process.

    Raises:
        UserError: as `generate_pairs`; or the folder was begun with other photos, or another run
            makes the same shards. Finished shards are kept.
    """
    part = Part.chosen(recipe.shard_range)
    maker = PairMaker.open(recipe, process)
    wanted = wanted_pairs(recipe)
    output = Path(recipe.output)
    with claimed_part(output, part, process):
        folder = open_folder(recipe, maker)
        plan = plan_of(recipe, wanted, process.is_first)
        shards = [plan.shard(number, wanted) for number in part.shards(plan.shards, process.rank, process.world_size)]
        if process.is_first:
            log.info("%d shards in all, this process makes %d of them (%s)", plan.shards, len(shards), part.name)
        with (
            own_folder(output, f"{part.name}.rank{process.rank}") as work,
            pair_bar(sum(len(shard.sources) for shard in shards), process.is_first) as bar,
        ):
            try:
                made = make_shards(folder, shards, maker.factory, work, maker.made_by, bar)
            finally:
                merge(output)
    summary = Summary()
    for planned, shard in zip(shards, made, strict=True):
        count(shard, planned, summary)
    return summary


def plan_of(recipe: GenerationRecipe, wanted: list[Source], progress: bool) -> Plan:
    """Returns which pairs belong to which shard, and plans it if no process has done so.

    Raises:
        UserError, OSError: as `plan_shards`.
    """
    raw, srgb = recipe.space != "srgb", recipe.space != "raw"
    estimate = partial(estimated_bytes, with_raw=raw, with_srgb=srgb, with_variance=recipe.variance)
    return plan_shards(Path(recipe.output), wanted, recipe.shard_size, estimate, progress)


def open_folder(recipe: GenerationRecipe, maker: PairMaker) -> ShardFolder:
    """Opens the folder of a recipe. Raises UserError as `ShardFolder` does."""
    return ShardFolder(
        Path(recipe.output), {**maker.settings, "shard_size": recipe.shard_size, "repeats": recipe.repeats}
    )


def wanted_pairs(recipe: GenerationRecipe) -> list[Source]:
    """Returns a source for each pair that a recipe asks for, in an order that all processes find.

    Raises:
        UserError: as `find_sources` and `repeated`.
    """
    sources = find_sources(recipe.input, exclude=Path(recipe.output))[: recipe.limit]
    named = with_names(sources, [None] * len(sources), TakenNames())
    return repeated(named, recipe.repeats)[: recipe.limit]


def count(shard: MadeShard, planned: PlannedShard, summary: Summary) -> None:
    """Adds a shard to the summary of a run. Photos without a pair are named by each run."""
    if shard.is_new:
        summary.made += shard.done.entry.pairs
    else:
        summary.kept += shard.done.entry.pairs
    paths = {source.name: source.path for source in planned.sources}
    for one in shard.done.left_out:
        summary.skip(paths[one.name], one.reason)


@contextmanager
def claimed_part(output: Path, part: Part, process: Process) -> Iterator[None]:
    """Holds a folder, or a part of it, so that no second run makes the same shards.

    Whoever makes all shards holds the folder. Whoever makes a part holds that part alone: other
    runs, on other machines as well, make other parts at the same time.

    Raises:
        UserError: another run holds it.
    """
    whole = part.name == "all"
    folder, option = (output, "--output") if whole else (output / MAKING / part.name, "--shard-range")
    with claimed_together(folder, option, process.rank, process.world_size):
        if process.is_first:
            _forget_processes(output, part, process.world_size)
        yield


def _forget_processes(output: Path, part: Part, processes: int) -> None:
    """Removes what processes of a killed run have left that had numbers which this run has not."""
    for folder in (output / MAKING).glob(f"{part.name}.rank*"):
        rank = folder.name.rpartition("rank")[2]
        if not rank.isdecimal() or int(rank) >= processes:
            shutil.rmtree(folder, ignore_errors=True)
