"""Denoise photos and camera RAW files.

    python denoise.py PHOTO... --output DIR

A photo becomes a PNG with the same depth, EXIF and colour profile. A camera RAW file becomes a DNG
with the denoised mosaic, and a PNG with its rendering. Existing results of unchanged files are
kept, so the same command resumes a stopped run. Exit status: 0 all denoised, 1 some inputs were
skipped, 2 it could not run.
"""

import argparse
from pathlib import Path

import cycleisp.utils.processes.early_stop  # noqa: F401  # first, so that Ctrl-C during the others shows no traceback
from cycleisp.utils.cli import run_script
from cycleisp.utils.output.formats import FORMATS, QUALITY
from cycleisp.utils.precisions import PRECISIONS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="photo, camera RAW file, or folder of them")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--weights",
        help="denoiser to use, by shipped name or path, or an ONNX file of export_onnx.py, which needs no PyTorch "
        "(default: compact_srgb for photos, compact_raw for RAW files)",
    )
    parser.add_argument(
        "--noise",
        default="auto",
        help="noise level of RAW files: auto (the file's NoiseProfile, or else an estimate; the default), "
        "variances as shot=0.01,read=0.0005, or a camera's noise file as camera.yaml (at each file's ISO) or "
        "camera.yaml@3200",
    )
    parser.add_argument(
        "--hot-pixels",
        default="auto",
        metavar="WHICH",
        help="hot and dead pixels of RAW files to repair: auto (those found in each picture; the default), off, or "
        "those listed in a camera's file as calibrate_camera.py writes it, mycamera.yaml",
    )
    parser.add_argument(
        "--strength",
        type=float,
        default=1.0,
        metavar="S",
        help="how much of the noise to remove: 1 all that the network removes (the default), 0 nothing",
    )
    parser.add_argument("--luma", type=float, metavar="S", help="the same, of brightness alone (default: --strength)")
    parser.add_argument("--chroma", type=float, metavar="S", help="the same, of colour alone (default: --strength)")
    parser.add_argument(
        "--keep-brightness",
        action="store_true",
        help="give each denoised photo the brightness that the noisy one has over large areas (default: as the "
        "network makes it)",
    )
    parser.add_argument(
        "--crop",
        metavar="X,Y,W,H",
        help="denoise a piece of every picture as a quick look: column and row of its top left corner, width and "
        "height, in pixels of the upright picture",
    )
    parser.add_argument(
        "--tile",
        type=int,
        metavar="PIXELS",
        help="process large images in tiles of this side, to save memory (default: process images whole)",
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="device to compute on (default: auto)"
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="precision of the network (default: auto, which is tf32 on CUDA and float32 elsewhere)",
    )
    parser.add_argument(
        "--runtime",
        choices=("auto", "torch", "onnx"),
        default="auto",
        help="what computes: PyTorch, or ONNX Runtime on the CPU (default: auto, ONNX Runtime for ONNX files)",
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="png", help="format of the pictures; jpeg has 8 bits (default: png)"
    )
    parser.add_argument("--quality", type=int, metavar="N", help=f"quality of JPEG, 1 to 100 (default: {QUALITY})")
    parser.add_argument(
        "--overwrite", action="store_true", help="make results again, and overwrite files in their place"
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="page of HTML to write at the end: pictures, noise, time"
    )
    return parser.parse_args()


def main() -> int:
    options = vars(parse_args())
    from cycleisp.tasks.denoising import denoise_files  # here, since --help needs no PyTorch

    summary = denoise_files(options.pop("photos"), **options)
    return summary.report("denoised", options["output"])


if __name__ == "__main__":
    run_script(main)
