"""Lay the JPEGs inside of real RAW files onto their mosaics, where LibRaw knows the crop.

    python benchmarks/camera_previews.py --raw RAWS

The JPEGs may be small, and have the camera's own look. For many cameras LibRaw knows which part of
the mosaic its JPEG shows. The table tells how far the place that was found is from there, in pixels
of the mosaic (mean, and at the corners), and the errors that the alignment itself reports, in
pixels of the JPEG. A lens that the camera corrects adds to the difference.
"""

import argparse
import io
import sys
from pathlib import Path

import cv2
import numpy as np
import rawpy
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import BEGINS_AGAIN
from cycleisp.dataloaders.sources import find_sources
from cycleisp.utils.camera_jpeg.registration import RegistrationError, grid, register
from cycleisp.utils.cli import run_script


def grey(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(photo), cv2.COLOR_RGB2GRAY), np.uint8)


def row_of(path: Path) -> str:
    """Returns a line of the table for a RAW file."""
    with rawpy.imread(str(path)) as raw:
        try:
            preview = raw.extract_thumb()
        except rawpy.LibRawError:
            return "no JPEG inside"
        sizes = raw.sizes
        if preview.format != rawpy.ThumbFormat.JPEG or not getattr(sizes, "crop_width", 0):
            return "no JPEG inside, or LibRaw does not know its crop"
        half = raw.postprocess(half_size=True, use_camera_wb=True, no_auto_bright=True, user_flip=0)
    jpeg = np.asarray(Image.open(io.BytesIO(bytes(preview.data))).convert("RGB"))
    scale = jpeg.shape[1] / sizes.crop_width  # of the JPEG against the mosaic
    size = round(sizes.width * scale), round(sizes.height * scale)
    reduced = cv2.resize(half, size, interpolation=cv2.INTER_AREA)
    try:
        found = register(grey(np.asarray(reduced, np.uint8)), grey(jpeg))
    except RegistrationError as error:
        return str(error)
    places = grid(range(0, size[1], 8), range(0, size[0], 8))
    in_mosaic = (places + 0.5) * [sizes.width / size[0], sizes.height / size[1]] - 0.5
    margins = [sizes.crop_left_margin - sizes.left_margin, sizes.crop_top_margin - sizes.top_margin]
    sides = [jpeg.shape[1] / sizes.crop_width, jpeg.shape[0] / sizes.crop_height]
    expected = (in_mosaic - margins + 0.5) * sides - 0.5
    apart = np.linalg.norm((found.warp(places) - expected) / scale, axis=-1)
    corners = np.mean([apart[row, column] for row in (0, -1) for column in (0, -1)])
    told = f"{found.typical_error:.2f} | {found.large_error:.2f} | {found.tiles}"
    return (
        f"{jpeg.shape[1]}x{jpeg.shape[0]} | {sizes.width}x{sizes.height} | {apart.mean():.2f} | {corners:.2f} | {told}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", nargs="+", required=True, metavar="PATH", help="camera RAW files, or folders of them")
    args = parser.parse_args()
    print("| file | JPEG | mosaic | mean difference | at the corners | reported median | 90 % | tiles |")
    print("|---|---|---|---|---|---|---|---|")
    for source in find_sources(args.raw):
        if source.space == "raw":
            print(f"| {source.path.name} | {row_of(source.path)} |", flush=True)
    return 0


if __name__ == "__main__":
    run_script(main, after_stop=BEGINS_AGAIN)
