"""Makes a noisy/clean pair of a photo, to look at, to measure, and to take away."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cycleisp.app.actions.running import check_made
from cycleisp.app.actions.workspace import Workspace
from cycleisp.dataloaders.pairs.raw_files import read_raw_pair
from cycleisp.dataloaders.photos import read_photo
from cycleisp.dataloaders.sources import Source
from cycleisp.tasks.generation import generate_pairs
from cycleisp.utils.config import GenerationRecipe
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import as_float
from cycleisp.utils.metrics import psnr_8bit, psnr_raw
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.picture_format import PictureFormat
from cycleisp.utils.output.preview import gray_world_gains, packed_preview
from cycleisp.utils.output.report.chart import Series
from cycleisp.utils.output.report.page import table
from cycleisp.utils.output.report.statistics import variance_by_intensity, variance_chart
from cycleisp.utils.processes.apart import apart
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.noise import PROFILES

OWN_LEVEL = "a level of your own"
NOISES = (*PROFILES, OWN_LEVEL)
PIECE, WHOLE = "the middle, 768x512", "the whole photo"
_PIECE = 768, 512  # pixels: width, height
_SHOWN = 960, 640  # at most so much of a pair is shown
MIDDLE_GREY = 0.18

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class ShownPair:
    """A pair of a photo.

    Attributes:
        srgb, raw: (H, W, 3) clean and noisy, of the middle of the photo. RAW is shown with a white
            balance that makes its mean grey, since it has none of its own.
        statistics: a table and a chart of the noise, as HTML.
        archive: a zip of what generate_data.py writes.
    """

    srgb: tuple[Picture, Picture]
    raw: tuple[Picture, Picture]
    statistics: str
    archive: Path


def noise_of(profile: str, shot_noise: float | None, read_noise: float | None) -> str:
    """Returns a noise as `generate_pairs` takes it."""
    return f"shot={shot_noise or 0:g},read={read_noise or 0:g}" if profile == OWN_LEVEL else profile


def make_pair(workspace: Workspace, path: Path, noise: str, seed: int, part: str = PIECE) -> ShownPair:
    """Makes a pair of a photo, in RAW and in sRGB.

    Of the whole photo it is the pair that generate_data.py makes of the same file.

    Args:
        workspace: where to work.
        path: the photo.
        noise: a profile, or variances as "shot=0.01,read=0.0005".
        seed: of the noise, at least 0.
        part: PIECE or WHOLE.

    Raises:
        UserError: a file that is no photo, or impossible noise.
    """
    if Source(path, path.stem).space == "raw":
        raise UserError(f"{path.name}: is a camera file; pairs on this page are made of photos, such as JPEG or PNG")
    if seed < 0:
        raise UserError(f"seed {seed}: expected a whole number, at least 0")
    photo = _middle_of(workspace, path) if part == PIECE else path
    folder = workspace.new_folder() / f"{path.stem}_pair"
    settings = {"noise": noise, "seed": seed, "device": workspace.device, "workers": 1}
    recipe = GenerationRecipe.model_validate({"input": [str(photo)], "output": str(folder), **settings})
    made = generate_pairs(recipe)
    check_made(made.summary)
    (record,) = made.records
    files = {kind: folder / name for kind, name in record["files"].items()}
    clean, noisy = (as_float(planes) for planes in read_raw_pair(files["raw"])[:2])
    srgb_clean, srgb_noisy = (_in_8_bits(apart(read_photo, files[f"srgb_{kind}"])) for kind in ("clean", "noisy"))
    gains = gray_world_gains(bayer.unpack(torch.from_numpy(clean))[0].numpy(), "RGGB")
    raw_clean, raw_noisy = (packed_preview(torch.from_numpy(each), gains) for each in (clean, noisy))
    levels = float(np.mean(record["shot_noise"])), float(np.mean(record["read_noise"]))
    return ShownPair(
        srgb=(_shown(srgb_clean), _shown(srgb_noisy)),
        raw=(_shown(raw_clean), _shown(raw_noisy)),
        statistics=_statistics(clean, noisy, srgb_clean, srgb_noisy, *levels),
        archive=Path(shutil.make_archive(str(folder), "zip", folder.parent, folder.name)),
    )


def _statistics(
    clean: NDArray[np.float32], noisy: NDArray[np.float32], srgb: Picture, noisy_srgb: Picture, shot: float, read: float
) -> str:
    """Returns a table and a chart of the noise of packed RAW (4, H, W), as HTML."""
    grey = np.sqrt(shot * MIDDLE_GREY + read)
    measured = float((noisy - clean).std())
    rows = [
        ["shot noise, variance for each unit of signal", f"{shot:.3g}"],
        ["read noise, variance", f"{read:.3g}"],
        [f"standard deviation at middle grey ({MIDDLE_GREY:g}), by these", f"{grey:.3g}"],
        ["standard deviation of noisy minus clean RAW, measured", f"{measured:.3g}"],
        ["PSNR of the noisy RAW", f"{psnr_raw(noisy, clean):.2f} dB"],
        ["PSNR of the noisy photo", f"{psnr_8bit(noisy_srgb, srgb):.2f} dB"],
    ]
    curve = variance_by_intensity(clean, noisy)
    drawn = variance_chart(
        [Series("shot x signal + read", curve.intensity, shot * curve.intensity + read), curve.series("measured")],
        "signal of the clean RAW",
        "variance of the noise",
        "The variance of the noise grows with the signal. Points are measured on this pair, bars are standard errors. "
        "Near white the sensor clips, which takes a part of the noise.",
    )
    return table(["noise of this pair", "value"], rows) + drawn


def _middle_of(workspace: Workspace, path: Path) -> Path:
    """Writes the middle of a photo as PNG."""
    photo = apart(read_photo, path)
    form = PictureFormat("png")
    piece = workspace.new_folder() / f"{path.stem}{form.suffix}"
    write_bytes(piece, form.encode(_cut(photo, *_PIECE)))
    return piece


def _shown(picture: Picture) -> Picture:
    return np.ascontiguousarray(_cut(picture, *_SHOWN))


def _cut(picture: NDArray, width: int, height: int) -> NDArray:
    """Cuts the middle out of a picture (H, W, 3), from even rows and columns on."""
    top, left = (
        max(0, (whole - side) // 4 * 2) for whole, side in zip(picture.shape[:2], (height, width), strict=True)
    )
    return picture[top : top + height, left : left + width]


def _in_8_bits(photo: NDArray) -> Picture:
    return (photo >> 8).astype(np.uint8) if photo.dtype == np.uint16 else photo
