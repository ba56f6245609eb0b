"""From the colours of a file to sRGB, or to pixels and metadata that keep the file's colours."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cycleisp.dataloaders.photo_files.stored import PhotoError, StoredPhoto, warn
from cycleisp.utils.color.icc import ProfileError, TablesError, colors_of, profile_of_space
from cycleisp.utils.color.png_colors import space_of_cicp, space_of_gamma
from cycleisp.utils.color.profiles import HdrError, profile_to_srgb
from cycleisp.utils.color.spaces import ADOBE_RGB, ColorSpace, color_grid, to_srgb
from cycleisp.utils.output.metadata import PhotoMetadata


def in_srgb(photo: StoredPhoto, path: Path) -> NDArray:
    """Returns a photo's pixels (H, W, 3) in sRGB, converted by what its file says about colours.

    Pixels that are sRGB come back exactly. A profile that cannot be used is warned of.

    Raises:
        PhotoError: the colours are HDR, or CMYK without a usable profile, or in 16 bits with a
            profile of tables.
    """
    metadata = photo.metadata
    try:
        if photo.pixels.ndim == 3 and photo.pixels.shape[2] == 4:
            return _from_cmyk(photo, path)
        colors = _colors(photo)
        if isinstance(colors, bytes):
            return profile_to_srgb(photo.pixels, colors)
        return as_rgb(photo.pixels) if colors is None else to_srgb(as_rgb(photo.pixels), colors)
    except HdrError as error:
        raise PhotoError(f"{path}: {error}, which sRGB cannot hold; convert it to sRGB first") from None
    except TablesError as error:
        raise PhotoError(f"{path}: its colour profile {error}; convert it to sRGB, or save it with 8 bits") from None
    except ProfileError as error:
        from_profile = metadata.icc_profile and b"cICP" not in dict(metadata.color_chunks)
        warn(path, f"{'its colour profile ' if from_profile else ''}{error}; its colours count as sRGB")
        return as_rgb(photo.pixels)


def in_own_colors(photo: StoredPhoto, path: Path) -> tuple[NDArray, PhotoMetadata]:
    """Returns a photo's pixels (H, W, 3) as stored, and metadata that say what their colours are.

    CMYK becomes sRGB. So does grey with a profile of grey, because the three channels of a result
    cannot have that. EXIF's word that a photo is Adobe RGB becomes a profile.

    Raises:
        PhotoError: as `in_srgb`, for the two kinds of colours that are converted.
    """
    metadata = photo.metadata
    grey = photo.pixels.ndim == 2
    kind = _kind(metadata.icc_profile)
    if not grey and photo.pixels.shape[2] == 4:
        return in_srgb(photo, path), replace(metadata, icc_profile=None, color_chunks=())
    if kind == "GRAY" and grey:
        return in_srgb(photo, path), replace(metadata, icc_profile=None)
    if kind not in ("RGB", ""):
        reason = "is damaged" if kind == "?" else f"describes {kind} colours, which the picture has not"
        warn(path, f"its colour profile {reason}, and is left out")
        metadata = replace(metadata, icc_profile=None)
    if photo.adobe_rgb and not metadata.icc_profile and not metadata.color_chunks:
        metadata = replace(metadata, icc_profile=profile_of_space(ADOBE_RGB))
    return as_rgb(photo.pixels), metadata


def mean_the_same(one: PhotoMetadata, other: PhotoMetadata) -> bool:
    """Tells whether pixels are the same colours with the metadata of two photos.

    A photo without a profile and one with that of sRGB are alike, as are two writers' profiles of
    one space. Colours that cannot be compared, as those of HDR, are alike if said in equal bytes.
    """
    if (one.icc_profile, one.color_chunks) == (other.icc_profile, other.color_chunks):
        return True
    try:
        shown, other_shown = (_grid_in_srgb(metadata) for metadata in (one, other))
    except ProfileError:
        return False
    return bool(np.abs(shown.astype(int) - other_shown).max() <= 1)


def _grid_in_srgb(metadata: PhotoMetadata) -> NDArray:
    """Returns some colours (N, 1, 3) in sRGB. Raises ProfileError."""
    grid = color_grid()
    colors = _colors(StoredPhoto(grid, metadata))
    if isinstance(colors, bytes):
        return profile_to_srgb(grid, colors)
    return grid if colors is None else to_srgb(grid, colors)


def as_rgb(pixels: NDArray) -> NDArray:
    """Returns (H, W, 3): grey (H, W) gets three equal channels."""
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def _colors(photo: StoredPhoto) -> ColorSpace | bytes | None:
    """Returns a space, an ICC profile, or None for sRGB, by the first thing that counts."""
    chunks = dict(photo.metadata.color_chunks)
    if b"cICP" in chunks:
        return space_of_cicp(chunks[b"cICP"])
    if photo.metadata.icc_profile:
        return photo.metadata.icc_profile
    if b"sRGB" in chunks:
        return None
    return space_of_gamma(photo.metadata.color_chunks) or (ADOBE_RGB if photo.adobe_rgb else None)


def _from_cmyk(photo: StoredPhoto, path: Path) -> NDArray:
    profile = photo.metadata.icc_profile
    if _kind(profile) != "CMYK":
        raise PhotoError(f"{path}: is CMYK without a profile that says what its inks are; convert it to sRGB first")
    try:
        return profile_to_srgb(photo.pixels, profile or b"")
    except ProfileError as error:
        raise PhotoError(f"{path}: is CMYK, and its profile {error}; convert it to sRGB first") from None


def _kind(profile: bytes | None) -> str:
    """Returns the kind of colours of a profile; `?` of a damaged one, and nothing without one."""
    if not profile:
        return ""
    try:
        return colors_of(profile)
    except ProfileError:
        return "?"
