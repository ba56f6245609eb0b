"""Which pairs show the same scene, so that validation never sees what was trained on."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cycleisp.dataloaders.pairs.folders import PairPaths, is_of_sidd
from cycleisp.dataloaders.photos import PhotoError
from cycleisp.utils.errors import reading

_REPEAT = re.compile(r"\.r\d+$")  # what generate_data.py --repeats adds to the name of a photo
_SAMPLE = 1 << 16  # bytes at the beginning, in the middle and at the end that tell pictures of one size apart


def scene_of_record(record: Mapping[str, Any]) -> str:
    """Returns the scene of a pair that generate_data.py has made: the content of its photo.

    Args:
        record: its line in a manifest, or in the index of a shard.
    """
    return str(record.get("source_sha256") or _REPEAT.sub("", str(record["name"])))


def scenes_of_pairs(pairs: Sequence[PairPaths]) -> dict[str, str]:
    """Returns the scene of each pair: SIDD's folder, or else the content of the clean picture."""
    sizes = {pair.name: pair.clean.stat().st_size for pair in pairs}
    alike = Counter(sizes.values())
    scenes = {}
    for pair in pairs:
        if is_of_sidd(pair):
            scenes[pair.name] = pair.clean.parent.name
        elif alike[sizes[pair.name]] > 1:  # equal pictures have equal sizes
            scenes[pair.name] = _sample(pair.clean, sizes[pair.name])
        else:
            scenes[pair.name] = _REPEAT.sub("", pair.name)
    return scenes


def _sample(path: Path, size: int) -> str:
    """Returns a hash of three parts of a file."""
    digest = hashlib.sha256(str(size).encode())
    with reading(path, PhotoError), path.open("rb") as file:
        for start in (0, size // 2, max(0, size - _SAMPLE)):
            file.seek(start)
            digest.update(file.read(_SAMPLE))
    return digest.hexdigest()
