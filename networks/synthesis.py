"""The main job: a clean photo becomes a realistic noisy/clean pair, in RAW and in sRGB (CycleISP, Sec. 4).

sRGB --RGB2RAW--> clean RAW --shot and read noise--> noisy RAW --RAW2RGB--> noisy sRGB
"""

import contextlib
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from networks.blur import GaussianBlur
from networks.cycleisp import CycleISP
from utils.noise import FixedNoise, NoiseProfile, add_shot_read_noise
from utils.padding import pad_to_multiple
from utils.pairs import NoisyCleanPair

CleanTarget = Literal["input", "cycle", "residual"]


class PairSynthesizer:
    """Makes noisy/clean pairs from photos.

    Args:
        isp: trained networks, on the device to compute on.
        noise: where noise levels come from.
        clean_target: the sRGB target. `input`: the photo that went in (the paper); noisy and clean then also differ by
            what the cycle gets wrong. `cycle`: RAW2RGB of the clean RAW; the pair differs by noise alone, the target
            has the networks' look. `residual`: the photo as target, and as noisy image the photo plus RAW2RGB(noisy) -
            RAW2RGB(clean); differs by noise alone, and the target is a true photo.
        blur_sigma: Gaussian blur in pixels that takes a photo's own noise away, 5x5 taps; 0 for none. Paper: 1.
        with_srgb: whether to make the sRGB pair; without it RAW2RGB is not run.
        autocast: half precision type for the networks, None for float32.
    """

    def __init__(
        self,
        isp: CycleISP,
        noise: NoiseProfile | FixedNoise,
        clean_target: CleanTarget = "input",
        blur_sigma: float = 1.0,
        with_srgb: bool = True,
        autocast: torch.dtype | None = None,
    ) -> None:
        self.isp, self.noise, self.clean_target = isp, noise, clean_target
        self.with_srgb, self.autocast = with_srgb, autocast
        self.device = next(isp.parameters()).device
        self.blur = GaussianBlur(blur_sigma, radius=2).to(self.device) if blur_sigma > 0 else None

    @torch.inference_mode()
    def __call__(self, photos: Tensor, seeds: Sequence[int], clean_raw: Tensor | None = None) -> list[NoisyCleanPair]:
        """Synthesize a pair for each photo.

        Args:
            photos: (B, 3, H, W) sRGB in [0, 1], any size from 2x2.
            seeds: one an image; noise level and noise depend on it alone, not on the device or on the batch.
            clean_raw: (B, 4, H/2, W/2) the photos' own RAW, packed RGGB, where it is known; skips RGB2RAW and blur.
        """
        if self.device.type == "cpu":  # a batch gains nothing here, and alone every photo's sums are always the same
            raws = [None] * len(photos) if clean_raw is None else clean_raw.split(1)
            jobs = zip(photos.split(1), seeds, raws, strict=True)
            return [self._batch(photo, [seed], raw)[0] for photo, seed, raw in jobs]
        return self._batch(photos, seeds, clean_raw)

    def _batch(self, photos: Tensor, seeds: Sequence[int], clean_raw: Tensor | None) -> list[NoisyCleanPair]:
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        drawn = [self.noise.sample(1, generator) for generator in generators]
        photos = photos.to(self.device)
        height, width = photos.shape[2:]
        if self.blur is not None and clean_raw is None:
            photos = self.blur(photos)
        padded = pad_to_multiple(photos, 2)
        with self._precision():
            raw = self.isp.rgb2raw(padded) if clean_raw is None else clean_raw.to(self.device)
        raw = raw.float().clamp(0, 1)
        noisy_raw = torch.cat(
            [
                add_shot_read_noise(one[None].cpu(), level.shot_noise, level.read_noise, generator)
                for one, level, generator in zip(raw, drawn, generators, strict=True)
            ]
        )
        noisy_raw = noisy_raw.to(self.device).clamp(0, 1)
        clean_srgb = noisy_srgb = None
        if self.with_srgb:
            clean_srgb, noisy_srgb = self._render(photos, padded, raw, noisy_raw)
        rows, columns = height // 2, width // 2  # whole Bayer tiles: no value of RAW stems from padding alone
        return [
            NoisyCleanPair(
                clean_raw=raw[index, :, :rows, :columns].cpu(),
                noisy_raw=noisy_raw[index, :, :rows, :columns].cpu(),
                clean_srgb=None if clean_srgb is None else clean_srgb[index].cpu(),
                noisy_srgb=None if noisy_srgb is None else noisy_srgb[index].cpu(),
                shot_noise=float(drawn[index].shot_noise),
                read_noise=float(drawn[index].read_noise),
            )
            for index in range(len(photos))
        ]

    def _render(self, photos: Tensor, padded: Tensor, raw: Tensor, noisy_raw: Tensor) -> tuple[Tensor, Tensor]:
        """Clean and noisy sRGB, (B, 3, H, W) in [0, 1], cut to the photos' size."""
        height, width = photos.shape[2:]
        render = self.isp.guided_raw2rgb.raw2rgb
        with self._precision():
            color_map = self.isp.guided_raw2rgb.color_correction(padded)
            noisy = render(noisy_raw, color_map).float()[..., :height, :width]
            if self.clean_target == "input":
                return photos, noisy.clamp(0, 1)
            cycle = render(raw, color_map).float()[..., :height, :width]
        if self.clean_target == "cycle":
            return cycle.clamp(0, 1), noisy.clamp(0, 1)
        return photos, (photos + noisy - cycle).clamp(0, 1)

    def _precision(self) -> contextlib.AbstractContextManager[object]:
        if self.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.autocast)
