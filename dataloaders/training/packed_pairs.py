"""Pairs to train on in shards, each of which is read by itself, where it lies.

Nothing is unpacked: the index of a shard says which bytes a pair has, and these are read when the
pair is drawn. What must be known of all pairs lies in one table of numbers. Loader processes share
it, so that a million pairs take their memory once, and not once a process.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.pairs.shards.anywhere import Shards
from cycleisp.dataloaders.pairs.shards.decoding import Members, decode_members
from cycleisp.dataloaders.pairs.shards.layout import ShardEntry

ROW = np.dtype(
    [
        ("shard", "i4"),
        ("scene", "i4"),
        ("side", "i4"),
        ("start", "i8"),
        ("size", "i8"),
        ("places", "i8", (2, 2)),  # RAW has one member, and leaves the second place 0
        ("levels", "f8", (2, 4)),  # shot and read noise of R, G_r, G_b, B
    ]
)


class Texts:
    """Many strings in two arrays. Processes share them, since nothing counts who holds a string."""

    def __init__(self, texts: Sequence[str]) -> None:
        encoded = [text.encode(errors="surrogatepass") for text in texts]
        self._ends = np.fromiter(accumulate(map(len, encoded), initial=0), np.int64, len(encoded) + 1)
        self._bytes = np.frombuffer(b"".join(encoded), np.uint8)

    def __getitem__(self, number: int) -> str:
        content = self._bytes[self._ends[number] : self._ends[number + 1]].tobytes()
        return content.decode(errors="surrogatepass")


@dataclass(frozen=True)
class PackedPair:
    """One pair in a shard. Its attributes are those of `TrainingPair`, and `members`, its place."""

    folder: str
    name: str
    scene: str
    shot_noise: list[float]
    read_noise: list[float]
    members: Members
    shard: ShardEntry
    shards: Shards

    @property
    def side(self) -> int:
        """Returns the shorter side in pixels of the photo."""
        return self.members.side

    @property
    def place(self) -> str:
        """Returns the shard and the name of the pair in it."""
        return self.members.name

    def read(self) -> tuple[NDArray, NDArray]:
        """Reads noisy and clean as they are stored.

        Returns:
            Photos (H, W, 3) uint8 or uint16, or packed RGGB (4, H/2, W/2) uint16.

        Raises:
            UserError: the shard cannot be read, or is damaged where the pair lies.
        """
        members = self.members
        return self.shards.piece(self.shard, members.start, members.size, lambda piece: decode_members(piece, members))


class PackedPairs:
    """The pairs of some shards, sorted by name.

    Args:
        place: as the user has named it.
        entries: the shards.
        table: a row for each pair.
        names: of the pairs.
        scenes: in the order of the table's numbers.
        shards: reads them.
        rows: which rows of the table are meant; None means all.
    """

    def __init__(
        self,
        place: str,
        entries: Sequence[ShardEntry],
        table: NDArray[np.void],
        names: Texts,
        scenes: Texts,
        shards: Shards,
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        self.entries, self.shards = entries, shards
        self._place, self._table, self._names, self._scenes = place, table, names, scenes
        self._rows = np.arange(len(table)) if rows is None else rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> PackedPair:
        which = int(self._rows[number])
        row, name = self._table[which], self._names[which]
        entry = self.entries[int(row["shard"])]
        places = tuple((int(offset), int(size)) for offset, size in row["places"] if size)
        members = Members(f"{entry.url}: pair {name}", int(row["start"]), int(row["size"]), places, int(row["side"]))
        shot_noise, read_noise = row["levels"].tolist()
        scene = self._scenes[int(row["scene"])]
        return PackedPair(self._place, name, scene, shot_noise, read_noise, members, entry, self.shards)

    def __iter__(self) -> Iterator[PackedPair]:
        return (self[number] for number in range(len(self)))

    @property
    def sides(self) -> NDArray[np.int32]:
        """Returns the shorter side of each pair in pixels."""
        return self._table["side"][self._rows]

    @property
    def scenes(self) -> list[str]:
        """Returns the scene of each pair."""
        numbers = self._table["scene"][self._rows]
        names = {int(number): self._scenes[int(number)] for number in np.unique(numbers)}
        return [names[number] for number in numbers.tolist()]

    def chosen(self, wanted: NDArray[np.bool_]) -> "PackedPairs":
        """Returns the pairs that are wanted, in their order."""
        parts = self._place, self.entries, self._table, self._names, self._scenes, self.shards
        return PackedPairs(*parts, rows=self._rows[wanted])

    def of_shard(self, number: int) -> "PackedPairs":
        """Returns the pairs of one of `entries`, by its number."""
        return self.chosen(self._table["shard"][self._rows] == number)

    def without(self, left_out: Mapping[int, frozenset[str] | None]) -> "PackedPairs":
        """Returns the pairs that are not left out.

        Args:
            left_out: for numbers of shards, the names of the pairs to leave out; None for all.
        """
        shards = self._table["shard"][self._rows]
        kept = np.ones(len(self), np.bool_)
        for shard, names in left_out.items():
            for place in np.flatnonzero(shards == shard):
                kept[place] = names is not None and self._names[int(self._rows[place])] not in names
        return self.chosen(kept)
