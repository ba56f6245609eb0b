"""A camera RAW file in, its denoised DNG and rendering out."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cycleisp.dataloaders.denoisers import DenoiseRaw
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.files import atomic_path
from cycleisp.utils.output.png import encode_png
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import RawImage, read_raw, render_with_libraw
from cycleisp.utils.raw.dng import encode_dng
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
    """

    denoise: DenoiseRaw
    noise: FixedNoise | None = None

    def write(self, path: Path, mosaic: Path) -> bytes:
        """Writes the denoised mosaic of a camera file as DNG, and returns the PNG of its rendering.

        Raises:
            UserError: as `read_raw`; or the noise level cannot be told.
            OSError: the DNG cannot be written.
        """
        image = read_raw(path)
        padded, window = bayer.pad_to_rggb(torch.from_numpy(image.mosaic)[None], image.pattern, multiple=2)
        packed = bayer.pack(padded)
        shot_noise, read_noise, origin = self._noise_level(image, packed)
        level = _level_in_words(shot_noise, read_noise)
        log.info("%s: noise from %s, %s", path.name, origin, level)
        variance = noise_level_function(packed[None], shot_noise[None], read_noise[None])
        denoised = bayer.unpack(self.denoise(packed[None], variance))[0, 0][window].numpy()
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
