"""Camera RAW files, read by LibRaw: the linear mosaic, its metadata, and LibRaw's own rendering."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rawpy
import tifffile
from numpy.typing import NDArray

from cycleisp.utils.color.colorimetry import cam2rgb_from_xyz2cam
from cycleisp.utils.errors import UserError
from cycleisp.utils.raw import bayer

# fmt: off
RAW_SUFFIXES = frozenset((
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq", ".k25", ".kdc", ".mef",
    ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw",
))
# fmt: on
_QUARTER_TURNS = {3: 2, 5: 1, 6: 3}  # LibRaw's flip: 180 degrees, 90 counter-clockwise, 90 clockwise
DNG_NOISE_PROFILE = 51041  # DNG tag: one or N pairs (shot, read), variances on the [0, 1] scale

# tifffile reports odd private tags of camera files as errors, which do not matter here
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


class RawFileError(UserError):
    """A camera file that cannot be used. The message says which and why."""


@dataclass(frozen=True)
class RawImage:
    """The content of a camera file.

    Attributes:
        mosaic: (H, W) float32, linear: black level subtracted, divided by (white - black), clipped
            to [0, 1] unless read without clipping.
        pattern: Bayer tile at the mosaic's top-left pixel.
        black_level: (4,) sensor units, for the colours R, G, B and second G as LibRaw numbers them.
        white_level: sensor units at which the sensor saturates.
        white_balance: (3,) as-shot gains for R, G, B; green = 1.
        cam2rgb: (3, 3) white-balanced camera colours to linear sRGB; None where LibRaw knows no
            matrix.
        iso: sensitivity; None where the file does not say.
        noise_profile: (N, 2) pairs (shot_noise, read_noise) of DNG tag 51041, variances; one for
            all colours or one a colour; None where absent.
        quarter_turns: number of counter-clockwise quarter turns that turn the picture upright.
    """

    mosaic: NDArray[np.float32]
    pattern: str
    black_level: NDArray[np.float64]
    white_level: float
    white_balance: NDArray[np.float64]
    cam2rgb: NDArray[np.float64] | None
    iso: float | None
    noise_profile: NDArray[np.float64] | None
    quarter_turns: int = 0


@contextmanager
def _opened(path: Path) -> Iterator[rawpy.RawPy]:
    """Opens a Bayer file, and turns every error into a RawFileError that names the file."""
    if not path.is_file():
        raise RawFileError(f"{path}: no such file")
    try:
        with rawpy.imread(str(path)) as raw:
            if raw.raw_type != rawpy.RawType.Flat:
                raise RawFileError(f"{path}: expected one value per photosite, this file stores whole colours")
            if raw.raw_pattern is None or raw.raw_pattern.shape != (2, 2):
                raise RawFileError(f"{path}: expected a Bayer sensor, this one has another colour filter (X-Trans?)")
            yield raw
    except rawpy.LibRawError as error:
        message = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise RawFileError(f"{path}: LibRaw cannot read it ({message})") from None


def _pattern(raw: rawpy.RawPy, path: Path) -> str:
    tile = np.asarray(raw.raw_pattern)
    letters = "".join(chr(raw.color_desc[index]) for index in tile.flatten())
    if letters not in bayer.PATTERNS:
        raise RawFileError(f"{path}: its colour filter reads {letters}, expected one of {', '.join(bayer.PATTERNS)}")
    return letters


def _levels(raw: rawpy.RawPy, path: Path) -> tuple[NDArray[np.float64], float]:
    """Returns the black level of each colour, and the white level.

    Some cameras saturate below LibRaw's general white level, so the channels' levels take
    precedence.
    """
    black = np.asarray(raw.black_level_per_channel, dtype=np.float64)
    per_channel = raw.camera_white_level_per_channel
    white = float(min(per_channel)) if per_channel and min(per_channel) > 0 else float(raw.white_level)
    if not black.max() < white:
        raise RawFileError(f"{path}: black level {black.max():g} is not below white level {white:g}")
    return black, white


def _white_balance(raw: rawpy.RawPy) -> NDArray[np.float64]:
    gains = np.asarray(raw.camera_whitebalance[:3], dtype=np.float64)
    if not (np.isfinite(gains).all() and (gains > 0).all()):  # the file says nothing: daylight, as LibRaw does
        gains = np.asarray(raw.daylight_whitebalance[:3], dtype=np.float64)
    if not (np.isfinite(gains).all() and (gains > 0).all()):
        return np.ones(3)
    return gains / gains[1]


def _cam2rgb(raw: rawpy.RawPy) -> NDArray[np.float64] | None:
    """Returns the colour matrix, which LibRaw has in one of two places, with zeros in the other."""
    xyz2cam = np.asarray(raw.rgb_xyz_matrix[:3], dtype=np.float64)
    if xyz2cam.any():
        return cam2rgb_from_xyz2cam(xyz2cam)
    cam2rgb = np.asarray(raw.color_matrix[:, :3], dtype=np.float64)
    return cam2rgb if cam2rgb.any() else None


def _noise_profile(path: Path) -> NDArray[np.float64] | None:
    if path.suffix.lower() != ".dng":
        return None
    try:
        with tifffile.TiffFile(path) as tiff:
            for page in tiff.pages:
                if (tag := page.tags.get(DNG_NOISE_PROFILE)) is not None:  # type: ignore[union-attr]
                    return np.asarray(tag.value, dtype=np.float64).reshape(-1, 2)
    except (tifffile.TiffFileError, ValueError, OSError):
        pass  # LibRaw can read the picture, so a tag that tifffile cannot read is no reason to refuse it
    return None


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
    with _opened(path) as raw:
        black, white = _levels(raw, path)
        black_map = black[raw.raw_colors_visible]
        mosaic = (raw.raw_image_visible - black_map) / (white - black_map)
        iso = getattr(getattr(raw, "other", None), "iso_speed", 0)
        return RawImage(
            mosaic=(np.clip(mosaic, 0, 1) if clip else mosaic).astype(np.float32),
            pattern=_pattern(raw, path),
            black_level=black,
            white_level=white,
            white_balance=_white_balance(raw),
            cam2rgb=_cam2rgb(raw),
            iso=float(iso) if iso else None,
            noise_profile=_noise_profile(path),
            quarter_turns=_QUARTER_TURNS.get(raw.sizes.flip, 0),
        )


def render_with_libraw(path: Path | str) -> NDArray[np.uint8]:
    """Renders a camera file with LibRaw, pixel-aligned with `read_raw`'s mosaic.

    The settings are CycleISP's: camera white balance, no automatic brightness, no rotation, 8 bits.
    LibRaw's curve is BT.709 (gamma 2.222, toe 4.5). In addition (ours) white is `read_raw`'s white
    level, and is not lowered to the brightest pixel, so that one formula relates photo and RAW:
    mosaic * white_balance / min(white_balance), clipped to 1, times cam2rgb, BT.709. (Where black
    levels differ between colours, LibRaw divides by one common scale, and the mosaic by that of
    each colour; the difference is negligible in real files.)

    Returns:
        (H, W, 3) with sRGB primaries.

    Raises:
        RawFileError: as `read_raw`; also if the rendering does not have the mosaic's size.
    """
    path = Path(path)
    with _opened(path) as raw:
        black, white = _levels(raw, path)
        expected = raw.raw_image_visible.shape
        rendered = raw.postprocess(
            use_camera_wb=True,
            no_auto_bright=True,
            user_flip=0,
            output_bps=8,
            user_sat=round(white - black.mean()),  # LibRaw compares it with the signal above black
            adjust_maximum_thr=0.0,
        )
    if rendered.shape[:2] != expected:
        raise RawFileError(
            f"{path}: rendering is {rendered.shape[:2]}, the mosaic is {expected}; no pixel-aligned pair"
        )
    return rendered
