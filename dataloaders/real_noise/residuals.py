"""Real noise on synthetic clean RAW: noisy minus clean RAW of a real scene, as in CycleISP's sRGB pairs for SIDD."""

import hashlib
import itertools
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cycleisp.dataloaders.real_noise.sources import ResidualError, ResidualSource, Window, find_residual_sources
from cycleisp.utils.config import GenerationRecipe
from cycleisp.utils.errors import UserError
from cycleisp.utils.padding import reflect_pad
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.noise import NoiseError, NoiseModel, NoisyRaw, parse_noise

log = logging.getLogger(__name__)

RESIDUAL = "residual"  # the name of this noise


def open_noise(recipe: GenerationRecipe, progress: bool = False) -> NoiseModel:
    """The noise that a recipe asks for.

    Args:
        recipe: `noise`, `residual_source`, `residual_match` and `variance` are used.
        progress: whether to show a bar while sources of real noise are opened.

    Raises:
        UserError: unknown noise, options that exclude each other, no usable source of real noise.
    """
    if recipe.noise != RESIDUAL:
        if recipe.residual_source is not None:
            raise NoiseError(f"--residual-source is for --noise residual, got --noise {recipe.noise}")
        try:
            return parse_noise(recipe.noise)
        except NoiseError as error:
            raise NoiseError(f"{error}, or residual with a --residual-source") from None
    if recipe.residual_source is None:
        raise NoiseError("--noise residual needs --residual-source, a folder with SIDD scenes or frames of camera RAW")
    folder = Path(recipe.residual_source)
    sources, problems = find_residual_sources(folder, progress)
    for problem in problems:
        log.warning("no noise from %s", problem)
    log.info("real noise from %d sources in %s, %d left out", len(sources), folder, len(problems))
    if recipe.variance:
        _check_levels(sources)
    return ResidualNoise(folder, sources, recipe.residual_match)


def _check_levels(sources: Sequence[ResidualSource]) -> None:
    unknown = [source for source in sources if source.noise_levels is None]
    if unknown:
        raise NoiseError(
            f"--variance needs noise levels, real noise has none unless its scene tells: {len(unknown)} of "
            f"{len(sources)} sources have no known noise level function, first {unknown[0].name} "
            f"({unknown[0].levels_problem}); leave --variance out, or remove these sources"
        )


@dataclass(frozen=True)
class Crop:
    """A place to take noise from: `window` of the mosaic of `source` as it is stored, and which of its residuals."""

    source: ResidualSource
    window: Window
    choice: int

    @property
    def place(self) -> tuple[str, int, int]:
        return (self.source.name, self.window[0].start, self.window[1].start)

    def read_signal(self) -> NDArray[np.float64]:
        """(4,) mean of the clean planes R, G_r, G_b, B. Raises ResidualError if a file is damaged."""
        mosaic = self.source.read_clean(self.window)
        return np.array([mosaic[row::2, column::2].mean(dtype=np.float64) for row in (0, 1) for column in (0, 1)])


