"""Makes noisy/clean pairs of photos: what generate_data.py does, as a function.

    from cycleisp.tasks.generation import generate_pairs
    from cycleisp.utils.config import GenerationRecipe

    made = generate_pairs(GenerationRecipe(input=["photos"], output="pairs", noise="sidd"))

Pairs of images that lie in memory are made by `cycleisp.synthesize`.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cycleisp.dataloaders.pairs.factory import PairFactory
from cycleisp.dataloaders.pairs.store import PairStore, Record
from cycleisp.dataloaders.real_noise.residuals import open_noise
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.dataloaders.sources import find_sources
from cycleisp.networks.acceleration import to_device
from cycleisp.networks.pretrained import load_cycleisp
from cycleisp.networks.synthesis.learned_camera import LearnedCamera
from cycleisp.networks.synthesis.photo_pairs import PairSynthesizer
from cycleisp.utils.config import GenerationRecipe
from cycleisp.utils.devices import inference_precision, pick_device
from cycleisp.utils.errors import UserError
from cycleisp.utils.processes.together import claimed_together
from cycleisp.utils.version import code_version


@dataclass(frozen=True)
class Process:
    """One of the processes that share the photos of a run.

    Attributes:
        rank: the number of this process among all, from 0.
        world_size: the number of processes.
        local_rank: the number of this process on its machine; process n takes GPU n.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @classmethod
    def from_environment(cls) -> "Process":
        """Reads the environment variables of torchrun; without them there is one process.

        Raises:
            UserError: they hold no numbers.
        """
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        values = [os.environ.get(name, default) for name, default in zip(names, ("0", "1", "0"), strict=True)]
        if not all(value.isdecimal() for value in values):
            said = " ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))
            raise UserError(f"{said}: expected whole numbers in these environment variables of torchrun; unset them")
        return cls(*map(int, values))

    @property
    def is_first(self) -> bool:
        """Returns whether this process speaks for all: it shows progress and draws the preview."""
        return self.rank == 0


ALONE = Process()


@dataclass(frozen=True)
class GeneratedPairs:
    """What a run of `generate_pairs` has left.

    Attributes:
        folder: the folder of the pairs; `dataloaders/pairs/store.py` describes its files.
        summary: how many pairs this process made, kept and skipped.
        records: the lines of the manifest, one for each pair in the folder, sorted by name.
    """

    folder: Path
    summary: Summary
    records: list[Record]


def generate_pairs(recipe: GenerationRecipe, process: Process = ALONE) -> GeneratedPairs:
    """Makes the pairs that a recipe asks for and that its output folder does not hold yet.

    A run that was stopped goes on when the same recipe is given again. A photo that cannot be used
    is left out and named in the summary. The same photo and seed always make the same pair.

    The contact sheet that `recipe.preview` asks for is left to the caller, who draws it by
    `dataloaders.pairs.preview.write_preview(made.folder, made.records)`.

    Args:
        recipe: the photos, the output folder and all options.
        process: this process, where several share the photos.

    Raises:
        UserError: no photos, unknown noise or weights, an output folder that cannot be written or
            that holds pairs made with other settings. Finished pairs are kept.
    """
    device = pick_device(recipe.device, process.local_rank)
    isp, weights_sha256 = load_cycleisp(recipe.weights)
    sources = find_sources(recipe.input, exclude=Path(recipe.output))[: recipe.limit]
    noise = open_noise(recipe, progress=process.is_first)
    settings: dict[str, Any] = recipe.model_dump(include={"space", "noise", "clean_target", "blur", "seed", "variance"})
    precision = inference_precision(recipe.precision, device)
    settings |= {"precision": precision, "weights_sha256": weights_sha256, **noise.settings}
    # Bytes are promised for equal settings; these two say where sums may differ in the last place.
    machine = {"threads": torch.get_num_threads(), "cpu_capability": torch.backends.cpu.get_cpu_capability()}
    synthesizer = PairSynthesizer(
        LearnedCamera(to_device(isp, device), recipe.clean_target, precision),
        noise,
        blur_sigma=recipe.blur,
        with_srgb=recipe.space != "raw",
    )
    with claimed_together(Path(recipe.output), "--output", process.rank, process.world_size):
        store = PairStore(Path(recipe.output), settings, process.rank)
        factory = PairFactory(
            store,
            synthesizer,
            {**settings, **machine, "weights": recipe.weights, "version": code_version()},
            keep_raw=recipe.space != "srgb",
            keep_srgb=recipe.space != "raw",
            keep_variance=recipe.variance,
            batch_size=recipe.batch_size,
            workers=recipe.workers,
            memory=synthesizer.needed_memory if device.type == "cpu" else None,
        )
        try:
            wanted = store.repeated(store.named(sources), recipe.repeats)[: recipe.limit]
            mine = wanted[process.rank :: process.world_size]
            summary = factory.run(mine, progress=process.is_first)
        finally:
            records = store.merge()
    return GeneratedPairs(store.folder, summary, records)
