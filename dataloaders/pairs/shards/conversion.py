"""Converts an unpacked folder of pairs into shards, and back, without loss."""

import hashlib
import json
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cycleisp.dataloaders.pairs.manifest import Record, newest, read_manifest, read_records
from cycleisp.dataloaders.pairs.preview import write_preview
from cycleisp.dataloaders.pairs.raw_files import encode_raw_pair, read_raw_planes
from cycleisp.dataloaders.pairs.shards.decoding import decode_planes
from cycleisp.dataloaders.pairs.shards.folder import DoneShard, ShardFolder, merge, own_folder
from cycleisp.dataloaders.pairs.shards.layout import (
    CLEAN,
    NOISY,
    PARAMETERS,
    RAW,
    SHARD_LIST,
    ShardEntry,
    key_of,
    shard_name,
)
from cycleisp.dataloaders.pairs.shards.members import about, encode_parameters, encode_planes
from cycleisp.dataloaders.pairs.shards.planning import MEGABYTE
from cycleisp.dataloaders.pairs.shards.reading import AGAIN, ShardReader, hash_of, read_bytes, read_shard_list
from cycleisp.dataloaders.pairs.shards.writing import ShardWriter
from cycleisp.dataloaders.pairs.store import PairStore
from cycleisp.utils.errors import UserError, reading
from cycleisp.utils.output.claim import claimed
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.output.settings import FILE_NAME

PACKED = "packed"  # the setting that says that a folder was not filled by generate_data.py itself
_PICTURES = {"srgb_clean": CLEAN, "srgb_noisy": NOISY}


def pack(source: Path, destination: Path, size: int, progress: bool = False) -> list[ShardEntry]:
    """Packs the pairs of an unpacked folder into shards. What is packed already is kept.

    PNGs are copied byte for byte, RAW keeps every value, and every line of the manifest goes whole
    into the parameters of its pair.

    Args:
        source: a folder that generate_data.py has filled.
        destination: the folder of shards; it is made as needed.
        size: how large a shard shall be, in MB.
        progress: whether to show a bar.

    Raises:
        UserError: `source` holds no pairs, or a file of a pair is missing or damaged; or
            `destination` holds something else, or cannot be written.
    """
    records = read_manifest(source)
    settings = {**_settings(source), "shard_size": size, PACKED: True}
    with claimed(destination, "DST"), own_folder(destination, "pack") as work:
        folder = ShardFolder(destination, settings)
        bar = progress_bar(total=len(records), desc="pairs", unit="pair", disable=not progress)
        with bar:
            first, number = 0, 0
            while first < len(records):
                shard = _filling(source, records[first:], size * MEGABYTE)
                made_from = {"records_sha256": hashlib.sha256(json.dumps(shard, sort_keys=True).encode()).hexdigest()}
                done = folder.done(number)
                if done is None or dict(done.made_by) != made_from:
                    with ShardWriter(work / shard_name(number)) as writer:
                        for place, record in enumerate(shard, first):
                            name = record["name"]
                            writer.add(key_of(place), _members(source, record), about(record, name))
                        folder.publish(writer.path, DoneShard(writer.finish(), {}, (), made_from))
                bar.update(len(shard))
                first, number = first + len(shard), number + 1
        return merge(destination)


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / FILE_NAME
    with reading(path, advice="give a folder that generate_data.py has filled"):
        settings = json.loads(path.read_bytes())
        if not isinstance(settings, dict):
            raise ValueError("no settings")
    return settings


def _filling(source: Path, records: list[Record], most: int) -> list[Record]:
    """Returns as many of the records as fill a shard, at least one."""
    filled = 0
    for count, record in enumerate(records):
        for file in record["files"].values():
            with reading(source / file, advice="let generate_data.py make the pair again"):
                filled += (source / file).stat().st_size
        if count and filled > most:
            return records[:count]
    return records


def _members(source: Path, record: Record) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    for key, member in _PICTURES.items():
        if key in record["files"]:
            path = source / record["files"][key]
            with reading(path, advice="let generate_data.py make the pair again"):
                members[member] = path.read_bytes()
    if "raw" in record["files"]:
        members[RAW] = encode_planes(read_raw_planes(source / record["files"]["raw"]))
    members[PARAMETERS] = encode_parameters({key: value for key, value in record.items() if key != "files"})
    return members


