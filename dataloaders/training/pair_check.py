"""The check of pairs on disk before training, so that a damaged one does not end it hours later."""

from collections.abc import Sequence
from pathlib import Path

from cycleisp.dataloaders.pairs.folders import find_pairs
from cycleisp.dataloaders.photo_check import decode
from cycleisp.dataloaders.photo_store import Usable
from cycleisp.dataloaders.sources import Source
from cycleisp.dataloaders.training.pair_sources import TrainingPair
from cycleisp.utils.errors import UserError
from cycleisp.utils.processes.apart import apart


def usable_pairs(groups: Sequence[list[TrainingPair]], usable: Usable) -> list[list[TrainingPair]]:
    """Leaves out the sRGB pairs of which a picture cannot be read. A warning names each.

    Args:
        groups: the pairs of each folder.
        usable: returns those pictures of a list that can be used, as `RunStart.usable`.

    Raises:
        UserError: nothing is left of a folder; or as `usable`.
    """
    pictures = {path: None for group in groups for pair in group if pair.paths is not None for path in _files(pair)}
    if not pictures:
        return list(groups)
    whole = {source.path for source in usable([Source(path, str(path)) for path in pictures])}
    kept = [[pair for pair in group if pair.paths is None or whole.issuperset(_files(pair))] for group in groups]
    for before, after in zip(groups, kept, strict=True):
        if not after:
            raise UserError(f"{before[0].folder}: none of its {len(before)} pairs can be used")
    return kept


def check_validation(folders: Sequence[Path]) -> None:
    """Decodes all pictures of folders of pairs. Raises PhotoError for one that is damaged.

    None is left out: figures of other pictures would not compare.
    """
    for folder in folders:
        for pair in find_pairs(folder):
            apart(decode, pair.noisy)
            apart(decode, pair.clean)


def _files(pair: TrainingPair) -> tuple[Path, Path]:
    assert pair.paths is not None
    return pair.paths.noisy, pair.paths.clean
