"""Makes noisy/clean pairs of photos: what generate_data.py does, as a function.

    from cycleisp.tasks.generation import generate_pairs
    from cycleisp.utils.config import GenerationRecipe

    made = generate_pairs(GenerationRecipe(input=["photos"], output="pairs", noise="sidd"))

Pairs of images that lie in memory are made by `cycleisp.synthesize`.
"""

from dataclasses import dataclass
from pathlib import Path

from cycleisp.dataloaders.pairs.naming import repeated
from cycleisp.dataloaders.pairs.preview import write_preview
from cycleisp.dataloaders.pairs.report import report_parts
from cycleisp.dataloaders.pairs.shards.conversion import preview_of_shards
from cycleisp.dataloaders.pairs.store import PairStore, Record
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.dataloaders.sources import find_sources
from cycleisp.tasks.cluster.engine import generate_with_ray
from cycleisp.tasks.pair_maker import PairMaker
from cycleisp.tasks.processes import ALONE, Process
from cycleisp.tasks.shards import generate_shards
from cycleisp.utils.config import GenerationRecipe
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.report.runs import report_at_end, report_path
from cycleisp.utils.processes.together import claimed_together

__all__ = ["ALONE", "GeneratedPairs", "Process", "generate_pairs"]


@dataclass(frozen=True)
class GeneratedPairs:
    """What a run of `generate_pairs` has left.

    Attributes:
        folder: the folder of the pairs; `dataloaders/pairs/store.py` describes its files.
        summary: how many pairs this process made, kept and skipped.
        records: the lines of the manifest, one for each pair in the folder, sorted by name; none of
            a folder of shards, whose readers are in `dataloaders/pairs/shards/reading.py`.
    """

    folder: Path
    summary: Summary
    records: list[Record]

    def write_preview(self) -> Path | None:
        """Writes `preview.png`, a contact sheet of the first pairs, into the folder.

        Returns:
            Its path; None if the folder holds no pair.

        Raises:
            UserError: a file of a pair cannot be read.
        """
        if self.records:
            return write_preview(self.folder, self.records)
        return preview_of_shards(self.folder)


def generate_pairs(
    recipe: GenerationRecipe, process: Process = ALONE, report: Path | str | None = None
) -> GeneratedPairs:
    """Makes the pairs that a recipe asks for and that its output folder does not hold yet.

    A run that was stopped goes on when the same recipe is given again. A photo that cannot be used
    is left out and named in the summary. The same photo and seed always make the same pair.

    The contact sheet that `recipe.preview` asks for is left to the caller, who draws it by
    `write_preview` of the result.

    Args:
        recipe: the photos, the output folder and all options.
        process: this process, where several share the photos.
        report: a page of HTML that the first process writes at the end, also of a run that is
            stopped: pictures, noise levels, and what was skipped.

    Raises:
        UserError: no photos, unknown noise or weights, an output folder that cannot be written or
            that holds pairs made with other settings. Finished pairs are kept.
    """
    _check_options(recipe, process)
    page, told = report_path(report) if process.is_first else None, list[Summary]()
    with report_at_end(page, "Noisy/clean pairs", lambda: report_parts(Path(recipe.output), told[0] if told else None)):
        return _generate(recipe, process, told)


def _generate(recipe: GenerationRecipe, process: Process, told: list[Summary]) -> GeneratedPairs:
    """Makes pairs as `generate_pairs`. It puts the summary into `told` as soon as there is one."""
    if recipe.engine == "ray":
        told.append(generate_with_ray(recipe))
        return GeneratedPairs(Path(recipe.output), told[0], [])
    if recipe.shards:
        told.append(generate_shards(recipe, process))
        return GeneratedPairs(Path(recipe.output), told[0], [])
    maker = PairMaker.open(recipe, process)
    sources = find_sources(recipe.input, exclude=Path(recipe.output))[: recipe.limit]
    with claimed_together(Path(recipe.output), "--output", process.rank, process.world_size):
        store = PairStore(Path(recipe.output), maker.settings, process.rank)
        factory = maker.factory(store)
        told.append(factory.summary)
        try:
            wanted = repeated(store.named(sources), recipe.repeats)[: recipe.limit]
            mine = wanted[process.rank :: process.world_size]
            summary = factory.run(mine, progress=process.is_first)
        finally:
            records = store.merge()
    return GeneratedPairs(store.folder, summary, records)


def _check_options(recipe: GenerationRecipe, process: Process) -> None:
    """Refuses options that mean nothing together."""
    if not recipe.shards and recipe.shard_range is not None:
        raise UserError(f"--shard-range {recipe.shard_range} is for --shards; give both, or none")
    if not recipe.shards and recipe.engine == "ray":
        raise UserError("--engine ray makes shards; give --shards, too, or leave --engine out")
    if recipe.engine != "ray" and recipe.address is not None:
        raise UserError(f"--address {recipe.address} is for --engine ray; give both, or none")
    if recipe.engine == "ray" and process.world_size > 1:
        raise UserError("--engine ray starts its own processes; run it with python, not with torchrun")
