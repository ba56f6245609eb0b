"""A camera RAW file in, its denoised DNG and rendering out."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from cycleisp import __version__
from cycleisp.dataloaders.results.arrays import DenoiseArrays
from cycleisp.dataloaders.results.denoise_report import DenoiseReport
from cycleisp.dataloaders.results.pieces import Piece
from cycleisp.dataloaders.results.sidecars import copy_sidecars
from cycleisp.utils.color.icc import profile_of_space
from cycleisp.utils.color.spaces import SRGB
from cycleisp.utils.color.strength import FULL, Strength
from cycleisp.utils.crop import Window, inside
from cycleisp.utils.errors import UserError, reading
from cycleisp.utils.orientation import upright
from cycleisp.utils.output.files import atomic_path
from cycleisp.utils.output.metadata import PhotoMetadata
from cycleisp.utils.output.picture_format import PNG, PictureFormat
from cycleisp.utils.processes.apart import apart
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import RawImage, read_raw, render_with_libraw
from cycleisp.utils.raw.dng.piece import encode_piece, rendered_from
from cycleisp.utils.raw.dng.source import DngSource, read_dng_source
from cycleisp.utils.raw.dng.writer import RemainingNoise, encode_dng, encode_exif, white_share
from cycleisp.utils.raw.file_noise import Levels, noise_of_file, of_planes
from cycleisp.utils.raw.hot_pixels import AUTO, OFF, ListedPixels, repair_found, repair_listed
from cycleisp.utils.raw.noise import FixedNoise, noise_level_function
from cycleisp.utils.raw.sensor_noise.cameras import CameraNoise

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Denoised:
    """A denoised mosaic, and what was done to it.

    Attributes:
        mosaic: (H, W), or the part that was asked for.
        about: the same in words.
        remaining: the noise that is left; None where all was removed that can be.
        repaired: (H, W) of the whole mosaic: which photosites were hot or dead.
    """

    mosaic: NDArray[np.float32]
    about: str
    remaining: RemainingNoise | None
    repaired: NDArray[np.bool_]


@dataclass(frozen=True)
class RawFileDenoiser:
    """Denoises camera files.

    Attributes:
        denoise: a denoiser of packed RAW, which gets it and the variance of its noise.
        noise: the noise level of camera files; a camera's noise model gives that of its ISO setting
            or else of the file's own; None takes the file's noise profile or, without one, an
            estimate.
        form: the format of the rendering.
        strength: how much of what the denoiser changes is taken.
        hot_pixels: which hot and dead photosites are repaired: `auto` those found in the picture,
            `off` none, a camera's list those that it names.
        piece: the piece of every rendering to make, in place of whole files; its halo and its grid
            are in pixels of packed RAW.
        report: what takes note of every file, before and after.
    """

    denoise: DenoiseArrays
    noise: FixedNoise | CameraNoise | None = None
    form: PictureFormat = PNG
    strength: Strength = FULL
    piece: Piece | None = None
    hot_pixels: ListedPixels | str = AUTO
    report: DenoiseReport | None = None

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
        denoised = self._denoise(image, path)
        note = f"CycleISP {__version__}: denoised, {denoised.about}"
        source = _without(source, denoised.repaired)
        with reading(path):  # whatever its metadata hold
            dng, exif = encode_dng(source, denoised.mosaic, note, denoised.remaining), encode_exif(source)
        with atomic_path(mosaic) as aside:  # LibRaw reads files only
            aside.write_bytes(dng)
            rendered = apart(render_with_libraw, aside, white_share(source))
        copy_sidecars(path, named or mosaic)
        metadata = PhotoMetadata(exif, profile_of_space(SRGB))
        return self.form.encode(upright(rendered, image.orientation), metadata, path)

    def render_piece(self, path: Path) -> bytes:
        """Returns the piece of the denoised rendering of a camera file, as a file.

        Only the piece and what the denoiser and LibRaw see around it are worked on. The noise level
        is that of the whole file.

        Raises:
            UserError: as `write`; or the piece does not lie inside of the picture.
        """
        assert self.piece is not None
        image = apart(read_raw, path, clip=False)
        height, width = image.mosaic.shape
        window = self.piece.crop.window(height, width, path, image.orientation)
        source = apart(read_dng_source, path)
        part = rendered_from(window, source)
        denoised = self._denoise(image, path, part)
        image.mosaic[part] = denoised.mosaic
        source = _without(source, denoised.repaired)
        with reading(path):
            dng, exif = encode_piece(source, image.mosaic, part, image.pattern), encode_exif(source)
        with TemporaryDirectory() as folder:  # LibRaw reads files only
            aside = Path(folder) / "piece.dng"
            aside.write_bytes(dng)
            rendered = apart(render_with_libraw, aside, white_share(source))
        seen = upright(rendered[inside(window, part)], image.orientation)
        return self.form.encode(seen, PhotoMetadata(exif, profile_of_space(SRGB)), path)

    def _denoise(self, image: RawImage, path: Path, part: Window | None = None) -> _Denoised:
        """Denoises the mosaic of a camera file, or a part of it."""
        try:
            shot_noise, read_noise, origin = self._noise_level(image)
        except ValueError as error:
            raise UserError(f"{path}: {error}") from None
        level = _level_in_words(shot_noise, read_noise)
        log.info("%s: noise from %s, %s", path.name, origin, level)
        about = f"noise from {origin}: {level}"
        if self.strength != FULL:
            about += f", luma {self.strength.luma:g}, chroma {self.strength.chroma:g}"
        mosaic, repaired = self._repair(image, path, shot_noise, read_noise)
        if count := int(repaired.sum()):
            log.info("%s: %d hot or dead photosites repaired", path.name, count)
            about += f", {count} hot or dead photosites repaired"
        padded, window = bayer.pad_to_rggb(mosaic[None], image.pattern, multiple=2)
        packed = bayer.pack(padded)
        if part is not None:
            packed, window = self._around(part, window, packed)
        # clipped as the networks' training pairs
        variance = noise_level_function(packed.clip(0, 1)[None], shot_noise[None], read_noise[None])
        red, green, blue = image.white_balance.tolist()
        denoised = self.strength.denoise(self.denoise, packed[None], variance, white_balance=(red, green, blue))
        if self.report is not None:
            wanted = [slice(each.start // 2, -(-each.stop // 2)) for each in window]
            planes = packed[(slice(None), *wanted)], denoised[0][(slice(None), *wanted)]
            self.report.camera_file(path, image, planes, (shot_noise, read_noise), origin)
        remaining = self._remaining(shot_noise, read_noise, (red, green, blue))
        return _Denoised(bayer.unpack(denoised)[0, 0][window], about, remaining, repaired)

    def _repair(
        self, image: RawImage, path: Path, shot_noise: Levels, read_noise: Levels
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Returns the mosaic without hot and dead photosites, and where they were.

        A strength of 0 gives the input back as it is.
        """
        if self.hot_pixels == OFF or self.strength.luma == self.strength.chroma == 0:
            return image.mosaic, np.zeros(image.mosaic.shape, dtype=bool)
        if isinstance(self.hot_pixels, ListedPixels):
            return repair_listed(image.mosaic, self.hot_pixels, path)
        return repair_found(image.mosaic, image.pattern, shot_noise, read_noise, image.white_balance)

    def _remaining(
        self, shot_noise: Levels, read_noise: Levels, white_balance: tuple[float, float, float]
    ) -> RemainingNoise | None:
        """Returns the noise that this strength leaves; None for the full one, which leaves none."""
        if self.strength == FULL:
            return None
        shot, read = (
            (levels[0], (levels[1] + levels[2]) / 2, levels[3])
            for levels in map(np.ndarray.tolist, self.strength.kept_noise(shot_noise, read_noise, white_balance))
        )
        applied = min(self.strength.luma, self.strength.chroma)
        return RemainingNoise(applied, tuple(zip(shot, read, strict=True)))

    def _around(self, part: Window, visible: Window, packed: NDArray[np.float32]) -> tuple[NDArray[np.float32], Window]:
        """Returns what the denoiser must see for a part of a mosaic, and the part's place in it.

        Args:
            part: rows and columns of the mosaic.
            visible: where the mosaic lies in the one that was padded.
            packed: (4, H, W) the padded one.
        """
        assert self.piece is not None
        placed = [slice(each.start + own.start, each.stop + own.start) for each, own in zip(part, visible, strict=True)]
        rows, columns = (slice(each.start // 2, -(-each.stop // 2)) for each in placed)
        view = self.piece.view((rows, columns), packed.shape[1], packed.shape[2])
        seen = np.concatenate([packed[(slice(None), *window)] for window in view.windows], axis=1 + view.axis)
        corners = (2 * own.start + each.start % 2 for own, each in zip(view.wanted, placed, strict=True))
        top, left = (slice(corner, corner + each.stop - each.start) for corner, each in zip(corners, part, strict=True))
        return seen, (top, left)

    def _noise_level(self, image: RawImage) -> tuple[Levels, Levels, str]:
        """Returns shot and read noise (4,) of the planes R, G_r, G_b, B, and their origin."""
        if self.noise is None:
            return noise_of_file(image)
        if isinstance(self.noise, CameraNoise):
            shot_noise, read_noise = self.noise.levels(image.iso)
            return of_planes(shot_noise), of_planes(read_noise), Path(self.noise.name).name
        return of_planes(self.noise.shot_noise), of_planes(self.noise.read_noise), "--noise"


def _without(source: DngSource, repaired: NDArray[np.bool_]) -> DngSource:
    """Returns a source in which repaired photosites are dark, so that none passes for saturated."""
    if not repaired.any():
        return source
    sensor = source.sensor.copy()
    sensor[source.window][repaired] = 0
    return replace(source, sensor=sensor)


def _level_in_words(shot_noise: Levels, read_noise: Levels) -> str:
    pairs = dict.fromkeys(
        f"shot={s:.3g},read={r:.3g}" for s, r in zip(shot_noise.tolist(), read_noise.tolist(), strict=True)
    )
    return " ".join(pairs)
