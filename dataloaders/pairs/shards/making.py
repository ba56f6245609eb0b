"""Makes shards: the one function that every engine calls, whoever divides the work."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tqdm import tqdm

from cycleisp.dataloaders.pairs.factory import PairFactory, PairSink
from cycleisp.dataloaders.pairs.shards.folder import DoneShard, LeftOut, ShardFolder
from cycleisp.dataloaders.pairs.shards.layout import key_of, shard_name
from cycleisp.dataloaders.pairs.shards.members import about, encode_members
from cycleisp.dataloaders.pairs.shards.planning import PlannedShard
from cycleisp.dataloaders.pairs.shards.writing import ShardWriter
from cycleisp.dataloaders.pairs.store import PairFiles, Record
from cycleisp.dataloaders.sources import Source
from cycleisp.utils.fingerprints import Fingerprint

# What turns a sink into the factory that fills it: networks, settings and numbers of threads.
FactoryFor = Callable[[PairSink], PairFactory]


@dataclass(frozen=True)
class MadeShard:
    """A finished shard.

    Attributes:
        done: what its done-file says.
        is_new: whether it was made just now, and not by an earlier run.
    """

    done: DoneShard
    is_new: bool


def make_shards(
    folder: ShardFolder,
    shards: Sequence[PlannedShard],
    factory_for: FactoryFor,
    work: Path,
    made_by: Mapping[str, Any],
    bar: tqdm | None = None,
) -> list[MadeShard]:
    """Makes those of some shards that are not finished, one after the other.

    The bytes of each depend on its photos and the settings alone. It comes into the folder as soon
    as it is whole. While the last pairs of one are written, the next one is begun. A photo that
    cannot be used is left out, and the done-file says why.

    Args:
        folder: the folder.
        shards: which to make.
        factory_for: makes the factory.
        work: a folder of this process alone, on the disk of the folder.
        made_by: what the done-files shall say of this machine.
        bar: a bar to move on by one for each pair.

    Returns:
        All of them, in their order.

    Raises:
        UserError: the disk is full or cannot be written. Finished shards are kept, and nothing is
            left of others.
        OSError: the same, while a shard is put into its folder.
    """
    with _Shards(folder, shards, work, made_by) as sink:
        factory_for(sink).run([source for shard in shards for source in shard.sources], progress=False, bar=bar)
        return [sink.made[shard.number] for shard in shards]


class _Shards:
    """Takes pairs, and gives each to its shard.

    Attributes:
        folder: the folder of shards, which messages name.
        made: the finished shards, by their numbers.
    """

    def __init__(
        self, folder: ShardFolder, shards: Sequence[PlannedShard], work: Path, made_by: Mapping[str, Any]
    ) -> None:
        self.folder = folder.folder
        self.made: dict[int, MadeShard] = {}
        self._shards, self._work, self._made_by = folder, work, made_by
        self._planned = {source.name: shard for shard in shards for source in shard.sources}
        self._open: dict[int, _OpenShard] = {}

    def __enter__(self) -> "_Shards":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for shard in self._open.values():
            shard.writer.discard()

    def is_finished(self, source: Source) -> bool:
        """Tells whether the shard of a source is finished. The others are begun here."""
        planned = self._planned[source.name]
        if planned.number not in self._open and planned.number not in self.made:
            done = self._shards.finished(planned.number, planned.sources)
            if done is not None:
                self.made[planned.number] = MadeShard(done, is_new=False)
            else:
                self._open[planned.number] = _OpenShard(planned, self._work)
        return planned.number in self.made

    def write(self, name: str, pair: PairFiles, record: Record) -> None:
        """Encodes a pair, and writes all that are ready.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        fingerprint = Fingerprint.from_json(record, "source_")
        assert fingerprint is not None
        self._settle(name, _Encoded(encode_members(pair, name, record), about(record, name), fingerprint))

    def leave_out(self, source: Source, reason: str, again: bool) -> None:
        """Notes a photo without a pair.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        try:
            content = Fingerprint.of(source.path)
        except OSError:
            content = None
        self._settle(source.name, LeftOut(source.name, source.relative, reason, content, again))

    def _settle(self, name: str, result: "_Encoded | LeftOut") -> None:
        number = self._planned[name].number
        shard = self._open[number]
        if shard.settle(name, result):
            done = DoneShard(shard.writer.finish(), shard.photos, tuple(shard.left_out), self._made_by)
            self._shards.publish(shard.writer.path, done)
            self.made[number] = MadeShard(done, is_new=True)
            del self._open[number]


@dataclass(frozen=True)
class _Encoded:
    """A pair on its way into the tar: members, what the index says, and the photo's content."""

    members: dict[str, bytes]
    about: dict[str, Any]
    photo: Fingerprint


class _OpenShard:
    """Writes the pairs of one shard in the order of the list.

    Pairs are encoded in the threads that bring them. Those that come early wait in memory; a
    factory is never far ahead of its slowest pair.

    Attributes:
        writer: of the tar.
        photos: the content of the photo of each pair, by the pair's name.
        left_out: the photos without a pair, in the order of the list.
    """

    def __init__(self, planned: PlannedShard, work: Path) -> None:
        self.writer = ShardWriter(work / shard_name(planned.number))
        self.photos: dict[str, Fingerprint] = {}
        self.left_out: list[LeftOut] = []
        self._first = planned.first_pair
        self._places = {source.name: place for place, source in enumerate(planned.sources)}
        self._waiting: dict[int, _Encoded | LeftOut] = {}
        self._next = 0
        self._lock = threading.Lock()

    def settle(self, name: str, result: _Encoded | LeftOut) -> bool:
        """Writes what is ready, and tells whether that was the last of the shard."""
        with self._lock:
            self._waiting[self._places[name]] = result
            while (ready := self._waiting.pop(self._next, None)) is not None:
                if isinstance(ready, LeftOut):
                    self.left_out.append(ready)
                else:
                    self.writer.add(key_of(self._first + self._next), ready.members, ready.about)
                    self.photos[ready.about["name"]] = ready.photo
                self._next += 1
            return self._next == len(self._places)
