"""A folder of shards: its settings, which shards are finished, and the list of them."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cycleisp.dataloaders.pairs.shards.layout import SHARD_LIST, ShardEntry, done_of, index_of, shard_name
from cycleisp.dataloaders.sources import Source
from cycleisp.utils.errors import UserError, reason
from cycleisp.utils.fingerprints import Fingerprint
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.json_lines import encode_lines
from cycleisp.utils.output.settings import FILE_NAME, claim_folder

MAKING = ".making"  # where shards lie while they are made
_LARGEST_DONE = 1 << 28  # bytes that are read of a done-file


@dataclass(frozen=True)
class LeftOut:
    """A photo without a pair.

    Attributes:
        name: of the pair.
        source: the photo's path below its input folder.
        reason: why, with the file's name.
        fingerprint: its content at that time; None if it could not be read at all.
        again: whether the reason lies in the machine, so that the next run shall try again.
    """

    name: str
    source: str
    reason: str
    fingerprint: Fingerprint | None
    again: bool = False


@dataclass(frozen=True)
class DoneShard:
    """What the done-file of a shard says.

    Attributes:
        entry: the line of the list.
        photos: the content of the photo of each pair, by the pair's name.
        left_out: the photos without a pair.
        made_by: what may explain a difference between machines: version of the code, threads.
    """

    entry: ShardEntry
    photos: dict[str, Fingerprint]
    left_out: tuple[LeftOut, ...] = ()
    made_by: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Returns the content of the done-file."""
        skipped = [
            {
                "name": one.name,
                "source": one.source,
                "reason": one.reason,
                "again": one.again,
                **(one.fingerprint.to_json() if one.fingerprint else {}),
            }
            for one in self.left_out
        ]
        photos = {name: [one.sha256, one.stamp and list(one.stamp)] for name, one in self.photos.items()}
        return {**self.entry.to_line(), "skipped": skipped, "made_by": dict(self.made_by), "photos": photos}

    @classmethod
    def from_json(cls, content: object) -> "DoneShard | None":
        """Returns what `to_json` has written, or None where a file holds something else."""
        if not isinstance(content, dict) or (entry := ShardEntry.from_line(content)) is None:
            return None
        try:
            photos = {
                str(name): Fingerprint.from_json({"sha256": sha256, "stamp": stamp})
                for name, (sha256, stamp) in content["photos"].items()
            }
            left_out = tuple(
                LeftOut(one["name"], one["source"], one["reason"], Fingerprint.from_json(one), bool(one["again"]))
                for one in content["skipped"]
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        known = {name: one for name, one in photos.items() if one is not None}
        return cls(entry, known, left_out, content.get("made_by") or {}) if len(known) == len(photos) else None

    def is_made_of(self, sources: Sequence[Source]) -> bool:
        """Tells whether these are the photos of the shard, with the content that they hold now."""
        left_out = {one.name: one for one in self.left_out}
        if {source.name for source in sources} != self.photos.keys() | left_out.keys():
            return False
        return all(
            self.photos[source.name].has_content_of(source.path)
            if source.name in self.photos
            else _is_still_bad(source.path, left_out[source.name])
            for source in sources
        )


def _is_still_bad(path: Path, before: LeftOut) -> bool:
    if before.again:
        return False
    if before.fingerprint is not None:
        return before.fingerprint.has_content_of(path)
    try:
        with path.open("rb"):
            return False  # it can be opened by now
    except OSError:
        return True


class ShardFolder:
    """Knows which shards of a folder are finished, and puts new ones into it.

    Several processes and machines may use one folder at the same time.

    Args:
        folder: the folder, which is made if needed.
        settings: everything that all pairs depend on; the folder never mixes two.

    Raises:
        UserError: the folder holds pairs of other settings or of the unpacked layout, or files of
            another program; or it cannot be written.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        if not (folder / FILE_NAME).exists():
            for file in folder.glob("*.tar"):
                raise UserError(f"{file}: not made by generate_data.py; give another --output")
        claim_folder(folder, settings, "pairs")

    def finished(self, number: int, sources: Sequence[Source]) -> DoneShard | None:
        """Returns what is known of a shard if it is finished and made of these photos, or None."""
        done = finished_shard(self.folder, shard_name(number))
        return done if done is not None and done.is_made_of(sources) else None

    def publish(self, made: Path, done: DoneShard) -> None:
        """Puts a shard into the folder: tar, index, and the done-file at last.

        A done-file of an earlier making goes first, so that it never speaks of the new tar. It
        stays if it speaks of the same tar: a task that a killed driver has left for a moment may
        end here at any time, and must not take with it what the next driver counts as finished.

        Args:
            made: the tar, in a folder on the same disk, with its index beside it.
            done: what to say of it.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        shard = made.name
        before = finished_shard(self.folder, shard)
        if (self.folder / done_of(shard)).exists() and (before is None or before.entry != done.entry):
            (self.folder / done_of(shard)).unlink()
            merge(self.folder)
        content = made.parent / done_of(shard)
        content.write_bytes(json.dumps(done.to_json()).encode("ascii"))
        made.replace(self.folder / shard)
        for name in (index_of(shard), done_of(shard)):
            (made.parent / name).replace(self.folder / name)

    def done(self, number: int) -> DoneShard | None:
        """Returns what is known of a finished shard; None if it is not finished."""
        return finished_shard(self.folder, shard_name(number))


def finished_shard(folder: Path, shard: str) -> DoneShard | None:
    """Returns what is known of a shard, if its tar, its index and its done-file are there."""
    done = read_done(folder / done_of(shard))
    if done is None or done.entry.name != shard or not (folder / index_of(shard)).is_file():
        return None
    try:
        stored = (folder / shard).stat().st_size
    except OSError:
        return None
    return done if stored == done.entry.bytes else None


def merge(folder: Path) -> list[ShardEntry]:
    """Puts the list of shards together from the done-files, and returns it.

    Where another process finishes a shard meanwhile, the list is put together again, so that the
    last one to write has them all.

    Raises:
        UserError: there is no such folder, or the list cannot be written.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give one that generate_data.py --shards fills")
    try:
        while True:
            files = _shards_with_done_files(folder)
            found = [done for shard in files if (done := finished_shard(folder, shard)) is not None]
            lines = [{**done.entry.to_line(), "skipped": len(done.left_out)} for done in found]
            write_bytes(folder / SHARD_LIST, encode_lines(lines))
            if _shards_with_done_files(folder) == files:
                return [replace(done.entry, place=str(folder)) for done in found]
    except OSError as error:
        raise UserError(
            f"{folder}: {SHARD_LIST} cannot be written ({reason(error)}); make room, and the same command goes on"
        ) from None


def _shards_with_done_files(folder: Path) -> list[str]:
    suffix = done_of("")
    return sorted(f"{path.name.removesuffix(suffix)}.tar" for path in folder.glob(f"*{suffix}"))


def read_done(path: Path) -> DoneShard | None:
    """Reads a done-file; None if it is absent or damaged, so that its shard is made again."""
    try:
        if path.stat().st_size > _LARGEST_DONE:
            return None
        return DoneShard.from_json(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return None


@contextmanager
def own_folder(folder: Path, name: str) -> Iterator[Path]:
    """Yields a folder below DIR/.making that one process alone writes to, empty at the beginning.

    Args:
        folder: the folder of shards.
        name: of the part that this process makes. What a killed process of the same part has left
            is removed.
    """
    parts = folder / MAKING / name
    parts.mkdir(parents=True, exist_ok=True)
    for left in parts.glob("work-*"):
        shutil.rmtree(left, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix="work-", dir=parts))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
