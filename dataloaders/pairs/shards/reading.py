"""Reads shards: the list of them, and members by random access through the index of each.

Places are paths of this machine, or URLs such as `s3://bucket/pairs`, for which `fsspec` and its
driver must be installed.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cycleisp.dataloaders.pairs.shards.layout import ABOUT, MEMBERS, SHARD_LIST, ShardEntry, done_of, index_of
from cycleisp.utils.errors import UserError, reading
from cycleisp.utils.limits import check_bytes

AGAIN = "get the shard and its index again, or remove both and their done-file and make them again"


def read_shard_list(place: str) -> list[ShardEntry]:
    """Reads which shards there are, sorted by name.

    Args:
        place: a folder of shards, or its list, `shards.jsonl`; a path or a URL.

    Raises:
        UserError: there is no list, or a line of it is none; the message names the file.
    """
    text = str(place).rstrip("/") if is_url(place) else os.fspath(place)
    if text.endswith(".jsonl") or (not is_url(text) and Path(text).is_file()):
        path, folder = text, _folder_of(text)
    else:
        path, folder = f"{text.rstrip('/')}/{SHARD_LIST}", text.rstrip("/")
    advice = "give a folder that generate_data.py --shards has filled, or its shards.jsonl"
    if not is_url(path) and not Path(path).exists() and any(Path(folder).glob(done_of("*"))):
        advice = f"put it together with `python -m cycleisp.dataloaders.pairs merge {folder}`"
    with reading(path, advice=advice):
        lines = [line for line in read_bytes(path).split(b"\n") if line.strip()]
    entries: dict[str, ShardEntry] = {}
    for number, line in enumerate(lines, 1):
        with reading(path, advice=f"line {number} is no JSON; put the list together with `merge`"):
            parsed = json.loads(line)
        entry = ShardEntry.from_line(parsed, folder) if isinstance(parsed, dict) else None
        if entry is None:
            raise UserError(
                f"{path}: line {number} is none of a list of shards, which has shard, bytes, sha256 and pairs; put the "
                "list together with `python -m cycleisp.dataloaders.pairs merge`"
            )
        entries[entry.name] = entry
    if not entries:
        raise UserError(f"{path}: lists no shard; let generate_data.py --shards finish one")
    return [entries[name] for name in sorted(entries)]


class ShardReader:
    """Reads members of one shard by random access.

    A reader may be used by several threads and sent to other processes.

    Args:
        url: the tar; a path or a URL.
        index: its index, as `read_index` returns it. None reads the one beside the tar.

    Raises:
        UserError: as `read_index`.
    """

    def __init__(self, url: str, index: dict[str, Any] | None = None) -> None:
        self.url = os.fspath(url)
        self.index = read_index(index_of(self.url)) if index is None else index

    def __len__(self) -> int:
        return len(self.index["pairs"])

    def keys(self) -> list[str]:
        """Returns the keys of the pairs, in their order in the tar."""
        return list(self.index["pairs"])

    def record(self, key: str) -> dict[str, Any]:
        """Returns what the index says of a pair: `members`, and the keys of `layout.ABOUT`."""
        return self.index["pairs"][key]

    def read(self, key: str, member: str) -> bytes:
        """Reads one member of a pair.

        Args:
            key: one of `keys()`.
            member: `clean.png`, `noisy.png`, `raw.npz` or `json`; also `clean` and `noisy`.

        Raises:
            UserError: the pair has no such member, or the tar cannot be read there.
        """
        members = self.record(key)["members"]
        found = members.get(member) or members.get(f"{member}.png")
        if found is None:
            raise UserError(f"{self.url}: pair {key} has no {member}, only {' '.join(members)}")
        return read_range(self.url, *found)

    def parameters(self, key: str) -> dict[str, Any]:
        """Returns all parameters of a pair, its member `json`.

        Raises:
            UserError: they cannot be read, or are no JSON.
        """
        with reading(self.url, advice=AGAIN):
            return json.loads(self.read(key, "json"))

    def pairs(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields the key and the record of each pair."""
        yield from self.index["pairs"].items()


