"""Which pairs belong to which shard: decided from the list of photos before any pair is made.

Each shard holds pairs that follow each other in the list, about as many as fill its size. How many
bytes a pair will take is estimated from the size of its photo in pixels, which its header says. The
plan is written once and kept, so that every process of every machine makes the same shards.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cycleisp.dataloaders.pairs.shards.layout import PLAN
from cycleisp.dataloaders.photo_files import tiff
from cycleisp.dataloaders.sources import Source
from cycleisp.utils.errors import UserError, reading
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.raw.camera_files import RAW_SUFFIXES

MEGABYTE = 10**6
# Bytes a pixel of the photo that a pair takes, measured on photos of Poly and CC15 with noise as of
# ISO 3200: two PNGs of 8 bits, or of 16 bits; clean and noisy RAW; the variance map.
SRGB_8, SRGB_16, RAW_PAIR, VARIANCE = 3.6, 8.2, 2.9, 1.2
# Bytes of a pair for each byte of a file whose header says no size here: camera RAW, other photos.
_OF_RAW_FILE, _OF_PHOTO_FILE = 5, 20
_READERS = 16  # threads that read headers, since a network disk takes its time for each
_NAMES_LISTED = 3


@dataclass(frozen=True)
class PlannedShard:
    """One shard of a plan.

    Attributes:
        number: of the shard.
        first_pair: the number of its first pair in the whole list.
        sources: a source for each of its pairs, with the pair's name.
    """

    number: int
    first_pair: int
    sources: Sequence[Source]


@dataclass(frozen=True)
class Plan:
    """The shards of a list of pairs.

    Attributes:
        starts: the number of the first pair of each shard.
        pairs: the number of pairs.
    """

    starts: tuple[int, ...]
    pairs: int

    @property
    def shards(self) -> int:
        """Returns the number of shards."""
        return len(self.starts)

    def pairs_of(self, shard: int) -> range:
        """Returns the numbers of a shard's pairs."""
        following = self.starts[shard + 1] if shard + 1 < self.shards else self.pairs
        return range(self.starts[shard], following)

    def shard(self, number: int, wanted: Sequence[Source]) -> PlannedShard:
        """Returns a shard with its sources, which are taken from the whole list."""
        pairs = self.pairs_of(number)
        return PlannedShard(number, pairs.start, wanted[pairs.start : pairs.stop])


def plan_shards(
    folder: Path, wanted: Sequence[Source], size: int, estimate: Callable[[Source], float], progress: bool = False
) -> Plan:
    """Returns the plan of a folder, and writes it if the folder has none.

    Args:
        folder: the folder of shards.
        wanted: a source for each pair, in the order of the list, with its name.
        size: how large a shard shall be, in MB.
        estimate: returns about how many bytes the pair of a source takes.
        progress: whether to show a bar while headers are read.

    Raises:
        UserError: the plan that is there is damaged, or was made for other photos.
        OSError: the folder cannot be written.
    """
    path, names = folder / PLAN, _hash_of_names(wanted)
    if not path.exists():
        starts = _starts(_estimated(wanted, estimate, progress), size * MEGABYTE)
        plan = {"pairs": len(wanted), "names_sha256": names, "starts": starts}
        write_bytes(path, json.dumps(plan).encode())
    with reading(path, advice="remove it, and it is made again from the same photos"):
        stored = json.loads(path.read_bytes())
        starts, pairs = [int(start) for start in stored["starts"]], int(stored["pairs"])
        if starts[:1] != [0] or any(a >= b for a, b in zip(starts, [*starts[1:], pairs], strict=True)):
            raise ValueError("its shards do not follow each other")
    if stored.get("names_sha256") != names or pairs != len(wanted):
        raise UserError(
            f"{folder}: was begun for {pairs} pairs of other photos than these ({len(wanted)} pairs); give the same "
            "--input and --limit, or another --output: several folders of shards serve together as one"
        )
    return Plan(tuple(starts), pairs)


def _hash_of_names(wanted: Sequence[Source]) -> str:
    digest = hashlib.sha256()
    for source in wanted:
        digest.update(json.dumps([source.name, source.relative, source.repeat]).encode())
    return digest.hexdigest()


def _estimated(wanted: Sequence[Source], estimate: Callable[[Source], float], progress: bool) -> list[float]:
    """Returns the estimated bytes of each pair; repeats of a photo are estimated once."""
    known: dict[Path, float] = {}
    photos = list(dict.fromkeys(source.path for source in wanted))
    first = {source.path: source for source in reversed(wanted)}
    with ThreadPoolExecutor(_READERS, thread_name_prefix="header") as readers:
        sizes = readers.map(lambda path: estimate(first[path]), photos)
        bar = progress_bar(total=len(photos), desc="headers", unit="image", disable=not progress)
        with bar:
            for path, size in zip(photos, sizes, strict=True):
                known[path] = size
                bar.update()
    return [known[source.path] for source in wanted]


def _starts(sizes: Sequence[float], most: int) -> list[int]:
    """Returns where shards begin. None is larger than `most` bytes, unless by a single pair."""
    starts: list[int] = []
    filled = 0.0
    for number, size in enumerate(sizes):
        if not starts or filled + size > most:
            starts.append(number)
            filled = 0.0
        filled += size
    return starts


def estimated_bytes(source: Source, with_raw: bool, with_srgb: bool, with_variance: bool) -> float:
    """Returns about how many bytes the pair of a photo takes in a shard.

    It depends on the file alone. Of a file without a readable header, its size decides.
    """
    try:
        stored = source.path.stat().st_size
    except OSError:
        return 0
    pixels, bits = 0, 8
    if source.path.suffix.lower() not in RAW_SUFFIXES:
        pixels, bits = _size_of(source.path)
    if pixels == 0:
        return stored * (_OF_RAW_FILE if source.path.suffix.lower() in RAW_SUFFIXES else _OF_PHOTO_FILE)
    srgb = SRGB_16 if bits > 8 else SRGB_8
    return pixels * (with_srgb * srgb + with_raw * (RAW_PAIR + with_variance * VARIANCE))


def _size_of(path: Path) -> tuple[int, int]:
    """Returns the pixels and the bits of a photo by its header; 0 pixels where it says none."""
    try:
        with path.open("rb") as file:
            head = file.read(32)
            if head.startswith(b"\x89PNG"):
                width, height, bits = (int.from_bytes(head[a:b], "big") for a, b in ((16, 20), (20, 24), (24, 25)))
                return width * height, bits
            file.seek(0)
            with Image.open(file, formats=("JPEG", "WEBP", "TIFF")) as image:
                bits = 8
                if head.startswith(tiff.SIGNATURES):
                    bits = max(image.tag_v2.get(258, (8,)))  # type: ignore[attr-defined]
                return image.width * image.height, bits
    except Exception:  # of whatever parser; the pair itself may still be made
        return 0, 8
