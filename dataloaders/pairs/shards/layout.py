"""What a folder of shards holds.

    DIR/pairs-000000.tar         pairs in WebDataset layout: KEY.clean.png, KEY.noisy.png,
                                 KEY.raw.npz, KEY.json follow each other
    DIR/pairs-000000.index.json  where each member's bytes lie in the tar, and what a training must
                                 know of each pair
    DIR/pairs-000000.done.json   size and SHA-256 of the tar, which photos it was made from and
                                 which were left out; it is written last
    DIR/shards.jsonl             the list of shards: a line for each finished one
    DIR/plan.json, settings.json which pairs belong to which shard, and what all have in common

The bytes of a tar and of its index depend on the photos and the settings alone. What depends on the
machine that made them is in the done-file. A shard needs no file that another shard's maker writes,
so that many machines fill one folder without locks; the list is put together from the done-files.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHARD_LIST, PLAN = "shards.jsonl", "plan.json"
CLEAN, NOISY, RAW, PARAMETERS = "clean.png", "noisy.png", "raw.npz", "json"
MEMBERS = (CLEAN, NOISY, RAW, PARAMETERS)  # in their order in the tar
ABOUT = ("name", "height", "width", "bits", "source_sha256", "shot_noise", "read_noise")  # of a pair, in the index
_SHARD = re.compile(r"[^/\\\0]+\.tar")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ShardEntry:
    """One finished shard, as its line in the list says.

    Attributes:
        name: its file beside the list, as `pairs-000000.tar`.
        bytes: the size of that file.
        sha256: the hash of its bytes, 64 hex digits.
        pairs: the number of pairs in it.
        place: the folder or URL in which it lies, with the list; empty where it is unknown.
    """

    name: str
    bytes: int
    sha256: str
    pairs: int
    place: str = ""

    @property
    def url(self) -> str:
        """Returns the path or URL of the tar."""
        return f"{self.place}/{self.name}" if self.place else self.name

    @property
    def index_url(self) -> str:
        """Returns the path or URL of its index."""
        return index_of(self.url)

    def to_line(self) -> dict[str, Any]:
        """Returns the line of the list."""
        return {"shard": self.name, "bytes": self.bytes, "sha256": self.sha256, "pairs": self.pairs}

    @classmethod
    def from_line(cls, line: Mapping[str, Any], place: str = "") -> "ShardEntry | None":
        """Returns what a line of the list, or a done-file, says; None if it says none of this."""
        name, size, sha256, pairs = (line.get(key) for key in ("shard", "bytes", "sha256", "pairs"))
        if not isinstance(name, str) or not isinstance(sha256, str):
            return None
        if not _SHARD.fullmatch(name) or name.startswith(".") or not _SHA256.fullmatch(sha256):
            return None
        if type(size) is not int or type(pairs) is not int or size < 0 or pairs < 0:
            return None
        return cls(name, size, sha256, pairs, place)


def shard_name(number: int) -> str:
    """Returns the file of a shard, `pairs-000012.tar` for 12."""
    return f"pairs-{number:06d}.tar"


def index_of(shard: str) -> str:
    """Returns the index of a shard: `pairs-000012.index.json`, in the same folder."""
    return f"{shard.removesuffix('.tar')}.index.json"


def done_of(shard: str) -> str:
    """Returns the done-file of a shard: `pairs-000012.done.json`, in the same folder."""
    return f"{shard.removesuffix('.tar')}.done.json"


def key_of(number: int) -> str:
    """Returns the key of a pair within the tars: its number in the whole list, nine digits.

    WebDataset ends a key at the first dot, and names of photos have dots, so the name is in the
    parameters of the pair instead.
    """
    return f"{number:09d}"
