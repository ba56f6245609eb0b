"""Synthetic noise of a training recipe on the clean pictures of a real set.

The pairs are made by the code of the training (networks/synthesis/training_pairs.py), with draws
of the recipe's own spans. Of several draws for a picture those are kept whose noise is nearest to
the real noise in strength, so that the comparison is one of the noise's kind.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.audit.crops import LEVELS, MARGIN, Crops
from cycleisp.dataloaders.training.denoising_patches import SRGB_MARGIN, draw_picture
from cycleisp.dataloaders.training.noise_draws import NoiseDraws
from cycleisp.networks.synthesis.training_pairs import TrainingPairs, open_training_pairs
from cycleisp.utils.config import Synthesis

Draws = dict[str, Tensor]
PROBED = 1  # squares of a picture by which a draw's strength is judged
BATCH = 24  # squares that are computed at a time


@dataclass(frozen=True)
class Matched:
    """Noise of a recipe on the pictures of a real set.

    Attributes:
        crops: the squares of the real set as often as draws were kept, with synthetic noise.
        draws: of each picture, the kept ones, the nearest first.
        ratios: (pictures,) the deviation of the nearest draw's noise over that of the real noise,
            by the squares that were probed.
    """

    crops: Crops
    draws: list[list[Draws]]
    ratios: NDArray[np.float64]


def match_recipe(
    real: Crops, synthesis: Synthesis, weights: str, draws: int, keep: int, seed: int, device: torch.device
) -> Matched:
    """Makes noise of a recipe on the clean squares of a real set, nearly as strong as the real one.

    For each picture `draws` cameras are drawn, each with its noise, light and finishing, and try
    some squares. Those `keep` whose mean square of noise is nearest to the real one, by the ratio,
    take all squares.

    Args:
        real: squares of sRGB pairs.
        synthesis: the recipe's section.
        weights: of CycleISP, for recipes that use it.
        draws, keep: how many to draw for a picture, and how many of them to keep.
        seed: of all draws.
        device: to compute on.
    """
    noises, pairs = NoiseDraws(synthesis), open_training_pairs(synthesis, "srgb", weights, device)
    power = np.square(real.noise).mean(axis=(1, 2, 3), dtype=np.float64)
    parts: list[tuple[NDArray, NDArray, NDArray]] = []
    kept_draws, ratios = [], np.zeros(len(real.names))
    for number in range(len(real.names)):
        indices = np.flatnonzero(real.picture == number)
        candidates = [_draw(synthesis, noises, (seed, number, draw)) for draw in range(draws)]
        probes = indices[np.linspace(0, len(indices) - 1, min(PROBED, len(indices))).round().astype(int)]
        tried = _strengths(pairs, real.surroundings[probes], candidates, (seed, number))
        distance = np.abs(np.log(np.maximum(tried, 1e-6) / max(power[probes].mean(), 1e-6)))
        order = np.argsort(distance, kind="stable")[:keep]
        ratios[number] = math.sqrt(tried[order[0]] / max(power[probes].mean(), 1e-12))
        kept_draws.append([candidates[index] for index in order])
        for place, index in enumerate(order):
            items = [(square, candidates[index]) for square in real.surroundings[indices]]
            made = list(_take(pairs, items, (seed, number, draws + place)))
            noisy, around = (np.concatenate(arrays) for arrays in zip(*made, strict=True))
            parts.append((noisy, around, np.full(len(indices), number + place * len(real.names))))
    noisy, around, picture = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Matched(Crops(noisy, around, picture, real.names * keep, real.channels), kept_draws, ratios)


def _draw(synthesis: Synthesis, noises: NoiseDraws, seed: tuple[int, ...]) -> Draws:
    return draw_picture(synthesis, noises, *(np.random.default_rng((*seed, part)) for part in (1, 2)))


def _strengths(
    pairs: TrainingPairs, squares: NDArray[np.float32], candidates: Sequence[Draws], seed: tuple[int, ...]
) -> NDArray[np.float64]:
    """Returns the mean square of the noise that each candidate adds to squares, (candidates,)."""
    items = [(square, draws) for draws in candidates for square in squares]
    made = _take(pairs, items, seed)
    means = [
        np.square(noisy - around[..., MARGIN:-MARGIN, MARGIN:-MARGIN]).mean(axis=(1, 2, 3), dtype=np.float64)
        for noisy, around in made
    ]
    return np.concatenate(means).reshape(len(candidates), len(squares)).mean(axis=1)


def _take(
    pairs: TrainingPairs, items: Sequence[tuple[NDArray[np.float32], Draws]], seed: tuple[int, ...]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yields batches of noisy squares (n, C, S, S), and of clean ones with their surroundings.

    As in training, the photo is SRGB_MARGIN larger than the square, which begins anywhere in a
    Bayer tile and in a JPEG block. Values are levels, rounded to whole ones as in files.
    """
    rng = np.random.default_rng(seed)
    for first in range(0, len(items), BATCH):
        batch = items[first : first + BATCH]
        size = batch[0][0].shape[-1] - 2 * MARGIN
        shifts = rng.integers(SRGB_MARGIN, size=(len(batch), 2))
        photos = [
            square[:, top : top + size + SRGB_MARGIN, left : left + size + SRGB_MARGIN]
            for (square, _), (top, left) in zip(batch, MARGIN - shifts, strict=True)
        ]
        draws = {key: torch.stack([item[1][key] for item in batch]) for key in batch[0][1]}
        draws["seed"] = torch.from_numpy(rng.integers(2**62, size=len(batch)))
        draws["photo"] = torch.from_numpy(np.stack(photos) / np.float32(LEVELS))
        draws["window"] = torch.tensor([[top, left, size] for top, left in shifts.tolist()])
        pair = pairs(draws)
        noisy, clean = ((pair[key].clamp(0, 1) * LEVELS).round().cpu().numpy() for key in ("noisy", "clean"))
        # What lies around is only looked at where noise is made, so zeros will do here.
        yield noisy, np.pad(clean, ((0, 0), (0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))
