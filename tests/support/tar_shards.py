"""Small folders of shards, written by Python's own tarfile from a folder of pairs.

They follow the description of the format, and use none of the project's writers.
"""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from cycleisp.dataloaders.pairs.store import read_manifest, read_raw_pair

ABOUT = ("height", "width", "bits", "source_sha256", "shot_noise", "read_noise")


def pack_by_tarfile(folder: Path, shards: Path, at_a_time: int = 2) -> None:
    """Packs a folder that generate_data.py has filled, so many pairs to a shard.

    The last names come first, since shards need not have the order of names.
    """
    shards.mkdir(parents=True)
    records, lines = read_manifest(folder)[::-1], []
    for number, first in enumerate(range(0, len(records), at_a_time)):
        tar = shards / f"pairs-{number:06d}.tar"
        pairs = _write(tar, folder, records[first : first + at_a_time], first)
        content = tar.read_bytes()
        index = {"shard": tar.name, "bytes": len(content), "pairs": pairs}
        tar.with_suffix(".index.json").write_text(json.dumps(index))
        digest = hashlib.sha256(content).hexdigest()
        lines.append({"shard": tar.name, "bytes": len(content), "sha256": digest, "pairs": len(pairs)})
    (shards / "shards.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _write(tar: Path, folder: Path, records: list[dict[str, Any]], first: int) -> dict[str, Any]:
    """Writes one tar, and returns what its index says of the pairs."""
    with tarfile.open(tar, "w", format=tarfile.USTAR_FORMAT) as archive:
        for number, record in enumerate(records, first):
            for member, content in _members(folder, record).items():
                info = tarfile.TarInfo(f"{number:09d}.{member}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    pairs: dict[str, Any] = {}
    with tarfile.open(tar) as archive:
        for info in archive.getmembers():
            key, _, member = info.name.partition(".")
            record = records[int(key) - first]
            about = {name: record.get(name) for name in ABOUT}
            pair = pairs.setdefault(key, {"name": record["name"], **about, "members": {}})
            pair["members"][member] = [info.offset_data, info.size]
    return pairs


def _members(folder: Path, record: dict[str, Any]) -> dict[str, bytes]:
    members, files = {}, record["files"]
    for kind in ("clean", "noisy"):
        if f"srgb_{kind}" in files:
            members[f"{kind}.png"] = (folder / files[f"srgb_{kind}"]).read_bytes()
    if "raw" in files:
        clean, noisy, _ = read_raw_pair(folder / files["raw"])
        content = io.BytesIO()
        np.savez_compressed(content, clean=clean, noisy=noisy)
        members["raw.npz"] = content.getvalue()
    return {**members, "json": json.dumps(record).encode()}
