"""Noisy/clean pairs from patches of clean photos, made on the training device during training.

All random choices come with the patch (dataloaders/training/denoising_patches.py), and the noise
itself comes from the patch's `seed`, so that a pair is the same in any batch. The results are
batches with the keys `noisy`, `clean`, and for RAW `variance`.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from cycleisp.networks.acceleration import to_device
from cycleisp.networks.blur import GaussianBlur
from cycleisp.networks.pretrained import load_cycleisp
from cycleisp.networks.synthesis.finishing import jpeg, smooth_noise
from cycleisp.networks.synthesis.learned_camera import LearnedCamera
from cycleisp.networks.synthesis.simulated_cameras import SimulatedCameras
from cycleisp.utils.config import Synthesis
from cycleisp.utils.devices import training_precision
from cycleisp.utils.images import Space
from cycleisp.utils.raw.noise import AWGN, clipped_mean, noise_level_function, white_noise
from cycleisp.utils.raw.sensor_noise.parameters import SensorNoise
from cycleisp.utils.raw.sensor_noise.sampling import add_sensor_noise

Batch = Mapping[str, Tensor]
Pair = dict[str, Tensor]


class TrainingPairs:
    """Makes a batch of pairs from a batch of patches, on the device of the patches.

    Args:
        space: which pair to make.
        learned: the camera of patches whose `learned` is true; None if there are none.
        blur_sigma: of the Gaussian blur, 5x5 taps, that removes a photo's own noise, in pixels; 0
            for none.
        frame_average: how far the sRGB target goes from the picture without noise, 0, to what
            averaging many frames would give, 1 (`utils.raw.noise.clipped_mean`). The two differ in
            the dark.
        device: to compute on.
    """

    def __init__(
        self,
        space: Space,
        learned: LearnedCamera | None,
        blur_sigma: float,
        frame_average: float,
        device: torch.device,
    ) -> None:
        self.learned, self.frame_average = learned, frame_average
        self.blur = GaussianBlur(blur_sigma, radius=2).to(device) if blur_sigma > 0 else None
        by_space: dict[Space, Callable[[Batch], Pair]] = {"raw": self._raw_pair, "srgb": self._srgb_pair}
        self._take = by_space[space]

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Pair:
        """Makes pairs from a batch with `photo`, and returns a batch of stored pairs as it is."""
        if "photo" not in batch:
            return dict(batch)
        pair = self._whole(batch)
        return _cut(pair, batch["window"].tolist()) if "window" in batch else pair

    def _whole(self, batch: Batch) -> Pair:
        """Makes pairs of the photos' full size."""
        if self.blur is not None:
            batch = {**batch, "photo": self.blur(batch["photo"])}
        if "awgn_sigma" in batch:
            return _gaussian_pair(batch)
        learned = batch["learned"]
        if not learned.any() or learned.all():
            return self._take(batch)
        parts = {flag: {key: value[learned == flag] for key, value in batch.items()} for flag in (True, False)}
        pairs = {flag: self._take(part) for flag, part in parts.items()}
        order = torch.argsort((~learned).long(), stable=True).argsort()  # learned ones come first in `pairs`
        return {key: torch.cat([pairs[True][key], pairs[False][key]])[order] for key in pairs[True]}

    # ------------------------------------------------------------ one camera

    def _raw_pair(self, batch: Batch) -> Pair:
        clean = self._expose(batch)
        noisy = _noisy(clean, batch)
        return {"clean": clean, "noisy": noisy, "variance": _variance(noisy, batch)}

    def _srgb_pair(self, batch: Batch) -> Pair:
        if batch["learned"].all():
            assert self.learned is not None
            raw, noisy_raw = self._frames(self._expose(batch), batch)
            clean, noisy = self.learned.develop(batch["photo"], raw, noisy_raw)
        else:
            clean, noisy = self._simulated_pair(batch)
        noise = smooth_noise(noisy - clean, batch["luma_blur"], batch["chroma_blur"], batch.get("chroma_noise"))
        noisy = clean + batch["sharpening"].view(-1, 1, 1, 1) * noise
        noisy = jpeg(noisy.clamp(0, 1), batch["jpeg_quality"].tolist(), batch["jpeg_subsampled"].tolist())
        return {"clean": clean, "noisy": noisy}

    def _simulated_pair(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns clean and noisy sRGB of simulated cameras, some of which bin their pixels."""
        cameras, binned = SimulatedCameras.from_batch(batch), batch["binned"].view(-1, 1, 1, 1)
        rgb = cameras.camera_rgb(batch["photo"])
        images = [cameras.develop(raw) for raw in self._frames(cameras.sample(rgb), batch)]
        if binned.any():
            # Sensors of twice the resolution, reduced by two: every pixel has a tile of its own,
            # with two greens.
            reduced = [
                cameras.render(torch.stack([tile[:, 0], (tile[:, 1] + tile[:, 2]) / 2, tile[:, 3]], dim=1))
                for tile in self._frames(rgb[:, [0, 1, 1, 2]], batch)
            ]
            images = [torch.where(binned, small, image) for small, image in zip(reduced, images, strict=True)]
        return images[0], images[1]

    def _frames(self, clean: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns the RAW to render as target, and a noisy frame."""
        noisy = _noisy(clean, batch)
        if not self.frame_average:
            return clean, noisy
        return torch.lerp(clean, clipped_mean(clean, _variance(clean, batch)), self.frame_average), noisy

    def _expose(self, batch: Batch) -> Tensor:
        if not batch["learned"].all():
            return SimulatedCameras.from_batch(batch).expose(batch["photo"])
        assert self.learned is not None
        return self.learned.expose(batch["photo"])


def _cut(pair: Pair, windows: list[list[int]]) -> Pair:
    """Cuts every image of sRGB pairs to its (top, left, size)."""
    return {
        key: torch.stack(
            [
                image[:, top : top + size, left : left + size]
                for image, (top, left, size) in zip(images, windows, strict=True)
            ]
        )
        for key, images in pair.items()
    }


def _noisy(clean: Tensor, batch: Batch) -> Tensor:
    """Returns a noisy frame in [0, 1] of clean RAW."""
    return add_sensor_noise(clean, SensorNoise.from_batch(batch), batch["seed"].tolist(), clip=True)


def _variance(signal: Tensor, batch: Batch) -> Tensor:
    """Returns the variance of each value's noise, of which rows, columns and rounding are parts."""
    levels = SensorNoise.from_batch(batch).levels()
    return noise_level_function(signal, levels.shot_noise, levels.read_noise)


def _gaussian_pair(batch: Batch) -> Pair:
    photo = batch["photo"]
    noise = batch["awgn_sigma"].view(-1, 1, 1, 1) * white_noise(photo, batch["seed"].tolist())
    return {"clean": photo, "noisy": (photo + noise).clamp(0, 1)}


def open_training_pairs(
    synthesis: Synthesis,
    space: Space,
    weights: str,
    device: torch.device,
    precision: str = "auto",
) -> TrainingPairs:
    """Returns the `TrainingPairs` of a recipe. CycleISP is loaded only if some patches pass it.

    Args:
        synthesis: the recipe's section.
        space: which pairs to make.
        weights: of CycleISP, a shipped name or a file.
        device: to compute on.
        precision: of CycleISP, as `training_precision` takes it.

    Raises:
        WeightsError: as `networks.pretrained.load_cycleisp`.
    """
    learned = None
    if synthesis.learned_share > 0 and AWGN not in synthesis.noise:
        isp = to_device(load_cycleisp(weights)[0], device)
        learned = LearnedCamera(isp, synthesis.clean_target, training_precision(precision, device))
    return TrainingPairs(space, learned, synthesis.blur, synthesis.frame_average, device)
