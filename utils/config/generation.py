"""Recipes of generate_data.py."""

import os
from typing import Annotated, Literal

from pydantic import Field

from cycleisp.utils.config.values import CleanTarget, NotNegative, PhotoBlur, Positive, Section, Text
from cycleisp.utils.precisions import Precision


class GenerationRecipe(Section):
    """What generate_data.py makes. Every key is also an option of its command line."""

    input: list[Text]
    output: Text
    space: Literal["raw", "srgb", "both"] = "both"
    noise: str = "dnd"
    residual_source: str | None = None  # of real noise, with noise: residual
    residual_match: Positive = 8  # real noise comes from the best of so many random crops; paper: 1
    weights: str = "compact_isp"
    clean_target: CleanTarget = "residual"  # paper: input
    blur: PhotoBlur = 1.0  # sigma in pixels; paper
    seed: NotNegative = 0
    repeats: Positive = 1  # pairs of each photo, with noise of their own
    limit: Positive | None = None
    variance: bool = False
    preview: bool = False
    shards: bool = False  # tar files in WebDataset layout, in place of a file for each picture
    shard_size: Positive = 512  # MB, about
    shard_range: str | None = None  # FIRST:END, the shards that this run makes
    engine: Literal["local", "ray"] = "local"  # who makes the shards: this process and those of torchrun, or a cluster
    address: Text | None = None  # of a cluster of Ray; none: one of this machine alone
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Precision = "auto"  # auto: tf32 on CUDA, else float32
    batch_size: Positive = 1
    workers: Annotated[int, Field(ge=1, default_factory=lambda: min(8, os.cpu_count() or 1))]  # threads
