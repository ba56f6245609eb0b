"""Patches for the denoisers: photos with everything that is drawn about the picture taken of them.

The patch says which camera, how much noise and what the camera did afterwards; networks/synthesis/training_pairs.py
does it, on the training device. So all choices are here, and patch n is a function of (seed, n) alone.
"""

import math

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from cycleisp.dataloaders.photos import PhotoStore
from cycleisp.utils.color import colorimetry
from cycleisp.utils.color.simulated_camera import sample_camera
from cycleisp.utils.config import DenoiserData, Synthesis
from cycleisp.utils.raw.noise import AWGN, FixedNoise, NoiseProfile, parse_noise

Patch = dict[str, Tensor]
SRGB_MARGIN = 8  # pixels, a JPEG block: room to cut a patch that begins anywhere in a Bayer tile and in such a block


class DenoisingPatches(Dataset[Patch]):
    """Endless patches of clean photos, each with the draws of its synthesis; the keys are in dataloaders/README.md.

    Args:
        photos: clean photos.
        data: patch size, scales and brightness of the photos.
        synthesis: what to draw from.
        seed: of the whole stream. Two streams of one seed show the same photos whatever their synthesis.
        length: number of patches.
        margin: pixels by which photos are larger than patches. The pair is cut out of them at a place below that: a
            picture of sRGB may begin anywhere in a Bayer tile.

    Raises:
        NoiseError: an unknown noise in the recipe.
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
        self._noises: list[NoiseProfile | FixedNoise | None] = [
            None if name == AWGN else parse_noise(name) for name in synthesis.noise
        ]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> Patch:
        scene, shot = (np.random.default_rng((self._seed, number, part)) for part in range(2))
        photo = torch.from_numpy(self._photo(scene)).permute(2, 0, 1).contiguous()
        patch = {"photo": photo, **self._draws(shot)}
        if self._margin:
            top, left = scene.integers(self._margin, size=2)
            patch["window"] = torch.tensor([top, left, self._data.patch_size])
        return patch

    def _photo(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """A clean photo, square, (P + margin) pixels a side, in [0, 1]: another scale, light, mirrored, turned."""
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

    def _draws(self, rng: np.random.Generator) -> Patch:
        settings = self._synthesis
        seed = int(rng.integers(2**62))
        noise = self._noises[int(rng.integers(len(self._noises)))]
        if noise is None:
            return {"seed": torch.tensor(seed), "awgn_sigma": _tensor(rng.uniform(*settings.awgn_sigma) / 255)}
        levels = noise.sample(1, torch.Generator().manual_seed(seed))
        camera = sample_camera(rng, settings.light_spread)
        smoothed, compressed = rng.random() < settings.noise_reduction_share, rng.random() < settings.jpeg_share
        return {
            "seed": torch.tensor(seed),
            "shot_noise": levels.shot_noise[0],
            "learned": torch.tensor(bool(rng.random() < settings.learned_share)),
            "cam2rgb": _tensor(np.eye(3) + rng.uniform(*settings.color_matrix) * (camera.cam2rgb - np.eye(3))),
            "white_balance": _tensor(camera.white_balance),
            "demosaicking": _tensor(rng.uniform(*settings.demosaicking)),
            "contrast": _tensor(rng.uniform(*settings.contrast)),
            "binned": torch.tensor(bool(rng.random() < settings.binned_share)),
            "luma_blur": _tensor(rng.uniform(*settings.luma_blur) * smoothed),
            "chroma_blur": _tensor(rng.uniform(*settings.chroma_blur) * smoothed),
            "jpeg_quality": torch.tensor(round(rng.uniform(*settings.jpeg_quality)) if compressed else 0),
            "jpeg_subsampled": torch.tensor(bool(rng.integers(2))),
            "read_noise": levels.read_noise[0] * _log_uniform(rng, settings.read_noise_factor),
            "sharpening": _tensor(_log_uniform(rng, settings.sharpening) if smoothed else 1.0),
        }


def _log_uniform(rng: np.random.Generator, span: tuple[float, float]) -> float:
    low, high = span
    return low if low == high else math.exp(rng.uniform(math.log(low), math.log(high)))


def _tensor(value: object) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float32)
