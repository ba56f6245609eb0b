"""Prepare camera RAW for the training of the ISP networks.

    python -m cycleisp.dataloaders.training --input RAW_FOLDER... --output STORE

Unpacks every file into a mosaic and LibRaw's rendering, for fast random access. --render camera
takes the camera's own JPEG in place of that rendering: the one inside of the RAW file if it has the
full size, or one of the same name beside it. It is laid onto the mosaic. Files that cannot be used
are listed with the reason in STORE/report.tsv. A stopped run can be started again and goes on.

The clean frames of SIDD-Medium serve as well: <scene>/NNNN_GT_RAW_010.MAT with
NNNN_GT_SRGB_010.PNG. Pass the folders of its RAW and its sRGB set.
"""

import argparse
from pathlib import Path

import cycleisp.utils.processes.early_stop  # noqa: F401  # first, so that Ctrl-C during the others shows no traceback
from cycleisp.utils.cli import run_script


def main() -> int:
    """Runs the command line, and returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m cycleisp.dataloaders.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--input", nargs="+", required=True, metavar="PATH", help="camera RAW files, or folders of them"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to fill")
    parser.add_argument("--workers", type=int, metavar="N", help="files to read at a time (default: one per processor)")
    parser.add_argument(
        "--render",
        choices=("libraw", "camera"),
        default="libraw",
        help="the photo of a pair: LibRaw's rendering, or the camera's own JPEG (default: libraw)",
    )
    args = parser.parse_args()
    from cycleisp.dataloaders.training.raw_pairs import prepare  # here, since --help needs no PyTorch

    report = prepare(args.input, args.output, args.workers, args.render)
    for path, reason in report.skipped:
        print(f"skipped {path}: {reason}")
    print(f"{len(report.ready)} pairs ready in {args.output}, {len(report.skipped)} files skipped (report.tsv)")
    return 0


if __name__ == "__main__":
    run_script(main)
