"""DND in, a submission out: crops denoised in batches, one file an image, with pictures to look at."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from cycleisp.dataloaders.dnd.images import DndImage, DndImages
from cycleisp.dataloaders.dnd.submission import bundle_problems, file_name, read_bundle, write_bundle
from cycleisp.dataloaders.protocols import as_8bit, dnd_finish
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.contact_sheet import contact_sheet
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.png import encode_png
from cycleisp.utils.output.preview import render_preview
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.output.settings import claim_folder
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.noise import noise_level_function

Denoise = Callable[..., Tensor]  # sRGB (B, 3, H, W), or packed RGGB (B, 4, H/2, W/2) and its variance -> denoised
PREVIEWED = 3  # crops of each image


class DndResults:
    """Denoises DND into a folder; images that lie there whole are kept, so a stopped run can be started again.

    Args:
        folder: gets `bundle/NNNN.mat`, the submission, `previews/NNNN.png` and settings.json.
        images: of RAW or sRGB.
        denoise: a batch at a time.
        settings: whatever the results depend on; the folder never mixes two.
        batch_size: crops that are denoised at once.
        previews: whether to picture noisy and denoised crops.
    """

    def __init__(
        self,
        folder: Path,
        images: DndImages,
        denoise: Denoise,
        settings: Mapping[str, Any],
        batch_size: int = 4,
        previews: bool = False,
    ) -> None:
        self.folder, self.images, self.denoise, self.settings = folder, images, denoise, settings
        self.batch_size, self.previews = batch_size, previews
        self.bundle = folder / "bundle"

    def run(self) -> Summary:
        """Denoise what is not there yet.

        Raises:
            UserError: the folder cannot be written or holds results of other settings, data of DND are damaged, the
                GPU's memory is too small, or the network gives NaN.
        """
        claim_folder(self.folder, self.settings, "DND results")
        space, extent, images = self.images.space, self.images.extent, self.images.images
        waiting = [image for image in images if bundle_problems(self._file(image), space, extent)]
        summary = Summary(kept=len(images) - len(waiting))
        try:
            with progress_bar(total=len(waiting) * extent.boxes, desc="denoising", unit="crop") as bar:
                for image in images:
                    if image in waiting:
                        write_bundle(self._file(image), self._denoise(image, bar), space, extent)
                        summary.made += 1
                    picture = self.folder / "previews" / f"{image.number:04d}.png"
                    if self.previews and (image in waiting or not picture.is_file()):
                        write_bytes(picture, encode_png(self._preview(image)))
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be written ({error.strerror}); give another --output") from None
        return summary

    def _file(self, image: DndImage) -> Path:
        return self.bundle / file_name(image.number)

    def _denoise(self, image: DndImage, bar: tqdm) -> list[NDArray[np.float32]]:
        """The crops of a bundle."""
        crops: list[NDArray[np.float32]] = []
        for noisy in torch.from_numpy(self.images.crops(image)).clamp(0, 1).split(self.batch_size):
            try:
                denoised = (
                    self.denoise(noisy) if self.images.space == "srgb" else denoise_raw(noisy, image, self.denoise)
                )
            except torch.OutOfMemoryError:
                raise UserError(f"too little memory for {len(noisy)} crops at once; lower --batch-size") from None
            if not torch.isfinite(denoised).all():
                raise UserError(f"image {image.number:04d}: the network gave NaN or infinite values; use other weights")
            crops += [_picture(crop) for crop in dnd_finish(denoised.cpu().numpy())]
            bar.update(len(noisy))
        return crops

    def _preview(self, image: DndImage) -> NDArray[np.uint8]:
        """Noisy crops beside what the bundle holds of them."""
        render: Callable[[NDArray], NDArray[np.uint8]] = as_8bit
        if self.images.space == "raw":
            white_balance, cam2rgb = self.images.colors(image)
            render = lambda mosaic: render_preview(mosaic, image.pattern, white_balance, cam2rgb)  # noqa: E731
        noisy = [_picture(crop) for crop in np.clip(self.images.crops(image, PREVIEWED), 0, 1)]
        denoised = read_bundle(self._file(image))[:PREVIEWED]
        return contact_sheet(
            [
                [(f"{image.number:04d}, box {box}, noisy", render(a)), (f"box {box}, denoised", render(b))]
                for box, (a, b) in enumerate(zip(noisy, denoised, strict=True), start=1)
            ],
            cell=self.images.extent.side,
        )


def denoise_raw(noisy: Tensor, image: DndImage, denoise: Denoise) -> Tensor:
    """Crops of an image through a denoiser of packed RGGB.

    Args:
        noisy: (B, 1, H, W) mosaics in [0, 1], in the image's Bayer order.
        image: for the order, and for the noise level that the denoiser is told.
        denoise: takes the packed crops (B, 4, H/2, W/2) and their variance.

    Returns:
        (B, 1, H, W) as `noisy`, not clipped.
    """
    packed = bayer.pack(bayer.flip_to_rggb(noisy, image.unified_as))
    shot_noise, read_noise = torch.tensor([image.shot_noise]), torch.tensor([image.read_noise])
    variance = noise_level_function(packed, shot_noise, read_noise)  # one level for all crops
    return bayer.flip_to_rggb(bayer.unpack(denoise(packed, variance)), image.unified_as)


def _picture(crop: NDArray[np.float32]) -> NDArray[np.float32]:
    """(1, H, W) -> (H, W), (3, H, W) -> (H, W, 3)."""
    return np.ascontiguousarray(crop[0] if len(crop) == 1 else crop.transpose(1, 2, 0))
