"""Which source a record belongs to."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Generic, TypeVar

from cycleisp.dataloaders.sources import Source
from cycleisp.utils.fingerprints import Fingerprint

Known = TypeVar("Known")


class KnownSources(Generic[Known]):
    """The newest record of each source.

    A source is the same as before if it has the same relative path, and the same absolute path or
    the same content. So a photo that was edited and a folder that was moved keep their results, and
    photos of one name in two folders have results of their own.
    """

    def __init__(self) -> None:
        # relative path, where it is known -> absolute path -> content and record, the newest last
        self._records: dict[str | None, dict[str, tuple[Fingerprint, Known]]] = defaultdict(dict)

    def add(self, relative: str | None, path: str, fingerprint: Fingerprint, record: Known) -> None:
        """Adds the record of a source, in place of an older one."""
        records = self._records[relative]
        records.pop(path, None)
        records[path] = fingerprint, record

    def find(self, sources: Sequence[Source]) -> list[Known | None]:
        """Returns the record of each source of a run, or None. No two sources share a record."""
        places = {source.place for source in sources}
        found: list[Known | None] = []
        used: set[int] = set()
        for source in sources:
            record = self._find(source, places)
            found.append(None if id(record) in used else record)
            used.add(id(record))
        return found

    def _find(self, source: Source, places: Collection[str]) -> Known | None:
        """Returns the record of a source.

        A record with one of the places belongs to the source there, and not to a copy of it.
        """
        place, records = source.place, self._records.get(source.relative, {})
        for known in (records, self._records.get(None, {})):
            if place in known:
                return known[place][1]
        for path, (fingerprint, record) in reversed(records.items()):
            if path not in places and fingerprint.has_content_of(source.path):
                return record
        return None
