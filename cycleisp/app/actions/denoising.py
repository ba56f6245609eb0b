"""Denoises an opened file: a piece of it to look at, or the whole to take away."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cycleisp.app.actions.opening import Opened
from cycleisp.app.actions.running import check_made
from cycleisp.app.actions.workspace import Workspace
from cycleisp.dataloaders.photos import read_photo_and_metadata
from cycleisp.networks.pretrained import SHIPPED_DENOISERS
from cycleisp.tasks.denoising import denoise_files
from cycleisp.utils.crop import Crop
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.picture_format import PictureFormat
from cycleisp.utils.processes.apart import apart
from cycleisp.utils.weights.kinds import KINDS
from cycleisp.utils.weights.registry import read_registry

VIEW = 960, 640  # pixels of the screen on which a piece is shown: width, height
ZOOMS = (1, 2, 4)  # pixels of the screen for one of the photo
PNG, TIFF, DNG = "PNG", "TIFF, 16 bits", "DNG"
FORMATS: dict[Space, tuple[str, ...]] = {"srgb": (PNG, TIFF), "raw": (DNG, PNG)}


@dataclass(frozen=True)
class Wanted:
    """How a file is to be denoised. `cycleisp.tasks.denoising` says what each means.

    `weights` is the name of shipped ones, or the path of a file as somebody has typed it.
    """

    weights: str
    luma: float = 1.0
    chroma: float = 1.0
    keep_brightness: bool = False
    noise: str = "auto"


def weights_for(space: Space) -> list[str]:
    """Returns the names of the shipped denoisers for photos or camera files, the default first."""
    default = SHIPPED_DENOISERS[space]
    shipped = [each for each in read_registry().weights if not each.sources]
    others = (each.name for each in shipped if KINDS[each.network].denoises == space and each.name != default)
    return [default, *others]


def noise_text(opened: Opened, shot_noise: float | None, read_noise: float | None) -> str:
    """Returns the noise level of a camera file as `denoise_files` takes it.

    Values that the page has shown, and that nobody has changed, are "auto": the file may have a
    level for each plane.
    """
    unchanged = (shot_noise, read_noise) == (opened.shot_noise, opened.read_noise)
    if opened.space == "srgb" or unchanged or (shot_noise is None and read_noise is None):
        return "auto"
    return f"shot={shot_noise or 0:g},read={read_noise or 0:g}"


def piece_of(opened: Opened, zoom: int, x: float = 0.5, y: float = 0.5) -> Crop:
    """Returns the piece of a picture that fills the view.

    Args:
        opened: the file.
        zoom: pixels of the screen for one of the picture.
        x, y: the middle of the piece, as shares of the picture's width and height.
    """
    width, height = (min(side // zoom, whole) for side, whole in zip(VIEW, (opened.width, opened.height), strict=True))
    left, top = (
        max(0, min(round(share * whole - side / 2), whole - side))
        for share, whole, side in ((x, opened.width, width), (y, opened.height, height))
    )
    return Crop(left, top, width, height)


def preview(workspace: Workspace, opened: Opened, wanted: Wanted, crop: Crop) -> tuple[Path, Path]:
    """Denoises a piece of a picture.

    Returns:
        PNG files of the piece before and after, in the colours of the file.

    Raises:
        UserError: the file cannot be used, or the settings are impossible.
    """
    return _before(workspace, opened, crop), _run(workspace, opened.path, wanted, crop)


def result(workspace: Workspace, opened: Opened, wanted: Wanted, format: str) -> Path:
    """Denoises a whole file.

    Args:
        workspace: where to work.
        opened: the file.
        wanted: how.
        format: one of FORMATS of its kind.

    Returns:
        The result, `NAME_denoised.png`, `.tif` or `.dng`.

    Raises:
        UserError: as `preview`.
    """
    source = _in_16_bits(workspace, opened.path) if format == TIFF else opened.path
    picture = _run(workspace, source, wanted, format="tiff" if format == TIFF else "png")
    made = picture.with_suffix(".dng") if format == DNG else picture
    return made.rename(made.with_name(f"{opened.path.stem}_denoised{made.suffix}"))


def _before(workspace: Workspace, opened: Opened, crop: Crop) -> Path:
    """Returns the picture of a piece before denoising, made once, since no setting changes it."""
    known = workspace.befores.get((opened.path, crop))
    if known is None or not known.is_file():
        any_one, any_noise = SHIPPED_DENOISERS[opened.space], "shot=0,read=0" if opened.space == "raw" else "auto"
        known = _run(workspace, opened.path, Wanted(any_one, luma=0, chroma=0, noise=any_noise), crop)
        workspace.befores[opened.path, crop] = known
    os.utime(known.parent)  # used now, so that it is not removed as old
    return known


def _weights(workspace: Workspace, typed: str) -> str | None:
    """Returns weights as `denoise_files` takes them, None for none.

    Raises:
        UserError: a file, where only the shipped ones may be used.
    """
    name = typed.strip()
    if name.startswith("~/"):
        name = str(Path(name).expanduser())
    if not workspace.own_weights and name not in (names := [*weights_for("srgb"), *weights_for("raw")]):
        raise UserError(f"{name}: others can reach this page, so it has the shipped weights alone: {', '.join(names)}")
    return name or None


def _run(workspace: Workspace, path: Path, wanted: Wanted, crop: Crop | None = None, format: str = "png") -> Path:
    """Denoises a file, and returns the picture that was made."""
    folder = workspace.new_folder()
    summary = denoise_files(
        [path],
        folder,
        weights=_weights(workspace, wanted.weights),
        noise=wanted.noise,
        device=workspace.device,
        format=format,
        luma=wanted.luma,
        chroma=wanted.chroma,
        crop=None if crop is None else str(crop),
        keep_brightness=wanted.keep_brightness,
    )
    check_made(summary)
    suffix = PictureFormat(format).suffix
    return next(each for each in folder.iterdir() if each.suffix == suffix)


def _in_16_bits(workspace: Workspace, path: Path) -> Path:
    """Writes a photo in 16 bits, so that its result has as many; a photo that has them stays."""
    photo, metadata = apart(read_photo_and_metadata, path)
    if photo.dtype == np.uint16:
        return path
    form = PictureFormat("tiff")
    deeper = workspace.new_folder() / f"{path.stem}{form.suffix}"
    write_bytes(deeper, form.encode(photo.astype(np.uint16) * 257, metadata, path))
    return deeper
