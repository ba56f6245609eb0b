"""Everything that turns photos into pairs by a recipe: networks, noise and settings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from cycleisp.dataloaders.pairs.computing import Compute, Computing
from cycleisp.dataloaders.pairs.factory import PairFactory, PairSink
from cycleisp.dataloaders.real_noise.residuals import open_noise
from cycleisp.networks.acceleration import to_device
from cycleisp.networks.pretrained import load_cycleisp
from cycleisp.networks.synthesis.learned_camera import LearnedCamera
from cycleisp.networks.synthesis.photo_pairs import PairSynthesizer
from cycleisp.tasks.processes import Process
from cycleisp.utils.config import GenerationRecipe
from cycleisp.utils.devices import inference_precision, pick_device
from cycleisp.utils.version import code_version


@dataclass(frozen=True)
class PairMaker:
    """Makes pairs by a recipe, for an unpacked folder or for shards.

    Attributes:
        settings: everything that the bytes of a pair depend on besides its photo.
        made_by: what else may explain a difference between two machines; it goes into the records.
        compute: makes pairs from a batch of photos.
        memory: how many bytes of memory that takes for a photo of so many pixels; None on a GPU.
        batch_size, workers: as the recipe has them.
    """

    settings: dict[str, Any]
    made_by: dict[str, Any]
    compute: Compute
    memory: Callable[[int], int] | None
    batch_size: int
    workers: int

    @classmethod
    def open(cls, recipe: GenerationRecipe, process: Process) -> "PairMaker":
        """Loads what a recipe names.

        Raises:
            UserError: the device, the noise or the weights are unknown or cannot be used.
        """
        device = pick_device(recipe.device, process.local_rank)
        isp, weights_sha256 = load_cycleisp(recipe.weights)
        noise = open_noise(recipe, progress=process.is_first)
        settings: dict[str, Any] = recipe.model_dump(
            include={"space", "noise", "clean_target", "blur", "seed", "variance"}
        )
        precision = inference_precision(recipe.precision, device)
        settings |= {"precision": precision, "weights_sha256": weights_sha256, **noise.settings}
        synthesizer = PairSynthesizer(
            LearnedCamera(to_device(isp, device), recipe.clean_target, precision),
            noise,
            blur_sigma=recipe.blur,
            with_srgb=recipe.space != "raw",
        )
        # Equal settings give equal bytes; these two say where sums may differ in the last place.
        machine = {"threads": torch.get_num_threads(), "cpu_capability": torch.backends.cpu.get_cpu_capability()}
        return cls(
            settings=settings,
            made_by={**machine, "weights": recipe.weights, "version": code_version()},
            compute=Computing(
                synthesizer,
                keep_raw=recipe.space != "srgb",
                keep_srgb=recipe.space != "raw",
                keep_variance=recipe.variance,
            ),
            memory=synthesizer.needed_memory if device.type == "cpu" else None,
            batch_size=recipe.batch_size,
            workers=recipe.workers,
        )

    def factory(self, sink: PairSink) -> PairFactory:
        """Returns what fills a folder or a shard with pairs."""
        return PairFactory(
            sink,
            self.compute,
            {**self.settings, **self.made_by},
            batch_size=self.batch_size,
            workers=self.workers,
            memory=self.memory,
        )
