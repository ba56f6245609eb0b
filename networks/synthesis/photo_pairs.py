"""The main job: a clean photo becomes a realistic noisy/clean pair, in RAW and in sRGB.

This is Sec. 4 of CycleISP:

    sRGB --RGB2RAW--> clean RAW --noise--> noisy RAW --RAW2RGB--> noisy sRGB
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from cycleisp.networks import acceleration
from cycleisp.networks.blur import GaussianBlur
from cycleisp.networks.synthesis.learned_camera import LearnedCamera
from cycleisp.utils.devices import download, upload
from cycleisp.utils.pairs import NoisyCleanPair
from cycleisp.utils.raw.noise import NoiseModel

# Bytes a pixel that a pair takes on a CPU beside features and colour map: copies of photo and RAW
# on their way. Measured in generate_data.py (docs/lab/performance.md).
PAIR_BYTES = 100


class PairSynthesizer:
    """Makes noisy/clean pairs from photos, as ordinary tensors that a network can be trained on.

    Args:
        camera: trained networks, and which sRGB target to make.
        noise: puts noise on clean RAW.
        blur_sigma: of the Gaussian blur, 5x5 taps, that removes a photo's own noise, in pixels; 0
            for none. Paper: 1.
        with_srgb: whether to make the sRGB pair, too; without it RAW2RGB is not run.
    """

    def __init__(
        self,
        camera: LearnedCamera,
        noise: NoiseModel,
        blur_sigma: float = 1.0,
        with_srgb: bool = True,
    ) -> None:
        self.camera, self.noise, self.with_srgb = camera, noise, with_srgb
        self.device = camera.device
        self.blur = GaussianBlur(blur_sigma, radius=2).to(self.device) if blur_sigma > 0 else None

    def needed_memory(self, pixels: int) -> int:
        """Returns about how many bytes the pair of a photo of `pixels` pixels takes on a CPU."""
        rgb2raw, raw2rgb = self.camera.isp.rgb2raw, self.camera.isp.guided_raw2rgb.raw2rgb
        features = acceleration.feature_memory(rgb2raw.deep, pixels // rgb2raw.stem.downscale_factor**2)
        color_map = 0
        if self.with_srgb:
            features = max(features, acceleration.feature_memory(raw2rgb.deep, pixels // 4))
            color_map = raw2rgb.head.out_channels * pixels  # four bytes, at half the resolution
        return PAIR_BYTES * pixels + features + color_map

    @torch.no_grad()
    def __call__(
        self, photos: Tensor, seeds: Sequence[int], clean_raw: Tensor | None = None
    ) -> list[NoisyCleanPair[Tensor]]:
        """Makes a pair from each photo.

        Args:
            photos: (B, 3, H, W) sRGB in [0, 1], any size from 2x2.
            seeds: one for each image. Its noise depends on the seed, not on the device or the
                batch.
            clean_raw: (B, 4, H/2, W/2) the photos' own RAW, packed RGGB, where it is known; skips
                RGB2RAW and blur.

        Returns:
            The pairs in the order of the photos, on the CPU.
        """
        if self.device.type == "cpu":  # a batch gains nothing here, and alone every photo's sums are always the same
            raws = [None] * len(photos) if clean_raw is None else clean_raw.split(1)
            jobs = zip(photos.split(1), seeds, raws, strict=True)
            return [self._batch(photo, [seed], raw)[0] for photo, seed, raw in jobs]
        return self._batch(photos, seeds, clean_raw)

    def _batch(self, photos: Tensor, seeds: Sequence[int], clean_raw: Tensor | None) -> list[NoisyCleanPair[Tensor]]:
        photos = upload(photos, self.device)
        height, width = photos.shape[2:]
        if self.blur is not None and clean_raw is None:
            photos = self.blur(photos)
        raw = self.camera.expose(photos) if clean_raw is None else upload(clean_raw, self.device).clamp(0, 1)
        (clean,) = download([raw])
        noisy = [self.noise.add(one, seed) for one, seed in zip(clean, seeds, strict=True)]
        noisy_raw = torch.stack([one.image for one in noisy]).clamp_(0, 1)
        images: list[Tensor | None] = [None, None]  # clean and noisy sRGB
        if self.with_srgb:
            images[:] = download(self.camera.develop(photos, raw, upload(noisy_raw, self.device)))
        rows, columns = height // 2, width // 2  # whole Bayer tiles: no value of RAW stems from padding alone
        return [
            NoisyCleanPair(
                clean_raw=clean[index, :, :rows, :columns],
                noisy_raw=noisy_raw[index, :, :rows, :columns],
                clean_srgb=None if images[0] is None else images[0][index],
                noisy_srgb=None if images[1] is None else images[1][index],
                shot_noise=noisy[index].shot_noise,
                read_noise=noisy[index].read_noise,
                noise_origin=noisy[index].origin,
            )
            for index in range(len(photos))
        ]
