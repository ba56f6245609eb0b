"""Gives photos the colours of other photos: what match_colors.py does, as a function.

    from cycleisp.tasks.matching import match_files

    summary = match_files("left", "right", "matched")

A pair of photos in memory is matched by `networks.inference.color_matching.ColorMatcher`.
"""

import math
from contextlib import nullcontext
from pathlib import Path

from cycleisp.dataloaders.results.matched_files import MatchedFiles
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.dataloaders.results.view_pairs import find_view_pairs
from cycleisp.networks.acceleration import to_device
from cycleisp.networks.cycleisp import CycleISP
from cycleisp.networks.inference.color_matching import ColorMatcher
from cycleisp.networks.pretrained import load_network, weights_sha256
from cycleisp.utils.color.working_size import WORKING_SIZE
from cycleisp.utils.devices import pick_device
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.claim import claimed
from cycleisp.utils.output.picture_format import PictureFormat

SMALLEST_WORKING_SIZE = 64  # pixels


def match_files(
    source: Path | str,
    target: Path | str,
    output: Path | str,
    weights: str | Path = "compact_matching",
    smooth: float = 0.0,
    luts: bool = False,
    working_size: int = WORKING_SIZE,
    device: str = "auto",
    overwrite: bool = False,
    format: str = "png",
    quality: int | None = None,
) -> Summary:
    """Gives a photo, or a folder of photos, the colours of another view of the same scene.

    Results are PNG files with the depth, EXIF and colour profile of the source. Results that are
    already there are kept, as long as their inputs are what they were. A photo that cannot be used
    is left out and named in the summary.

    Args:
        source: a photo to change, or a folder of photos.
        target: a photo with the wanted colours, or a folder of photos that pair with the sources by
            equal names.
        output: a .png file for one source (of TIFF and JPEG .tif and .jpg), a folder for a folder.
        weights: a CycleISP, by the name of shipped weights or by path.
        smooth: for films: the standard deviation, in frames, of the Gaussian that averages the
            colour tables of neighbouring frames; 0 for none.
        luts: whether to write each colour table, too, as NAME.cube.
        working_size: the longest side, in pixels, of the copies that the networks see.
        device: "auto", "cpu", "cuda" or "mps".
        overwrite: whether to overwrite existing results.
        format: of the pictures: "png", "tiff" or "jpeg".
        quality: of JPEG, 1 to 100; None takes 95.

    Raises:
        UserError: an input or weights that do not exist, impossible options (named as those of the
            script), results that cannot be written, would replace an input or were made with other
            settings, or a folder that another run holds.
    """
    if not (math.isfinite(smooth) and smooth >= 0):
        raise UserError(f"--smooth {smooth}: expected a standard deviation in frames, at least 0")
    if working_size < SMALLEST_WORKING_SIZE:
        raise UserError(f"--working-size {working_size}: expected pixels, at least {SMALLEST_WORKING_SIZE}")
    form, folder = PictureFormat(format, quality), Path(output)
    pairs = find_view_pairs(Path(source), Path(target), folder, form)
    network = to_device(load_network(weights, CycleISP), pick_device(device))
    settings = {"weights_sha256": weights_sha256(weights), "working_size": working_size}
    files = MatchedFiles(ColorMatcher(network, working_size).lut, smooth, luts, overwrite, form, settings)
    # Runs that make one file each may share a folder: their files have names of their own.
    with claimed(folder) if Path(source).is_dir() else nullcontext():
        return files.run(pairs)
