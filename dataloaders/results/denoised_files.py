"""Files in, denoised files out: what denoise.py does.

A photo becomes a PNG with its depth, EXIF and colour profile. A camera file becomes a DNG with the
denoised mosaic, and a PNG with LibRaw's rendering of it.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cycleisp.dataloaders.denoisers import DenoiseRaw, DenoiseSrgb
from cycleisp.dataloaders.photos import PhotoError, Source, read_photo_and_metadata
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import photo_to_tensor, tensor_to_photo
from cycleisp.utils.output.files import atomic_path, write_bytes
from cycleisp.utils.output.png import encode_png
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import RawImage, read_raw, render_with_libraw
from cycleisp.utils.raw.dng import encode_dng
from cycleisp.utils.raw.noise import FixedNoise, noise_level_function
from cycleisp.utils.raw.noise_estimate import estimate_noise

log = logging.getLogger(__name__)


class DenoisedFiles:
    """Denoises files into a folder. Existing results are kept, so that a stopped run resumes.

    Args:
        folder: the folder for the results: `NAME.png` of a photo, `NAME.dng` and `NAME.png` of a
            camera file.
        photo: a denoiser of sRGB; None refuses photos.
        raw: a denoiser of packed RAW; None refuses camera files.
        noise: the noise level of camera files; None takes the file's noise profile or, without one,
            an estimate.
        overwrite: whether to overwrite existing results.
    """

    def __init__(
        self,
        folder: Path,
        photo: DenoiseSrgb | None,
        raw: DenoiseRaw | None,
        noise: FixedNoise | None = None,
        overwrite: bool = False,
    ) -> None:
        self.folder, self.photo, self.raw, self.noise, self.overwrite = folder, photo, raw, noise, overwrite

    def run(self, sources: Sequence[Source]) -> Summary:
        """Denoises every source. Bad ones are left out and reported in the summary.

        Raises:
            UserError: the folder cannot be written.
        """
        summary = Summary()
        inputs = {source.path.resolve() for source in sources}
        for source in progress_bar(iterable=sources, desc="denoising", unit="image"):
            picture, mosaic = (self.folder / f"{source.name}.{suffix}" for suffix in ("png", "dng"))
            outputs = [mosaic, picture] if source.space == "raw" else [picture]
            if inputs & {output.resolve() for output in outputs}:
                reason = f"{source.path}: its result in {self.folder} would replace an input; give another --output"
                log.warning("skipped %s", summary.skip(source.path, reason))
                continue
            if not self.overwrite and all(output.is_file() for output in outputs):
                summary.kept += 1
                continue
            try:
                png = self._denoise_raw(source, mosaic) if source.space == "raw" else self._denoise_photo(source)
                write_bytes(picture, png)
            except (UserError, ValueError, MemoryError) as error:
                log.warning("skipped %s", summary.skip(source.path, error))
                continue
            except OSError as error:
                raise UserError(f"{self.folder}: cannot be written ({error.strerror}); give another --output") from None
            summary.made += 1
        return summary

    def _denoise_photo(self, source: Source) -> bytes:
        """Returns the PNG of a denoised photo."""
        if self.photo is None:
            raise PhotoError(f"{source.path}: is an sRGB photo, the weights are for RAW; name an SrgbDenoiser")
        photo, metadata = read_photo_and_metadata(source.path)
        denoised = self.photo(photo_to_tensor(photo)[None])
        return encode_png(tensor_to_photo(denoised[0], photo.dtype), metadata)

    def _denoise_raw(self, source: Source, mosaic: Path) -> bytes:
        """Writes the denoised mosaic of a camera file, and returns the PNG of its rendering."""
        if self.raw is None:
            raise UserError(f"{source.path}: is a camera RAW file, the weights are for sRGB; name a RawDenoiser")
        image = read_raw(source.path)
        padded, window = bayer.pad_to_rggb(torch.from_numpy(image.mosaic)[None], image.pattern, multiple=2)
        packed = bayer.pack(padded)
        shot_noise, read_noise, origin = self._noise_level(image, packed)
        level = _level_in_words(shot_noise, read_noise)
        log.info("%s: noise from %s, %s", source.path.name, origin, level)
        variance = noise_level_function(packed[None], shot_noise[None], read_noise[None])
        denoised = bayer.unpack(self.raw(packed[None], variance))[0, 0][window].numpy()
        description = f"denoised, noise from {origin}: {level}"
        dng = encode_dng(denoised, image.pattern, image.white_balance, image.cam2rgb, description, image.quarter_turns)
        with atomic_path(mosaic) as aside:  # LibRaw reads files only
            aside.write_bytes(dng)
            rendered = render_with_libraw(aside)
        return encode_png(np.rot90(rendered, image.quarter_turns).copy())

    def _noise_level(self, image: RawImage, packed: Tensor) -> tuple[Tensor, Tensor, str]:
        """Returns shot and read noise (4,) of the planes R, G_r, G_b, B, and their origin."""
        if self.noise is not None:
            levels, origin = [(self.noise.shot_noise, self.noise.read_noise)], "--noise"
        elif image.noise_profile is not None:
            levels = [(float(shot), float(read)) for shot, read in image.noise_profile]
            origin = "the file's NoiseProfile"
        else:
            estimate = estimate_noise(packed)
            levels, origin = [(estimate.shot_noise, estimate.read_noise)], "an estimate"
        if len(levels) not in (1, 3, 4):
            raise UserError(f"NoiseProfile holds {len(levels)} pairs, expected one, or one a colour; give --noise")
        planes = {1: (0, 0, 0, 0), 3: (0, 1, 1, 2), 4: (0, 1, 2, 3)}[len(levels)]
        table = torch.tensor(levels, dtype=torch.float32)[list(planes)]
        return table[:, 0], table[:, 1], origin


def _level_in_words(shot_noise: Tensor, read_noise: Tensor) -> str:
    pairs = dict.fromkeys(
        f"shot={s:.3g},read={r:.3g}" for s, r in zip(shot_noise.tolist(), read_noise.tolist(), strict=True)
    )
    return " ".join(pairs)
