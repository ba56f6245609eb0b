"""Patches for the denoisers: clean photos, and all draws of how a noisy picture is made of them.

A patch says which camera takes the picture, how much noise it adds, and what it does afterwards.
networks/synthesis/training_pairs.py does all that, on the training device. So all random choices
are made here, and patch n is a function of (seed, n) alone.
"""

import math

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from cycleisp.dataloaders.photo_store import PhotoStore
from cycleisp.dataloaders.training.noise_draws import NoiseDraws
from cycleisp.utils.color import colorimetry
from cycleisp.utils.color.simulated_camera import sample_camera
from cycleisp.utils.config import DenoiserData, Synthesis
from cycleisp.utils.images import photo_to_tensor

Patch = dict[str, Tensor]
# Pixels, a JPEG block. A finished patch can begin anywhere in such a block, and in a Bayer tile.
SRGB_MARGIN = 8


class DenoisingPatches(Dataset[Patch]):
    """An endless stream of patches of clean photos, each with the draws of its synthesis.

    The keys are listed in dataloaders/README.md.

    Args:
        photos: clean photos.
        data: patch size, scales and brightness of the photos.
        synthesis: the ranges to draw from.
        seed: the seed of the whole stream. Two streams of one seed show the same photos, whatever
            their synthesis.
        length: the number of patches.
        margin: how many pixels photos are larger than patches. The finished pair is cut out at a
            random place, since a picture of sRGB may begin anywhere in a Bayer tile.

    Raises:
        UserError: the recipe names an unknown noise, or a file of a camera that cannot be used.
    """

    def __init__(
        self,
        photos: PhotoStore,
        data: DenoiserData,
        synthesis: Synthesis,
        seed: int,
        length: int,
        margin: int = 0,
    ) -> None:
        self._photos, self._data, self._synthesis = photos, data, synthesis
        self._seed, self._length, self._margin = seed, length, margin
        self._noise = NoiseDraws(synthesis)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> Patch:
        scene, shot, parts = (np.random.default_rng((self._seed, number, part)) for part in range(3))
        photo = photo_to_tensor(self._photo(scene)).contiguous()
        patch = {"photo": photo, **draw_picture(self._synthesis, self._noise, shot, parts)}
        if self._margin:
            top, left = scene.integers(self._margin, size=2)
            patch["window"] = torch.tensor([top, left, self._data.patch_size])
        return patch

    def _photo(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draws a square of a photo, and changes its scale, brightness and orientation at random.

        Returns:
            (S, S, 3) in [0, 1], where S is the patch size plus the margin.
        """
        size = self._data.patch_size + self._margin
        photo = self._photos.draw(rng, max(2, round(size * _log_uniform(rng, self._data.scale))))
        if photo.shape[0] != size:
            method = cv2.INTER_AREA if photo.shape[0] > size else cv2.INTER_CUBIC
            photo = np.clip(cv2.resize(photo, (size, size), interpolation=method), 0, 1).astype(np.float32)
        brightness = _log_uniform(rng, self._data.brightness)
        if brightness != 1:
            photo = colorimetry.srgb_encode(colorimetry.srgb_decode(photo) * brightness).astype(np.float32)
        photo = photo[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]
        return np.ascontiguousarray(photo.transpose(1, 0, 2) if rng.integers(2) else photo)


def draw_picture(
    settings: Synthesis, noises: NoiseDraws, rng: np.random.Generator, parts: np.random.Generator
) -> Patch:
    """Draws everything about the noisy picture that is taken of a photo.

    Args:
        settings: the ranges to draw from.
        noises: those of the same settings.
        rng: all draws come from it, but for those of the noise's further parts.
        parts: of these, so that they change no other draw.

    Returns:
        The keys of a patch, without `photo` and `window`.
    """
    seed = int(rng.integers(2**62))
    noise = noises.choose(rng)
    if noise is None:
        return {"seed": torch.tensor(seed), "awgn_sigma": _tensor(rng.uniform(*settings.awgn_sigma) / 255)}
    levels = noises.levels(noise, seed)
    camera = sample_camera(rng, settings.light_spread, settings.light_center)
    smoothed, compressed = rng.random() < settings.noise_reduction_share, rng.random() < settings.jpeg_share
    draws = {
        "seed": torch.tensor(seed),
        "learned": torch.tensor(bool(rng.random() < settings.learned_share)),
        "cam2rgb": _tensor(np.eye(3) + rng.uniform(*settings.color_matrix) * (camera.cam2rgb - np.eye(3))),
        "white_balance": _tensor(camera.white_balance),
        "demosaicking": _tensor(rng.uniform(*settings.demosaicking)),
        "contrast": _tensor(rng.uniform(*settings.contrast) * (1 if smoothed else settings.plain_contrast)),
        "binned": torch.tensor(bool(rng.random() < settings.binned_share)),
        "luma_blur": _tensor(rng.uniform(*settings.luma_blur) * smoothed),
        "chroma_blur": _tensor(rng.uniform(*settings.chroma_blur) * smoothed),
        "jpeg_quality": torch.tensor(round(rng.uniform(*settings.jpeg_quality)) if compressed else 0),
        "jpeg_subsampled": torch.tensor(bool(rng.integers(2))),
    }
    levels["read_noise"] = levels["read_noise"] * _log_uniform(rng, settings.read_noise_factor)
    draws["sharpening"] = _tensor(_log_uniform(rng, settings.sharpening) if smoothed else 1.0)
    draws["chroma_noise"] = _tensor(_log_uniform(rng, settings.chroma_noise) if smoothed else 1.0)
    return {**draws, **noises.with_parts(levels, parts)}


def _log_uniform(rng: np.random.Generator, span: tuple[float, float]) -> float:
    """Draws a value whose logarithm is uniform."""
    low, high = span
    return low if low == high else math.exp(rng.uniform(math.log(low), math.log(high)))


def _tensor(value: object) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float32)