class ResidualNoise:
    """Noise taken from real scenes: a noise model as `utils.raw.noise.NoiseModel` says.

    For each image, `match` places in the sources are drawn, a source each as likely as the others, at even offsets from
    its first RGGB tile, of the image's size or as large as the source is. The place whose clean planes are on average
    closest to the image's wins, since noise grows with the signal: that of a bright wall would be far too strong for a
    night. Compared are square roots, in which shot noise has the same deviation everywhere.

    Where the source is smaller than the image its noise is continued by reflection about the last pixel, which keeps
    the Bayer phase.

    Args:
        folder: that the sources were found in.
        sources: one at least; only their order decides what a seed draws.
        match: places to choose from; 1 takes noise as it comes, whatever the signal.
    """

    def __init__(self, folder: Path, sources: Sequence[ResidualSource], match: int) -> None:
        self.folder, self.sources, self.match = folder, list(sources), match
        self._told: set[str] = set()

    @property
    def settings(self) -> Mapping[str, Any]:
        """The folder's name, a digest of names, sizes in bytes, patterns and noise levels of all sources, `match`."""
        lines = [
            json.dumps(
                [
                    source.name,
                    [(self._relative(path), path.stat().st_size) for path in source.files],
                    source.pattern,
                    source.noise_levels,
                ]
            )
            for source in self.sources
        ]
        return {
            "residual_source": self.folder.resolve().name,
            "residual_sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
            "residual_match": self.match,
        }

    def add(self, clean: Tensor, seed: int) -> NoisyRaw:
        """Put the noise of a real scene on one image (4, H, W), packed RGGB in [0, 1], on the CPU.

        A source that turns out to be damaged is left out for this image, with a warning.

        Raises:
            ResidualError: no source can be read any more.
        """
        height, width = 2 * clean.shape[1], 2 * clean.shape[2]
        rng = np.random.default_rng(seed)
        drawn = [
            self._draw(self.sources[int(rng.integers(len(self.sources)))], height, width, rng)
            for _ in range(self.match)
        ]
        others = (self._draw(self.sources[index], height, width, rng) for index in rng.permutation(len(self.sources)))
        for crop in itertools.chain(self._closest_first(drawn, clean), others):
            try:
                residual = torch.from_numpy(crop.source.read_residual(crop.window, crop.choice))
            except ResidualError as error:
                self._warn(error)
                continue
            missing = height - residual.shape[0], width - residual.shape[1]
            noise = bayer.pack(reflect_pad(residual, (0, missing[1], 0, missing[0]))[None])
            shot_noise, read_noise = crop.source.noise_levels or (None, None)
            return NoisyRaw(clean + noise, shot_noise, read_noise, {"residual": self._describe(crop, missing)})
        raise ResidualError(f"{self.folder}: no source of noise can be read any more; see the warnings")

    def _draw(self, source: ResidualSource, height: int, width: int, rng: np.random.Generator) -> Crop:
        rows, columns = (
            _random_window(span, size, rng) for span, size in ((source.rows, height), (source.columns, width))
        )
        return Crop(source, (rows, columns), int(rng.integers(source.choices)))

    def _closest_first(self, crops: Sequence[Crop], clean: Tensor) -> Iterator[Crop]:
        """Readable crops, the one nearest in signal first."""
        if len(crops) == 1:
            yield from crops
            return
        wanted = np.sqrt(clean.mean(dim=(1, 2), dtype=torch.float64).clamp(min=0).numpy())
        distances: dict[tuple[str, int, int], float] = {}  # a source no larger than the image has one place
        for crop in crops:
            if crop.place in distances:
                continue
            try:
                signal = np.sqrt(crop.read_signal().clip(min=0))
            except ResidualError as error:
                self._warn(error)
                signal = np.full(4, np.inf)
            distances[crop.place] = float(np.square(signal - wanted).sum())
        readable = [crop for crop in crops if distances[crop.place] < np.inf]
        yield from sorted(readable, key=lambda crop: distances[crop.place])

    def _describe(self, crop: Crop, missing: tuple[int, int]) -> dict[str, Any]:
        """What the manifest says: pixels of the mosaic as it is stored."""
        rows, columns = crop.window
        return {
            "source": crop.source.name,
            "file": self._relative(crop.source.files[crop.choice]),
            "pattern": crop.source.pattern,
            "top": rows.start,
            "left": columns.start,
            "height": rows.stop - rows.start,
            "width": columns.stop - columns.start,
            "reflected_rows": missing[0],
            "reflected_columns": missing[1],
        }

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _warn(self, error: UserError) -> None:
        if str(error) not in self._told:
            self._told.add(str(error))
            log.warning("no noise from %s", error)


def _random_window(span: slice, size: int, rng: np.random.Generator) -> slice:
    """`size` pixels, or all where there are fewer, at an even distance from the beginning of `span`."""
    length = min(size, span.stop - span.start)
    start = span.start + 2 * int(rng.integers((span.stop - span.start - length) // 2 + 1))
    return slice(start, start + length)
