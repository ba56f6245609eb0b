"""The check of shards before a training, so that a damaged one does not end it hours later.

A shard of this machine is compared with its SHA-256 in the list of shards, which takes as long as
reading it. Only where that differs are its pairs decoded, to find out which of them are damaged;
the others are trained on. A remote shard is not fetched for its check. It must be there in its full
size; what is damaged inside of it is noticed when it is drawn, by the checksums of PNG and ZIP.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cycleisp.dataloaders.pairs.shards.decoding import check_members
from cycleisp.dataloaders.pairs.shards.layout import ShardEntry
from cycleisp.dataloaders.pairs.shards.reading import AGAIN, is_url, read_range
from cycleisp.dataloaders.sources import Source
from cycleisp.dataloaders.training.packed_pairs import PackedPairs
from cycleisp.utils.errors import UserError, reading
from cycleisp.utils.fingerprints import file_sha256
from cycleisp.utils.processes.apart import apart

log = logging.getLogger(__name__)
_LISTED = 20  # damaged pairs of a shard in the log
LEFT_OUT = "left_out"  # in the record of a run: the damaged pairs of a shard, each with the reason


@dataclass(frozen=True)
class ShardSource(Source):
    """A shard among the files that a training checks.

    Attributes:
        entry: its line in the list of shards.
        pairs: those of its pairs that are to be trained on.
        left_out: the names of those that the check has found damaged.
    """

    entry: ShardEntry | None = None
    pairs: PackedPairs | None = None
    left_out: frozenset[str] = frozenset()

    def stamp(self) -> dict[str, int]:
        """Returns what tells whether the shard has changed: of a remote one, its line."""
        entry = self._entry
        if is_url(entry.url):
            return {"bytes": entry.bytes, "modified_ns": int(entry.sha256[:15], 16)}
        return super().stamp()

    def is_there(self) -> bool:
        """Tells whether the file exists. A remote one that does not is left out."""
        return is_url(self._entry.url) or super().is_there()

    def checked(self, facts: Mapping[str, Any]) -> "ShardSource":
        """Returns the shard without the pairs that its check has found damaged, and names them."""
        damaged = facts.get(LEFT_OUT)
        if not isinstance(damaged, dict) or not damaged:
            return self
        for why in list(damaged.values())[:_LISTED]:
            log.warning("left out %s", why)
        if len(damaged) > _LISTED:
            log.warning("left out %d more pairs of %s", len(damaged) - _LISTED, self._entry.url)
        return replace(self, left_out=frozenset(damaged))

    def check(self) -> dict[str, Any]:
        """Compares the shard with its line in the list.

        Returns:
            Nothing of a whole shard; of a damaged one, its damaged pairs.

        Raises:
            UserError: it is missing, or none of its pairs can be used.
        """
        entry = self._entry
        if is_url(entry.url):
            read_range(entry.url, max(0, entry.bytes - 1), min(1, entry.bytes))
            return {}
        with reading(self.path, advice=AGAIN):
            digest = file_sha256(self.path)
        return {} if digest == entry.sha256 else self._damaged()

    def _damaged(self) -> dict[str, Any]:
        assert self.pairs is not None
        damaged = {}
        for pair in self.pairs:
            try:
                apart(check_members, self.path, pair.members)
            except UserError as error:
                damaged[pair.name] = str(error)
        words = f"{self.path}: its SHA-256 is not that of the list of shards"
        if len(damaged) == len(self.pairs):
            raise UserError(f"{words}, and none of its {len(self.pairs)} pairs can be read; {AGAIN}")
        log.warning("%s: %d of its %d pairs are damaged; %s", words, len(damaged), len(self.pairs), AGAIN)
        return {LEFT_OUT: damaged}

    @property
    def _entry(self) -> ShardEntry:
        assert self.entry is not None
        return self.entry


def shards_to_check(group: PackedPairs) -> list[ShardSource]:
    """Returns the shards of a group from which a training draws."""
    found = []
    for number, entry in enumerate(group.entries):
        pairs = group.of_shard(number)
        if len(pairs):
            found.append(ShardSource(Path(entry.url), entry.url, entry=entry, pairs=pairs))
    return found


def without_damaged(group: PackedPairs, usable: Iterable[Source]) -> PackedPairs:
    """Returns the pairs of a group that can be used.

    Args:
        group: the pairs.
        usable: the shards that can be used, as their check has returned them.
    """
    left_out = {source.name: source.left_out for source in usable if isinstance(source, ShardSource)}
    return group.without(
        {
            number: left_out.get(entry.url)
            for number, entry in enumerate(group.entries)
            if left_out.get(entry.url) != frozenset()
        }
    )
