"""A folder of denoised DND: the submission, with one file for each image, and pictures."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from cycleisp.dataloaders.denoisers import Denoise
from cycleisp.dataloaders.dnd.files import DndData, file_name
from cycleisp.dataloaders.dnd.scenes import Scene
from cycleisp.dataloaders.dnd.submission import bundle_problems, read_bundle, write_bundle
from cycleisp.dataloaders.protocols import as_8bit, dnd_finish
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import channels_last
from cycleisp.utils.output.contact_sheet import contact_sheet
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.png import encode_png
from cycleisp.utils.output.preview import render_preview
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.output.settings import claim_folder

PREVIEWED = 3  # crops of each image


class DndResults:
    """Denoised images in a folder. A run that was stopped can be started again and goes on.

    The folder holds `bundle/NNNN.mat`, which is the submission, settings.json and, if asked for,
    `previews/NNNN.png`.

    Args:
        folder: the folder, which is made if needed.
        data: the images to denoise.
        settings: everything that the results depend on; the folder never mixes two.

    Attributes:
        bundle: the folder of the submission.
        seconds: the time of each image that this object has denoised, by its number.

    Raises:
        UserError: the folder cannot be written, or holds results of other settings.
    """

    def __init__(self, folder: Path, data: DndData, settings: Mapping[str, Any]) -> None:
        claim_folder(folder, settings, "DND results")
        self.folder, self.data = folder, data
        self.bundle = folder / "bundle"
        self.seconds: dict[int, float] = {}

    def denoise(self, denoise: Denoise, batch_size: int = 4) -> Summary:
        """Denoises every image that does not lie there whole, and returns how many were.

        Args:
            denoise: a denoiser of the space of the data.
            batch_size: how many crops to denoise at once.

        Raises:
            UserError: the folder cannot be written, an image of DND is damaged, the GPU's memory is
                too small, or the denoiser returns NaN.
        """
        space, extent, scenes = self.data.space, self.data.extent, self.data.scenes
        waiting = [scene for scene in scenes if not self.is_done(scene)]
        summary = Summary(kept=len(scenes) - len(waiting))
        with (
            self._writing(),
            progress_bar(total=len(waiting) * extent.boxes, desc="denoising", unit="crop") as bar,
        ):
            for scene in waiting:
                began = time.perf_counter()
                crops = self._denoised_crops(scene, denoise, batch_size, bar)
                write_bundle(self._file(scene), crops, space, extent)
                self.seconds[scene.number] = time.perf_counter() - began
                summary.made += 1
        return summary

    def save_pictures(self) -> None:
        """Writes `previews/NNNN.png`: the first crops of each image, noisy and denoised.

        Pictures of images that were denoised before are kept.

        Raises:
            UserError: the folder cannot be written, or a file of DND is damaged.
        """
        with self._writing():
            for scene in self.data.scenes:
                path = self.folder / "previews" / f"{scene.number:04d}.png"
                if scene.number in self.seconds or not path.is_file():
                    write_bytes(path, encode_png(self._picture(scene)))

    def is_done(self, scene: Scene) -> bool:
        """Tells whether the submission holds an image whole."""
        return not bundle_problems(self._file(scene), self.data.space, self.data.extent)

    def stored(self, scene: Scene, count: int = PREVIEWED) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns the first crops of an image, noisy and as the submission holds them.

        Returns:
            Twice (N, H, W) mosaics or (N, H, W, 3) photos.

        Raises:
            UserError: a file is damaged.
        """
        noisy = _as_stored(torch.from_numpy(self.data.crops(scene, count)))
        return np.stack(noisy), np.stack(read_bundle(self._file(scene))[:count])

    def render(self, scene: Scene, crop: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Returns a crop of an image for the eye, (H, W, 3)."""
        if self.data.space == "srgb":
            return as_8bit(crop)
        white_balance, cam2rgb = self.data.colors(scene)
        return render_preview(crop, scene.pattern, white_balance, cam2rgb)

    def _file(self, scene: Scene) -> Path:
        return self.bundle / file_name(scene.number)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be written ({error.strerror}); give another --output") from None

    def _denoised_crops(self, scene: Scene, denoise: Denoise, batch_size: int, bar: tqdm) -> list[NDArray[np.float32]]:
        """Returns the denoised crops of an image as the submission holds them."""
        crops: list[NDArray[np.float32]] = []
        for noisy in torch.from_numpy(self.data.crops(scene)).clamp(0, 1).split(batch_size):
            try:
                denoised = self.data.denoise(denoise, noisy, scene)
            except torch.OutOfMemoryError:
                raise UserError(f"too little memory for {len(noisy)} crops at once; lower --batch-size") from None
            if not torch.isfinite(denoised).all():
                raise UserError(f"image {scene.number:04d}: the network gave NaN or infinite values; use other weights")
            crops += _as_stored(denoised)
            bar.update(len(noisy))
        return crops

    def _picture(self, scene: Scene) -> NDArray[np.uint8]:
        """Returns noisy crops of an image beside what the bundle holds of them."""
        noisy, denoised = self.stored(scene)
        return contact_sheet(
            [
                [
                    (f"{scene.number:04d}, box {box}, noisy", self.render(scene, a)),
                    (f"box {box}, denoised", self.render(scene, b)),
                ]
                for box, (a, b) in enumerate(zip(noisy, denoised, strict=True), start=1)
            ],
            cell=self.data.extent.side,
        )


def _as_stored(crops: Tensor) -> list[NDArray[np.float32]]:
    """Returns crops as a submission holds them.

    Crops (B, 1, H, W) become mosaics (H, W), and crops (B, 3, H, W) photos (H, W, 3).
    """
    photos = dnd_finish(channels_last(crops))
    return [np.ascontiguousarray(photo[..., 0] if photo.shape[-1] == 1 else photo) for photo in photos]
