"""Measure what windows cost a network that takes means over the whole image, in an ONNX file.

    python benchmarks/onnx_windows.py --weights compact_srgb --tile 512 PHOTO...
    python benchmarks/onnx_windows.py --weights compact_raw --crop 0,0,2048,1536 FRAME.dng

The network is exported for images of one side (export_onnx.py --tile), and ONNX Runtime runs it in
such windows, as denoise.py does, each with its own means. PyTorch denoises the whole image. The
table shows how far the two results are apart: as a PSNR of peak 1, of values that were not rounded,
and the largest difference, in units of white. Camera files have their noise level from the file, or
else an estimate.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import BEGINS_AGAIN
from cycleisp.dataloaders.photos import read_photo
from cycleisp.dataloaders.sources import Source
from cycleisp.networks.denoiser import Denoiser
from cycleisp.networks.inference.tiled import TiledDenoiser
from cycleisp.networks.pretrained import load_any
from cycleisp.tasks.exporting import export_onnx
from cycleisp.utils.cli import run_script
from cycleisp.utils.crop import Crop
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space, as_float
from cycleisp.utils.onnx_denoiser import OnnxDenoiser, open_onnx
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import read_raw
from cycleisp.utils.raw.file_noise import noise_of_file
from cycleisp.utils.raw.noise import noise_level_function

HEADINGS = ["file", "size", "window", "dB apart", "largest difference"]
Images = list[NDArray[np.float32]]  # (1, C, H, W) in [0, 1], and of RAW its variance


def inputs_of(path: Path, space: Space, crop: Crop | None) -> Images:
    """Returns a file as a denoiser takes it, or a piece of it.

    Raises:
        UserError: a file of the other space, one that cannot be read, or a piece outside of it.
    """
    if Source(path, path.stem).space != space:
        raise UserError(f"{path}: the weights are for {space}, this file is not; give other weights or files")
    if space == "srgb":
        photo = as_float(read_photo(path))
        if crop is not None:
            photo = photo[crop.window(*photo.shape[:2], path)]
        return [np.ascontiguousarray(np.moveaxis(photo, -1, 0))[None]]
    image = read_raw(path, clip=False)
    shot_noise, read_noise, _ = noise_of_file(image)
    padded, _ = bayer.pad_to_rggb(image.mosaic[None], image.pattern, multiple=2)
    packed = bayer.pack(padded).clip(0, 1)[None]
    if crop is not None:
        rows, columns = crop.window(*image.mosaic.shape, path)
        packed = packed[:, :, rows.start // 2 : rows.stop // 2, columns.start // 2 : columns.stop // 2]
    packed = np.ascontiguousarray(packed)
    return [packed, noise_level_function(packed, shot_noise[None], read_noise[None])]


def compare(denoiser: Denoiser, windows: OnnxDenoiser, images: Images) -> tuple[float, float]:
    """Returns the PSNR of peak 1 between windows and the whole, and their largest difference."""
    whole = TiledDenoiser(denoiser)(*map(torch.from_numpy, images)).numpy()
    apart = np.abs(windows(*images) - whole)
    return float(-10 * np.log10(max(np.square(apart, dtype=np.float64).mean(), 1e-30))), float(apart.max())


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="photos, or camera files for RAW weights")
    parser.add_argument("--weights", required=True, help="denoiser, by shipped name or path")
    parser.add_argument("--tile", type=int, default=512, metavar="PIXELS", help="side of a window (default: 512)")
    parser.add_argument("--crop", type=Crop.parse, metavar="X,Y,W,H", help="piece of every file (default: the whole)")
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    denoiser = load_any(args.weights)
    if not isinstance(denoiser, Denoiser):
        raise UserError(f"--weights {args.weights}: is a {type(denoiser).__name__}; this benchmark is for denoisers")
    rows = [HEADINGS, ["---"] * len(HEADINGS)]
    with tempfile.TemporaryDirectory() as folder:
        exported = export_onnx(args.weights, Path(folder, "window.onnx"), tile=args.tile)
        windows = open_onnx(exported.path, threads=torch.get_num_threads())
        for path in args.files:
            images = inputs_of(path, denoiser.space, args.crop)
            height, width = images[0].shape[2:]
            decibels, largest = compare(denoiser, windows, images)
            rows.append([path.name, f"{width}x{height}", f"{args.tile}", f"{decibels:.2f}", f"{largest:.4f}"])
    print(f"{args.weights}: halo of {windows.halo} pixels at each side of a window is not kept\n")
    for cells in rows:
        print("| " + " | ".join(cells) + " |")
    return 0


if __name__ == "__main__":
    run_script(main, after_stop=BEGINS_AGAIN)
