"""Denoises files: what denoise.py does, as a function.

    from cycleisp.tasks.denoising import denoise_files

    summary = denoise_files(["photos"], "denoised")

Images that lie in memory are denoised by `cycleisp.denoise`.
"""

from collections.abc import Sequence
from pathlib import Path

from cycleisp.dataloaders.results.arrays import OpenedDenoiser
from cycleisp.dataloaders.results.denoise_report import DenoiseReport
from cycleisp.dataloaders.results.denoised_files import DenoisedFiles
from cycleisp.dataloaders.results.denoised_raw import RawFileDenoiser
from cycleisp.dataloaders.results.pieces import CONTEXT, Piece, named_as_piece
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.dataloaders.sources import find_sources
from cycleisp.tasks.opened_denoisers import open_with_onnx, open_with_torch, runtime_for
from cycleisp.utils.color.strength import FULL, Strength
from cycleisp.utils.crop import Crop
from cycleisp.utils.errors import UserError
from cycleisp.utils.fingerprints import file_sha256
from cycleisp.utils.output.claim import claimed
from cycleisp.utils.output.picture_format import PictureFormat
from cycleisp.utils.output.report.runs import report_at_end, report_path
from cycleisp.utils.raw.hot_pixels import AUTO, ListedPixels, hot_pixels_of
from cycleisp.utils.raw.noise import FixedNoise, NoiseError, NoiseProfile
from cycleisp.utils.raw.sensor_noise.cameras import CameraNoise
from cycleisp.utils.raw.sensor_noise.names import find_noise


