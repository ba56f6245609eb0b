"""Real noise on synthetic clean RAW, as in CycleISP's sRGB pairs for SIDD.

The noise is noisy minus clean RAW of a real scene.
"""

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

from cycleisp.dataloaders.real_noise.finding import find_residual_sources
from cycleisp.dataloaders.real_noise.sources import ResidualError, ResidualSource, Window
from cycleisp.utils.config import GenerationRecipe
from cycleisp.utils.errors import UserError
from cycleisp.utils.padding import reflect_pad
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.noise import NoiseError, NoiseModel, NoisyRaw
from cycleisp.utils.raw.sensor_noise.names import find_noise

log = logging.getLogger(__name__)

RESIDUAL = "residual"  # the name of this noise


def open_noise(recipe: GenerationRecipe, progress: bool = False) -> NoiseModel:
    """Returns the noise model that a recipe asks for.

    Args:
        recipe: `noise`, `residual_source`, `residual_match` and `variance` are used.
        progress: whether to show a bar while sources of real noise are opened.

    Raises:
        UserError: the noise is unknown, options exclude each other, or there is no usable source of
            real noise.
    """
    if recipe.noise != RESIDUAL:
        if recipe.residual_source is not None:
            raise NoiseError(f"--residual-source is for --noise residual, got --noise {recipe.noise}")
        try:
            return find_noise(recipe.noise)
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
    """A place to take noise from.

    Attributes:
        source: the scene.
        window: rows and columns of its mosaic as it is stored.
        choice: which of the residuals there.
    """

    source: ResidualSource
    window: Window
    choice: int

    @property
    def place(self) -> tuple[str, int, int]:
        """Returns the name of the source, and the first row and column."""
        return (self.source.name, self.window[0].start, self.window[1].start)

    def read_signal(self) -> NDArray[np.float64]:
        """Returns the means (4,) of the clean planes R, G_r, G_b, B.

        Raises:
            ResidualError: a file is damaged.
        """
        mosaic = self.source.read_clean(self.window)
        return np.array([mosaic[row::2, column::2].mean(dtype=np.float64) for row in (0, 1) for column in (0, 1)])


class ResidualNoise:
    """Noise taken from real scenes: a noise model as `utils.raw.noise.NoiseModel` describes it.

    For each image, `match` places are drawn. Every source is equally likely. A place lies at even
    offsets from the first RGGB tile of its source, and has the size of the image or, if that is
    smaller, of the source.

    Noise grows with the signal: that of a bright wall would be far too strong for a night. So the
    place is taken whose clean planes are on average closest to the image's. Square roots are
    compared, in which shot noise has the same deviation everywhere.

    Where the source is smaller than the image, its noise is continued by reflection about the last
    pixel, which keeps the Bayer phase.

    Args:
        folder: the folder that the sources were found in.
        sources: at least one. Their order decides what a seed draws.
        match: the number of places to choose from; 1 takes noise whatever the signal.
    """

    def __init__(self, folder: Path, sources: Sequence[ResidualSource], match: int) -> None:
        self.folder, self.sources, self.match = folder, list(sources), match
        self._told: set[str] = set()

    @property
    def settings(self) -> Mapping[str, Any]:
        """Returns what the noise depends on, as JSON values.

        That is the folder's name, `match`, and a digest of the names, sizes in bytes, patterns and
        noise levels of all sources.
        """
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
        """Adds the noise of a real scene to one image.

        A source that turns out to be damaged is left out for this image, with a warning.

        Args:
            clean: (4, H, W) packed RGGB in [0, 1], on the CPU.
            seed: decides which noise it is.

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
            return NoisyRaw(clean + noise, shot_noise, read_noise, {"residual": self._record(crop, missing)})
        raise ResidualError(f"{self.folder}: no source of noise can be read any more; see the warnings")

    def _draw(self, source: ResidualSource, height: int, width: int, rng: np.random.Generator) -> Crop:
        rows, columns = (
            _random_window(span, size, rng) for span, size in ((source.rows, height), (source.columns, width))
        )
        return Crop(source, (rows, columns), int(rng.integers(source.choices)))

    def _closest_first(self, crops: Sequence[Crop], clean: Tensor) -> Iterator[Crop]:
        """Yields the readable crops, the one nearest in signal first."""
        if len(crops) == 1:
            yield from crops
            return
        wanted = np.sqrt(clean.mean(dim=(1, 2), dtype=torch.float64).clamp(min=0).numpy())
        # by place, since crops can share one: a source no larger than the image has only one place
        distances: dict[tuple[str, int, int], float] = {}
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

    def _record(self, crop: Crop, missing: tuple[int, int]) -> dict[str, Any]:
        """Returns what the manifest says of the noise, in pixels of the mosaic as it is stored."""
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
    """Returns a random part of a span, `size` long or all of it, at an even offset."""
    length = min(size, span.stop - span.start)
    start = span.start + 2 * int(rng.integers((span.stop - span.start - length) // 2 + 1))
    return slice(start, start + length)
