"""Denoise photos and camera RAW files.

    python denoise.py PHOTO... --output DIR

Photos come out as PNG with their depth, EXIF and colour profile; of a camera RAW file come the denoised mosaic as DNG
and its rendering as PNG. What lies in DIR already is kept: the same line again goes on.
"""

import argparse
from pathlib import Path

from cycleisp.dataloaders.photos import find_sources
from cycleisp.dataloaders.results.denoised_files import DenoisedFiles
from cycleisp.networks.acceleration import to_device
from cycleisp.networks.inference.tiled import TiledDenoiser
from cycleisp.networks.pretrained import load_denoisers
from cycleisp.utils.cli import run_script
from cycleisp.utils.devices import PRECISIONS, inference_precision, pick_device
from cycleisp.utils.errors import UserError
from cycleisp.utils.raw.noise import FixedNoise, NoiseError, parse_noise


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="photos, camera RAW files, or folders of them")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--weights", help="one denoiser, by shipped name or path; default: compact_srgb for photos, compact_raw for RAW"
    )
    parser.add_argument(
        "--noise",
        default="auto",
        help="of RAW files: auto (the file's NoiseProfile, else an estimate), or variances as shot=0.01,read=0.0005",
    )
    parser.add_argument("--tile", type=int, help="cut large images into tiles of this side; default: whole, and exact")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help="auto: tf32 on CUDA, else float32")
    parser.add_argument("--overwrite", action="store_true", help="make results again that are there")
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    if args.tile is not None and args.tile < 1:
        raise UserError(f"--tile {args.tile}: expected the side of a tile in pixels, at least 1")
    noise = None if args.noise == "auto" else parse_noise(args.noise)
    if noise is not None and not isinstance(noise, FixedNoise):
        raise NoiseError(f"--noise {args.noise}: expected auto or the file's own level, as shot=0.01,read=0.0005")
    sources = find_sources(args.photos, exclude=args.output)
    device = pick_device(args.device)
    precision = inference_precision(args.precision, device)
    srgb, raw = (
        network and TiledDenoiser(to_device(network, device), args.tile, precision)
        for network in load_denoisers(args.weights, {source.is_raw for source in sources})
    )
    return DenoisedFiles(args.output, srgb, raw, noise, args.overwrite).run(sources).report("denoised", args.output)


if __name__ == "__main__":
    run_script(main)