def denoise_files(
    inputs: Sequence[Path | str],
    output: Path | str,
    weights: str | None = None,
    noise: str = "auto",
    tile: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    overwrite: bool = False,
    format: str = "png",
    quality: int | None = None,
    strength: float = 1.0,
    luma: float | None = None,
    chroma: float | None = None,
    crop: str | None = None,
    hot_pixels: str = "auto",
    keep_brightness: bool = False,
    report: Path | str | None = None,
    runtime: str = "auto",
) -> Summary:
    """Denoises photos and camera RAW files into a folder.

    A photo becomes a PNG with its depth, EXIF and colour profile. A camera RAW file becomes a DNG
    with the denoised mosaic, and a PNG with its rendering. Results that are already there are kept,
    as long as their source is what it was. A file that cannot be used is left out and named in the
    summary.

    Args:
        inputs: photos, camera RAW files, and folders of them.
        output: the folder for the results.
        weights: one denoiser, by the name of shipped weights or by path. None takes compact_srgb
            for photos and compact_raw for RAW files.
        noise: of RAW files: "auto" takes the file's NoiseProfile, or else an estimate; variances
            are written as "shot=0.01,read=0.0005"; a camera's noise file, "camera.yaml", gives the
            level of each file's ISO setting, and "camera.yaml@3200" that of one setting.
        tile: the side of a tile in pixels, to save memory; None denoises images whole.
        device: "auto", "cpu", "cuda" or "mps".
        precision: "auto", "float32", "tf32", "bf16" or "fp16"; "auto" is tf32 on CUDA, else
            float32.
        overwrite: whether to overwrite existing results.
        format: of the pictures: "png", "tiff" or "jpeg".
        quality: of JPEG, 1 to 100; None takes 95.
        strength: how much of what the network changes is taken, from 0, the very input, to 1, the
            network's result.
        luma, chroma: the same for brightness and for colour alone; None takes `strength`.
        crop: "X,Y,W,H" denoises a piece of every picture, with its top left corner in column X and
            row Y of the upright picture. The results are called `NAME-crop-X-Y-W-H`, and of a RAW
            file only the picture is made. None denoises whole pictures.
        hot_pixels: of RAW files: "auto" repairs hot and dead photosites that are found in each
            picture, "off" none, and a camera's file, "camera.yaml", those that it lists.
        keep_brightness: of photos: whether to give the result the brightness that the photo has
            over large areas (utils/color/brightness.py).
        report: a page of HTML to write at the end, also of a run that is stopped: pictures before
            and after, noise, time, and what was skipped.
        runtime: "torch", "onnx" for a file that export_onnx.py has written, which needs no PyTorch,
            or "auto", which goes by the name of the weights.

    Raises:
        UserError: an input or weights that do not exist, impossible options (named as those of the
            script), a folder that cannot be written or that another run holds, or results in it
            that were made with other settings.
    """
    if tile is not None and tile < 1:
        raise UserError(f"--tile {tile}: expected the side of a tile in pixels, at least 1")
    page = report_path(report)
    form = PictureFormat(format, quality)
    level = None if noise == "auto" else find_noise(noise)
    if isinstance(level, NoiseProfile):
        raise NoiseError(f"--noise {noise}: expected auto or the file's own level, as shot=0.01,read=0.0005")
    share = Strength.of(strength, luma, chroma)
    repair = hot_pixels_of(hot_pixels)
    place_in_picture = None if crop is None else Crop.parse(crop)
    sources = find_sources(inputs, exclude=Path(output))
    if place_in_picture is not None:
        sources = [named_as_piece(source, place_in_picture) for source in sources]
    spaces = {source.space for source in sources}
    if runtime_for(runtime, weights) == "onnx":
        opened, place, precision = open_with_onnx(weights, tile, device, precision, keep_brightness)
    else:
        opened, place, precision = open_with_torch(weights, spaces, tile, device, precision, keep_brightness)
    srgb, raw = opened.get("srgb"), opened.get("raw")
    if raw is not None and raw.level:
        if noise != "auto":
            raise NoiseError(f"--noise {noise}: {weights} is made for {raw.level}; leave --noise out")
        noise, level = raw.level, _level_of(raw.level)
    how: dict[str, object] = {"tile": tile, "precision": precision}
    if share != FULL:  # else not named, so that records of older versions hold
        how |= {"luma": share.luma, "chroma": share.chroma}
    if place_in_picture is not None:
        how["crop"] = str(place_in_picture)
    any_one = next(iter(opened.values()))
    settings = {space: {"weights_sha256": opened.get(space, any_one).sha256, **how} for space in spaces}
    if "srgb" in settings and keep_brightness:  # as above
        settings["srgb"] |= {"keep_brightness": True}
    if "raw" in settings:
        settings["raw"] |= {"noise": noise, **(level.settings if isinstance(level, CameraNoise) else {})}
        if hot_pixels != AUTO:  # as above
            listed = {"hot_pixels_sha256": file_sha256(Path(hot_pixels))} if isinstance(repair, ListedPixels) else {}
            settings["raw"] |= {"hot_pixels": hot_pixels, **listed}
    pieces = [
        None if each is None or place_in_picture is None else _piece(place_in_picture, each) for each in (srgb, raw)
    ]
    told = {"weights": weights or "the shipped ones", "device": place, **how, "noise of RAW files": noise}
    notes = None if page is None else DenoiseReport(told)
    camera_files = None if raw is None else RawFileDenoiser(raw.denoise, level, form, share, pieces[1], repair, notes)
    photo = None if srgb is None else srgb.denoise
    files = DenoisedFiles(Path(output), photo, camera_files, overwrite, form, settings, share, pieces[0], notes)
    with claimed(Path(output)), report_at_end(page, "Denoised files", files.report_parts):
        return files.run(sources)


def _level_of(text: str) -> FixedNoise | CameraNoise:
    """Returns the one level that an ONNX file is made for. Raises UserError."""
    level = find_noise(text)
    assert not isinstance(level, NoiseProfile)  # of which export_onnx.py makes no file
    return level


def _piece(crop: Crop, denoiser: OpenedDenoiser) -> Piece:
    """Returns what a denoiser must see for a piece of a picture."""
    # nothing beyond the halo counts for a network that does not pool
    return Piece(crop, denoiser.halo, denoiser.multiple, CONTEXT if denoiser.pools else 0)
