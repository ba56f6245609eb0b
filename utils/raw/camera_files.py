"""Camera RAW files, read by LibRaw: the linear mosaic, its metadata, and LibRaw's own rendering."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.raw import camera_metadata as metadata
from cycleisp.utils.raw.camera_metadata import BlackLevels, RawFileError
from cycleisp.utils.raw.libraw_files import opened, pattern_of

__all__ = ["RAW_SUFFIXES", "RawFileError", "RawImage", "read_raw", "render_with_libraw"]

# fmt: off
RAW_SUFFIXES = frozenset((
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq", ".k25", ".kdc", ".mef",
    ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw",
))
# fmt: on


@dataclass(frozen=True)
class RawImage:
    """The content of a camera file.

    Attributes:
        mosaic: (H, W) float32, linear: black level subtracted, divided by (white - black), clipped
            to [0, 1] unless read without clipping.
        pattern: Bayer tile at the mosaic's top-left pixel.
        black_level: (4,) sensor units, means of the colours R, G, B and second G as LibRaw numbers
            them.
        white_level: sensor units at which the sensor saturates.
        white_balance: (3,) as-shot gains for R, G, B; green = 1.
        cam2rgb: (3, 3) white-balanced camera colours to linear sRGB; None where LibRaw knows no
            matrix that can be inverted.
        iso: sensitivity; None where the file does not say.
        noise_profile: (N, 2) pairs (shot_noise, read_noise) of DNG tag 51041, variances in [0, 1];
            one for all colours or one a colour; None where absent or impossible.
        orientation: 1 to 8 as TIFF numbers them; `utils.orientation.upright` turns the picture
            upright.
    """

    mosaic: NDArray[np.float32]
    pattern: str
    black_level: NDArray[np.float64]
    white_level: float
    white_balance: NDArray[np.float64]
    cam2rgb: NDArray[np.float64] | None
    iso: float | None
    noise_profile: NDArray[np.float64] | None
    orientation: int = 1

    @property
    def plane_noise(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Returns shot and read noise of the planes R, G_r, G_b, B from the profile, or None.

        Three pairs are those of R, G and B, four those of the planes.
        """
        if self.noise_profile is None:
            return None
        planes = {1: (0, 0, 0, 0), 3: (0, 1, 1, 2), 4: (0, 1, 2, 3)}[len(self.noise_profile)]
        shot_noise, read_noise = self.noise_profile[list(planes)].T.tolist()
        return tuple(shot_noise), tuple(read_noise)


def read_raw(path: Path | str, clip: bool = True) -> RawImage:
    """Reads a camera file into a linear Bayer mosaic.

    The visible area of the sensor is kept, odd borders included; `bayer.rggb_window` cuts it to
    whole RGGB tiles.

    Args:
        path: of the file.
        clip: whether to clip to [0, 1]. Clipping at black removes the lower half of the noise in
            the dark.

    Raises:
        RawFileError: missing or damaged file, no Bayer sensor, impossible levels.
    """
    path = Path(path)
    with opened(path) as (raw, tags):
        pattern = pattern_of(raw, path)
        black = metadata.black_levels(raw, tags, path)
        white = metadata.white_level(raw, tags, black.highest, path)
        mosaic = _linear(raw.raw_image_visible, black, white)
        return RawImage(
            mosaic=np.clip(mosaic, 0, 1) if clip else mosaic,
            pattern=pattern,
            black_level=_by_colour(black, np.asarray(raw.raw_pattern)),
            white_level=white,
            white_balance=metadata.white_balance(raw, tags, path),
            cam2rgb=metadata.cam2rgb(raw, path),
            iso=metadata.iso(raw),
            noise_profile=metadata.noise_profile(tags, path),
            orientation=metadata.orientation(raw),
        )


def _by_colour(black: BlackLevels, tile: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Returns the black levels (4,) of LibRaw's colours, 0 to 3.

    Where 3 is not used, it is that of 1, which both greens are then.
    """
    return np.array([black.sites[tile == (color if (tile == color).any() else 1)].mean() for color in range(4)])


def _linear(levels: NDArray[np.uint16], black: BlackLevels, white: float) -> NDArray[np.float32]:
    """Returns (levels - black) / (white - black).

    The difference to white is that of the site of the Bayer tile: sites of one colour are equally
    sensitive, whatever their black levels.
    """
    linear = np.empty(levels.shape, np.float32)
    rows, columns = black.tile.shape
    for row, column in np.ndindex(rows, columns):
        part = np.s_[row::rows, column::columns]
        signal = levels[part] - black.tile[row, column]
        if black.rows is not None:
            signal -= black.rows[row::rows, None]
        if black.columns is not None:
            signal -= black.columns[column::columns]
        linear[part] = signal / (white - black.sites[row % 2, column % 2])
    return linear


def render_with_libraw(path: Path | str, white_share: float = 1.0) -> NDArray[np.uint8]:
    """Renders a camera file with LibRaw, pixel-aligned with `read_raw`'s mosaic.

    The settings are CycleISP's: camera white balance, no automatic brightness, no rotation, 8 bits.
    LibRaw's curve is BT.709 (gamma 2.222, toe 4.5). In addition (ours) white is `read_raw`'s white
    level, and is not lowered to the brightest pixel, so that one formula relates photo and RAW:
    mosaic * white_balance / min(white_balance), clipped to 1, times cam2rgb, BT.709. (Where black
    levels differ between colours, LibRaw divides by one common scale, and the mosaic by that of
    each colour; the difference is negligible in real files.)

    Args:
        path: of the file.
        white_share: where white lies between the black and the white level of the file.

    Returns:
        (H, W, 3) with sRGB primaries.

    Raises:
        RawFileError: as `read_raw`; also if the rendering does not have the mosaic's size.
    """
    path = Path(path)
    with opened(path) as (raw, tags):
        black = metadata.black_levels(raw, tags, path)
        white = metadata.white_level(raw, tags, black.highest, path)
        expected = raw.raw_image_visible.shape
        rendered = raw.postprocess(
            use_camera_wb=True,
            no_auto_bright=True,
            user_flip=0,
            output_bps=8,
            # LibRaw compares it with the signal above black
            user_sat=round((white - black.sites.mean()) * white_share),
            adjust_maximum_thr=0.0,
        )
    if rendered.shape[:2] != expected:
        raise RawFileError(
            f"{path}: rendering is {rendered.shape[:2]}, the mosaic is {expected}; no pixel-aligned pair"
        )
    return rendered
