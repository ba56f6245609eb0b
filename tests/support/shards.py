"""Shards of small fabricated pairs, made without networks."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cycleisp.dataloaders.pairs.computing import Computing
from cycleisp.dataloaders.pairs.factory import PairFactory
from cycleisp.dataloaders.pairs.shards.folder import DoneShard, ShardFolder, merge, own_folder
from cycleisp.dataloaders.pairs.shards.making import make_shards
from cycleisp.dataloaders.pairs.shards.planning import PlannedShard
from cycleisp.dataloaders.sources import Source, find_sources
from cycleisp.utils.pairs import NoisyCleanPair
from cycleisp.utils.raw import bayer
from tests.support.pictures import random_picture, write_png

SETTINGS = {"seed": 7, "noise": "dnd", "weights_sha256": "abc"}
OF_MACHINE = {"version": "1", "threads": 1, "cpu_capability": "AVX2", "weights": "/home/me/mine.safetensors"}


def synthesize(photos: Tensor, seeds: Sequence[int], clean_raw: Tensor | None) -> list[NoisyCleanPair[Tensor]]:
    """Makes RAW by sampling photos, and noise that the seed alone decides."""
    pairs = []
    for photo, seed in zip(photos, seeds, strict=True):
        even = photo[:, : photo.shape[1] // 2 * 2, : photo.shape[2] // 2 * 2]
        raw = bayer.pack(bayer.mosaic(even, "RGGB")) if clean_raw is None else clean_raw[0]
        noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(seed)) / 20
        noisy_raw = (raw + noise[0, : 2 * raw.shape[1] : 2, : 2 * raw.shape[2] : 2]).clamp(0, 1)
        pairs.append(NoisyCleanPair(raw, noisy_raw, photo, (photo + noise).clamp(0, 1), 0.01, 0.0005))
    return pairs


def factory_for(sink: Any, synthesize: Any = synthesize, **options: Any) -> PairFactory:
    """Returns a factory with the networks above."""
    compute, chosen = Computing(synthesize, keep_variance=True), {"batch_size": 1, "workers": 2, **options}
    return PairFactory(sink, compute, {**SETTINGS, **OF_MACHINE}, **chosen)


def write_photos(folder: Path, count: int = 5) -> list[Source]:
    """Writes small photos of 8 and 16 bits and two sizes, and returns them as sources."""
    for number in range(count):
        height, width = ((12, 16), (9, 10))[number % 3 == 2]
        picture = random_picture(height, width, (np.uint8, np.uint16)[number % 2], seed=number)
        write_png(folder / f"{number} of a.holiday.png", picture)
    return find_sources([folder])


def make_one(
    folder: Path, sources: Sequence[Source], number: int = 0, first: int = 0, work: str = "test", **options: Any
) -> DoneShard:
    """Makes one shard of a folder."""
    shards = ShardFolder(folder, SETTINGS)
    with own_folder(folder, work) as place:
        planned = PlannedShard(number, first, sources)
        (made,) = make_shards(shards, [planned], partial(factory_for, **options), place, {"version": "1"})
    merge(folder)
    return made.done


def contents(folder: Path) -> dict[str, bytes]:
    """Returns the tars, indices and the list of a folder, by name."""
    files = [*folder.glob("*.tar"), *folder.glob("*.index.json"), *folder.glob("shards.jsonl")]
    return {path.name: path.read_bytes() for path in files}