def unpack(source: str, destination: Path, progress: bool = False) -> list[Record]:
    """Unpacks shards into a folder with a file for each picture. What is there already is kept.

    Args:
        source: a folder of shards or its list; a path or a URL.
        destination: the folder; it is made as needed.
        progress: whether to show a bar.

    Returns:
        The lines of the manifest.

    Raises:
        UserError: a shard cannot be read or is damaged, or `destination` holds pairs of other
            settings, or cannot be written.
    """
    entries = read_shard_list(source)
    bar = progress_bar(total=sum(entry.pairs for entry in entries), desc="pairs", unit="pair", disable=not progress)
    with claimed(destination, "DST"), bar:
        store = PairStore(destination, _settings_of_shards(entries))
        known = newest(read_records(destination))
        try:
            for entry in entries:
                for name, contents, record in _pairs_of(entry):
                    if not _is_there(destination, known.get(name), record):
                        store.write_encoded(name, contents.items(), record)
                    bar.update()
        finally:
            records = store.merge()
    return records


def _settings_of_shards(entries: list[ShardEntry]) -> dict[str, Any]:
    """Returns the settings that the pairs of a folder of shards have in common."""
    url = f"{entries[0].place}/{FILE_NAME}"
    with reading(url, advice=AGAIN):
        settings = json.loads(read_bytes(url))
        return {key: value for key, value in settings.items() if key not in ("shard_size", "repeats", PACKED)}


def _pairs_of(entry: ShardEntry) -> Iterator[tuple[str, dict[str, bytes], Record]]:
    """Yields the name of each pair of a shard, the bytes of its files, and its record."""
    reader = ShardReader(entry.url)
    for key, about_pair in reader.pairs():
        record = reader.parameters(key)
        name = record.pop("name", about_pair["name"])
        contents = {
            part: reader.read(key, member) for part, member in _PICTURES.items() if member in about_pair["members"]
        }
        if RAW in about_pair["members"]:
            planes = decode_planes(reader.read(key, RAW), f"{entry.url}: pair {key}")
            contents = {"raw": encode_raw_pair(planes, record), **contents}
        yield name, contents, record


def _is_there(folder: Path, known: Record | None, record: Record) -> bool:
    """Tells whether a pair with these parameters is in the folder."""
    if known is None or any(known.get(key) != value for key, value in record.items()):
        return False
    return all((folder / file).is_file() for file in known["files"].values())


def preview_of_shards(folder: Path, count: int = 6) -> Path | None:
    """Writes `preview.png`, a contact sheet of the first pairs, into a folder of shards.

    Returns:
        Its path; None if no pair is there.

    Raises:
        UserError: a shard cannot be read.
    """
    entries = read_shard_list(str(folder)) if (folder / SHARD_LIST).is_file() else []
    pairs = islice(chain.from_iterable(map(_pairs_of, entries)), count)
    with TemporaryDirectory() as place:
        store = PairStore(Path(place), {})
        for name, contents, record in pairs:
            store.write_encoded(name, contents.items(), record)
        if not (records := store.merge()):
            return None
        write_bytes(folder / "preview.png", write_preview(Path(place), records, count).read_bytes())
    return folder / "preview.png"


def verify(place: str, progress: bool = False) -> list[str]:
    """Compares every shard with its size and SHA-256 in the list, and its index with both.

    Returns:
        What is wrong, in words that name the file; nothing if all is right.

    Raises:
        UserError: the list cannot be read.
    """
    entries, problems = read_shard_list(place), []
    bar = progress_bar(total=len(entries), desc="shards", unit="shard", disable=not progress)
    with bar:
        for entry in entries:
            try:
                size, sha256 = hash_of(entry.url)
                index = ShardReader(entry.url).index
                if (size, sha256) != (entry.bytes, entry.sha256):
                    problems.append(f"{entry.url}: {size} bytes of another content than listed; {AGAIN}")
                elif len(index["pairs"]) != entry.pairs or index.get("sha256") != entry.sha256:
                    problems.append(f"{entry.index_url}: belongs to another shard; {AGAIN}")
            except UserError as error:
                problems.append(str(error))
            bar.update()
    return problems
