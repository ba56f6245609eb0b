"""What a training does before it trains: it claims its folder, and checks its photos."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric

from cycleisp.dataloaders.photo_check import Check, check_photos, choose_photos, decode_apart, write_record
from cycleisp.dataloaders.sources import Source
from cycleisp.utils.config import TrainingRecipe
from cycleisp.utils.output.claim import claimed
from cycleisp.utils.processes.together import first_alone
from cycleisp.utils.training.mishaps import in_words
from cycleisp.utils.training.run_folder import CHECKPOINT, check_run_folder


class RunStart:
    """The start of a run in its folder. Used in a `with` block, which holds the folder.

    The folder is made and claimed when it is first needed, so that a command line that cannot work
    leaves nothing behind.

    Args:
        folder: the run folder.
        recipe: the whole experiment.
        fabric: of the run.
    """

    def __init__(self, folder: Path, recipe: TrainingRecipe, fabric: Fabric) -> None:
        self.folder, self.fabric, self._recipe = folder, fabric, recipe
        self._held, self._is_claimed = ExitStack(), False

    def __enter__(self) -> "RunStart":
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def claim(self) -> None:
        """Holds the folder for this run.

        Of several processes, the first one does so for all, which wait for it.

        Raises:
            UserError: another run holds it, it cannot be written, or as `check_run_folder`.
        """
        if self._is_claimed:
            return
        rank, processes = self.fabric.global_rank, self.fabric.world_size
        claim = claimed(self.folder, "--run-dir", shared=processes > 1)
        first_alone(lambda: self._held.enter_context(claim), rank, processes)
        check_run_folder(self.folder, self._recipe)
        self._is_claimed = True

    def usable(self, sources: Sequence[Source], check: Check = decode_apart) -> list[Source]:
        """Returns the photos of a run that can be used, as `choose_photos` does. All are decoded.

        Several processes share the work.

        Args:
            sources: the photos, or other files.
            check: how to check one of them.

        Raises:
            UserError: as `claim` and `choose_photos`.
        """
        self.claim()
        record, goes_on = self.folder / "photos.jsonl", (self.folder / CHECKPOINT).exists()
        rank, processes = self.fabric.global_rank, self.fabric.world_size
        checked = check_photos(sources, record, goes_on, (rank, processes), check)
        if processes > 1:
            parts: list[Any] = [None] * processes
            with in_words(processes):
                torch.distributed.all_gather_object(parts, checked)
            checked = {name: line for part in parts for name, line in part.items()}
        chosen = choose_photos(sources, checked, record, goes_on)
        if processes > 1:
            with in_words(processes):
                self.fabric.barrier()  # until all have read the record
        if self.fabric.is_global_zero:
            write_record(record, sources, checked, goes_on)
        return chosen
