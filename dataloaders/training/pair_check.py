"""The check of pairs before training, so that a damaged one does not end it hours later."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cycleisp.dataloaders.pairs.folders import find_pairs
from cycleisp.dataloaders.pairs.raw_files import check_raw_pair
from cycleisp.dataloaders.photo_check import Check, decode, decode_apart
from cycleisp.dataloaders.photo_store import Usable
from cycleisp.dataloaders.photos import PhotoError
from cycleisp.dataloaders.sources import Source
from cycleisp.dataloaders.training.packed_pairs import PackedPairs
from cycleisp.dataloaders.training.pair_sources import PairGroup, TrainingPair, shorter_side
from cycleisp.dataloaders.training.shard_check import ShardSource, shards_to_check, without_damaged
from cycleisp.utils.errors import UserError
from cycleisp.utils.processes.apart import apart

log = logging.getLogger(__name__)


def usable_pairs(groups: Sequence[PairGroup], usable: Usable) -> list[PairGroup]:
    """Leaves out the pairs that training could not read. A warning names each.

    Args:
        groups: the pairs of each folder, sRGB or RAW, and of shards.
        usable: returns those files of a list that can be used, as `RunStart.usable`.

    Raises:
        UserError: nothing is left of a folder; or as `usable`.
    """
    present: list[PairGroup] = [
        group if isinstance(group, PackedPairs) else [pair for pair in group if _is_there(pair)] for group in groups
    ]
    _check_some_are_left(groups, present)
    sources: dict[str, Source] = {}
    for group in present:
        if isinstance(group, PackedPairs):
            sources |= {shard.name: shard for shard in shards_to_check(group)}
        else:
            sources |= {str(path): Source(path, str(path)) for pair in group for path in pair.files()}
    found = usable(list(sources.values()), _check_of(present))
    whole = {source.path for source in found}
    kept: list[PairGroup] = [
        without_damaged(group, found)
        if isinstance(group, PackedPairs)
        else [pair for pair in group if whole.issuperset(pair.files()) and _fits(pair)]
        for group in present
    ]
    _check_some_are_left(groups, kept)
    return kept


def _check_of(groups: Sequence[PairGroup]) -> Check:
    """Returns how to check a file of some pairs."""
    folders = [group for group in groups if not isinstance(group, PackedPairs)]
    sides = {pair.raw: pair.side for group in folders for pair in group if pair.raw is not None}

    def check(source: Source) -> dict[str, Any] | None:
        if isinstance(source, ShardSource):
            return source.check()
        if source.path in sides:
            apart(check_raw_pair, source.path, sides[source.path])
        else:
            decode_apart(source)
        return None

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


def _check_some_are_left(before: Sequence[PairGroup], after: Sequence[PairGroup]) -> None:
    for all_pairs, left in zip(before, after, strict=True):
        if not len(left):
            raise UserError(f"{all_pairs[0].folder}: none of its {len(all_pairs)} pairs can be used")


def check_validation(folders: Sequence[Path]) -> None:
    """Decodes all pictures of folders of pairs. Raises PhotoError for one that is damaged.

    None is left out: figures of other pictures would not compare.
    """
    for folder in folders:
        for pair in find_pairs(folder):
            apart(decode, pair.noisy)
            apart(decode, pair.clean)
