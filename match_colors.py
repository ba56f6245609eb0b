"""Give photos the colours of other photos of the same scene.

    python match_colors.py --source VIEW --target VIEW --output FILE.png
    python match_colors.py --source DIR --target DIR --output DIR     # pairs files by their names
    python match_colors.py --source DIR --target VIEW --output DIR    # one target for all sources

Results are PNG files with the depth, EXIF and colour profile of the source. Existing results are
kept, so the same command resumes a stopped run. Exit status: 0 all matched, 1 some inputs were
skipped, 2 it could not run.
"""

import argparse
from pathlib import Path

import cycleisp.utils.processes.early_stop  # noqa: F401  # first, so that Ctrl-C during the others shows no traceback
from cycleisp.utils.cli import run_script
from cycleisp.utils.color.working_size import WORKING_SIZE
from cycleisp.utils.output.formats import FORMATS, QUALITY


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="photo to change, or folder of photos")
    parser.add_argument("--target", type=Path, required=True, help="photo with the wanted colours, or folder of photos")
    parser.add_argument("--output", type=Path, required=True, help="a .png file for one source, a folder for a folder")
    parser.add_argument(
        "--smooth",
        type=float,
        default=0.0,
        metavar="FRAMES",
        help="average the colour changes of neighbouring frames of a film, against flicker: standard deviation of the "
        "average in frames (default: 0, none)",
    )
    parser.add_argument("--luts", action="store_true", help="also write each colour table as NAME.cube")
    parser.add_argument(
        "--weights",
        default="compact_matching",
        help="CycleISP to use, by shipped name or path (default: compact_matching)",
    )
    parser.add_argument(
        "--working-size",
        type=int,
        default=WORKING_SIZE,
        metavar="PIXELS",
        help=f"longest side of the copies that the networks see (default: {WORKING_SIZE})",
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="device to compute on (default: auto)"
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="png", help="format of the pictures; jpeg has 8 bits (default: png)"
    )
    parser.add_argument("--quality", type=int, metavar="N", help=f"quality of JPEG, 1 to 100 (default: {QUALITY})")
    parser.add_argument(
        "--overwrite", action="store_true", help="make results again, and overwrite files in their place"
    )
    return parser.parse_args()


def main() -> int:
    options = vars(parse_args())
    from cycleisp.tasks.matching import match_files  # here, since --help needs no PyTorch

    return match_files(**options).report("matched", options["output"])


if __name__ == "__main__":
    run_script(main)
