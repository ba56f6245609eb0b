"""A camera RAW file in, its denoised DNG and rendering out."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cycleisp import __version__
from cycleisp.dataloaders.denoisers import DenoiseRaw
from cycleisp.dataloaders.results.sidecars import copy_sidecars
from cycleisp.utils.color.icc import profile_of_space
from cycleisp.utils.color.spaces import SRGB
from cycleisp.utils.errors import UserError, reading
from cycleisp.utils.orientation import upright
from cycleisp.utils.output.files import atomic_path
from cycleisp.utils.output.metadata import PhotoMetadata
from cycleisp.utils.output.picture_format import PNG, PictureFormat
from cycleisp.utils.processes.apart import apart
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import RawImage, read_raw, render_with_libraw
from cycleisp.utils.raw.dng.source import read_dng_source
from cycleisp.utils.raw.dng.writer import encode_dng, encode_exif, white_share
from cycleisp.utils.raw.noise import FixedNoise, noise_level_function
from cycleisp.utils.raw.noise_estimate import estimate_noise

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RawFileDenoiser:
    """Denoises camera files.

    Attributes:
        denoise: a denoiser of packed RAW.
        noise: the noise level of camera files; None takes the file's noise profile or, without one,
            an estimate.
        form: the format of the rendering.
    """

    denoise: DenoiseRaw
    noise: FixedNoise | None = None
    form: PictureFormat = PNG

    def write(self, path: Path, mosaic: Path, named: Path | None = None) -> bytes:
        """Writes the denoised mosaic of a camera file as DNG, and returns its rendering as a file.

        Args:
            path: the camera file.
            mosaic: the DNG to write.
            named: what the DNG will be called, after which its sidecars are named; None for
                `mosaic`.

        Raises:
            UserError: as `read_raw`; or the noise level cannot be told.
            OSError: the DNG cannot be written.
        """
        image, source = apart(read_raw, path, clip=False), apart(read_dng_source, path)
        padded, window = bayer.pad_to_rggb(torch.from_numpy(image.mosaic)[None], image.pattern, multiple=2)
        packed = bayer.pack(padded)
        try:
            shot_noise, read_noise, origin = self._noise_level(image, packed)  # which needs values below black
        except ValueError as error:
            raise UserError(f"{path}: {error}") from None
        packed = packed.clamp(0, 1)  # as the networks' training pairs
        level = _level_in_words(shot_noise, read_noise)
        log.info("%s: noise from %s, %s", path.name, origin, level)
        variance = noise_level_function(packed[None], shot_noise[None], read_noise[None])
        denoised = bayer.unpack(self.denoise(packed[None], variance))[0, 0][window].numpy()
        note = f"CycleISP {__version__}: denoised, noise from {origin}: {level}"
        with reading(path):  # whatever its metadata hold
            dng, exif = encode_dng(source, denoised, note), encode_exif(source)
        with atomic_path(mosaic) as aside:  # LibRaw reads files only
            aside.write_bytes(dng)
            rendered = apart(render_with_libraw, aside, white_share(source))
        copy_sidecars(path, named or mosaic)
        return self.form.encode(upright(rendered, image.orientation), PhotoMetadata(exif, profile_of_space(SRGB)))

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
