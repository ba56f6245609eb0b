"""Give photos the colours of other photos of the same scene.

    python match_colors.py --source VIEW --target VIEW --output FILE.png
    python match_colors.py --source DIR --target DIR --output DIR         # pairs by equal names
    python match_colors.py --source DIR --target VIEW --output DIR        # one target for all

Results are PNG with the depth, EXIF and colour profile of the source. What is there already is kept: the same line
again goes on.
"""

import argparse
import math
from pathlib import Path

from cycleisp.dataloaders.results.matched_files import MatchedFiles, find_view_pairs
from cycleisp.networks.acceleration import to_device
from cycleisp.networks.cycleisp import CycleISP
from cycleisp.networks.inference.color_matching import WORKING_SIZE, ColorMatcher
from cycleisp.networks.pretrained import load_network
from cycleisp.utils.cli import run_script
from cycleisp.utils.devices import pick_device
from cycleisp.utils.errors import UserError

SMALLEST_WORKING_SIZE = 64


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="photo to change, or folder of them")
    parser.add_argument("--target", type=Path, required=True, help="photo with the wanted colours, or folder of them")
    parser.add_argument("--output", type=Path, required=True, help="a .png for one source, a folder for a folder")
    parser.add_argument(
        "--smooth",
        type=float,
        default=0.0,
        metavar="FRAMES",
        help="for films: average the colour changes of neighbouring frames, against flicker (standard deviation)",
    )
    parser.add_argument("--luts", action="store_true", help="write each table of colours too, as NAME.cube")
    parser.add_argument("--weights", default="compact_matching", help="a CycleISP, by shipped name or path")
    parser.add_argument(
        "--working-size", type=int, default=WORKING_SIZE, help="longest side in pixels that the networks see"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument("--overwrite", action="store_true", help="make results again that are there")
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    if not (math.isfinite(args.smooth) and args.smooth >= 0):
        raise UserError(f"--smooth {args.smooth}: expected a standard deviation in frames, at least 0")
    if args.working_size < SMALLEST_WORKING_SIZE:
        raise UserError(f"--working-size {args.working_size}: expected pixels, at least {SMALLEST_WORKING_SIZE}")
    pairs = find_view_pairs(args.source, args.target, args.output)
    device = pick_device(args.device)
    matcher = ColorMatcher(to_device(load_network(args.weights, CycleISP), device), args.working_size)
    return MatchedFiles(matcher.lut, args.smooth, args.luts, args.overwrite).run(pairs).report("matched", args.output)


if __name__ == "__main__":
    run_script(main)