def read_index(url: str) -> dict[str, Any]:
    """Reads the index of a shard, and checks its form.

    Returns:
        `shard`, `bytes`, and `pairs`: for each key a dict with `members`, where each one has
        [offset, size] of its bytes in the tar, and the keys of `layout.ABOUT`.

    Raises:
        UserError: it cannot be read, or is no such index.
    """
    with reading(url, advice=AGAIN):
        content = read_bytes(url)
    return parse_index(content, url)


def parse_index(content: bytes, url: str) -> dict[str, Any]:
    """Returns the index of a shard from its bytes, as `read_index` does; messages name `url`."""
    with reading(url, advice=AGAIN):
        index = json.loads(content)
    if not isinstance(index, dict) or not isinstance(index.get("pairs"), dict) or type(index.get("bytes")) is not int:
        raise UserError(f"{url}: is no index of a shard; {AGAIN}")
    for key, pair in index["pairs"].items():
        if not isinstance(pair, dict) or not {"members", *ABOUT} <= pair.keys() or not _are_members(pair["members"]):
            raise UserError(f"{url}: says nothing usable of pair {key}; {AGAIN}")
    return index


def _are_members(members: object) -> bool:
    return isinstance(members, dict) and all(
        name in MEMBERS
        and isinstance(place, list)
        and len(place) == 2
        and all(type(number) is int and number >= 0 for number in place)
        for name, place in members.items()
    )


# ------------------------------------------------------------ paths and URLs


def is_url(place: str | os.PathLike[str]) -> bool:
    """Tells whether a place is a URL, which fsspec reads."""
    return "://" in os.fspath(place)


def read_bytes(url: str) -> bytes:
    """Reads a whole file.

    Raises:
        UserError: it is too large, or fsspec is missing.
        Exception: whatever the file system raises; callers name the file.
    """
    if is_url(url):
        system, path = _system_of(url)
        return system.cat_file(path)
    check_bytes(url, Path(url).stat().st_size)
    return Path(url).read_bytes()


def hash_of(url: str) -> tuple[int, str]:
    """Returns the size of a file in bytes, and its SHA-256.

    Raises:
        UserError: it cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    with reading(url, advice=AGAIN), _open(url) as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


def _open(url: str) -> Any:
    if is_url(url):
        system, path = _system_of(url)
        return system.open(path, "rb")
    return Path(url).open("rb")


def read_range(url: str, offset: int, size: int) -> bytes:
    """Reads `size` bytes of a file from `offset` on.

    Raises:
        UserError: it cannot be read, or ends before.
    """
    with reading(url, advice=AGAIN):
        check_bytes(url, size)
        if is_url(url):
            system, path = _system_of(url)
            content = system.cat_file(path, start=offset, end=offset + size)
        else:
            with Path(url).open("rb", buffering=0) as file:
                stored = os.fstat(file.fileno()).st_size
                file.seek(offset)
                content = _read_all(file, max(0, min(size, stored - offset)))
        if len(content) != size:
            raise UserError(f"{url}: ends before the {offset + size} bytes that its index speaks of; {AGAIN}")
    return content


def _read_all(file: Any, size: int) -> bytes:
    """Reads `size` bytes; one call of the system returns at most 2 GiB."""
    content = file.read(size)
    while len(content) < size:
        more = file.read(size - len(content))
        if not more:
            break
        content += more
    return content


def _system_of(url: str) -> tuple[Any, str]:
    """Returns the file system of a URL and the path in it.

    Raises:
        UserError: fsspec or the driver for this kind of URL is not installed.
    """
    kind = url.partition("://")[0]
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise UserError(f"{url}: reading URLs needs fsspec; pip install fsspec and its driver for {kind}://") from None
    try:
        return url_to_fs(url)
    except (ImportError, ValueError) as error:  # ValueError: a protocol that fsspec does not know
        raise UserError(f"{url}: fsspec has no driver for {kind}:// here ({error}); install it") from None


def _folder_of(path: str) -> str:
    folder, slash, _ = path.rpartition("/")
    return folder if slash else "."
