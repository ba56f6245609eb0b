"""The check of pairs on disk before training, so that a damaged one does not end it hours later."""

import logging
from collections.abc import Sequence
from pathlib import Path

from cycleisp.dataloaders.pairs.folders import find_pairs
from cycleisp.dataloaders.pairs.raw_files import check_raw_pair
from cycleisp.dataloaders.photo_check import Check, decode, decode_apart
from cycleisp.dataloaders.photo_store import Usable
from cycleisp.dataloaders.photos import PhotoError
from cycleisp.dataloaders.sources import Source
from cycleisp.dataloaders.training.pair_sources import TrainingPair, shorter_side
from cycleisp.utils.errors import UserError
from cycleisp.utils.processes.apart import apart

log = logging.getLogger(__name__)


def usable_pairs(groups: Sequence[list[TrainingPair]], usable: Usable) -> list[list[TrainingPair]]:
    """Leaves out the pairs that training could not read. A warning names each.

    Args:
        groups: the pairs of each folder, sRGB or RAW.
        usable: returns those files of a list that can be used, as `RunStart.usable`.

    Raises:
        UserError: nothing is left of a folder; or as `usable`.
    """
    present = [[pair for pair in group if _is_there(pair)] for group in groups]
    _check_some_are_left(groups, present)
    paths = dict.fromkeys(path for group in present for pair in group for path in pair.files())
    files = usable([Source(path, str(path)) for path in paths], _check_of(present))
    whole = {source.path for source in files}
    kept = [[pair for pair in group if whole.issuperset(pair.files()) and _fits(pair)] for group in present]
    _check_some_are_left(groups, kept)
    return kept


def _check_of(groups: Sequence[Sequence[TrainingPair]]) -> Check:
    """Returns how to check a file of some pairs."""
    sides = {pair.raw: pair.side for group in groups for pair in group if pair.raw is not None}

    def check(source: Source) -> None:
        if source.path in sides:
            apart(check_raw_pair, source.path, sides[source.path])
        else:
            decode_apart(source)

    return check


def _is_there(pair: TrainingPair) -> bool:
    missing = [path for path in pair.files() if not path.is_file()]
    for path in missing:
        log.warning("left out %s: is missing; generate_data.py makes it again", path)
    return not missing


def _fits(pair: TrainingPair) -> bool:
    """Tells whether two pictures have one size, and that of the manifest, by their headers."""
    if pair.paths is None:
        return True
    try:
        side = shorter_side(pair.paths)
    except PhotoError as error:
        log.warning("left out %s", error)
        return False
    if side < pair.side:
        log.warning("left out %s: its shorter side is %d, expected %d", pair.paths.noisy, side, pair.side)
    return side >= pair.side


def _check_some_are_left(before: Sequence[list[TrainingPair]], after: Sequence[list[TrainingPair]]) -> None:
    for all_pairs, left in zip(before, after, strict=True):
        if not left:
            raise UserError(f"{all_pairs[0].folder}: none of its {len(all_pairs)} pairs can be used")


def check_validation(folders: Sequence[Path]) -> None:
    """Decodes all pictures of folders of pairs. Raises PhotoError for one that is damaged.

    None is left out: figures of other pictures would not compare.
    """
    for folder in folders:
        for pair in find_pairs(folder):
            apart(decode, pair.noisy)
            apart(decode, pair.clean)
