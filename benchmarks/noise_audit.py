"""Audit synthetic noise: is it like real noise?

    python benchmarks/noise_audit.py --real PAIRS --synthetic PAIRS --report audit.html
    python benchmarks/noise_audit.py --real PAIRS --recipe configs/compact/denoiser_srgb_base.yaml

PAIRS are folders of noisy/clean pairs: noisy/NAME beside clean/NAME, SIDD's sRGB scenes, or what
generate_data.py has written, whose RAW is taken with --space raw. With --recipe the synthetic noise
is made on the real set's own clean pictures, by the code of the training. Of --draws cameras for
each picture the --keep ones are taken whose noise is nearest to the real noise in strength.

Compared are: variance against intensity; mean error in the dark; histograms; quantiles; tails;
autocorrelation; power by frequency, and along rows and columns; correlation between channels. Each
has a band of what sampling alone would give, and a verdict. Then come numbers of whole pictures,
and how many real pictures lie outside of the synthetic ones' range. Everything is measured on
squares, spread over each picture.
"""

import argparse
import json
import logging
import shlex
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import BEGINS_AGAIN
from benchmarks.audit.crops import Crops, read_crops
from benchmarks.audit.page import draw_page
from benchmarks.audit.recipes import match_recipe
from benchmarks.audit.results import DEFINITIONS, audit, lines_of, values_of
from cycleisp.utils.cli import run_script
from cycleisp.utils.config import DenoiserRecipe, load_recipe
from cycleisp.utils.devices import pick_device
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.files import write_bytes

log = logging.getLogger(__name__)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True, metavar="DIR", help="folder of pairs with real noise")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--synthetic", type=Path, metavar="DIR", help="folder of pairs with synthetic noise")
    source.add_argument("--recipe", metavar="FILE", help="recipe of train_denoiser.py that makes the synthetic noise")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="values of the recipe, as synthesis.contrast=[0,1]"
    )
    parser.add_argument(
        "--weights", default="compact_isp", help="CycleISP of a recipe that uses it (default %(default)s)"
    )
    parser.add_argument("--space", choices=("srgb", "raw"), default="srgb", help="of the pairs (default %(default)s)")
    parser.add_argument("--size", type=int, default=64, help="side of a square in values (default %(default)s)")
    parser.add_argument("--crops", type=int, default=9, help="most squares of a picture (default %(default)s)")
    parser.add_argument(
        "--every", type=int, default=1, help="2 takes every second pair, and so on (default %(default)s)"
    )
    parser.add_argument("--draws", type=int, default=24, help="cameras to draw for a picture (default %(default)s)")
    parser.add_argument("--keep", type=int, default=3, help="cameras to keep of them (default %(default)s)")
    parser.add_argument("--resamples", type=int, default=200, help="draws behind the bands (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default %(default)s)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="HTML page to write, with plots")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file to write all values to")
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="of the synthesis (default %(default)s)",
    )
    args = parser.parse_args()
    _check(args)
    return args


def _check(args: argparse.Namespace) -> None:
    """Refuses values that cannot be used. Raises UserError."""
    if args.size < 24 or args.size % 8:
        raise UserError(f"--size {args.size}: expected a multiple of 8, at least 24")
    for name, least in (("crops", 1), ("every", 1), ("draws", 1), ("keep", 1), ("resamples", 20), ("seed", 0)):
        if getattr(args, name) < least:
            raise UserError(f"--{name} {getattr(args, name)}: expected at least {least}")
    if args.keep > args.draws:
        raise UserError(f"--keep {args.keep}: expected at most --draws, which is {args.draws}")
    if args.recipe is None and args.set:
        raise UserError("--set changes values of a --recipe, and there is none")
    if args.recipe is not None and args.space == "raw":
        raise UserError(
            "--recipe makes sRGB pairs; for RAW give --synthetic, a folder that generate_data.py has filled"
        )


def synthetic_set(args: argparse.Namespace, real: Crops) -> tuple[Crops, list[str]]:
    """Returns the synthetic squares, and what there is to say about how they were made."""
    if args.synthetic is not None:
        return read_crops(args.synthetic, args.space, args.size, args.crops, args.every), []
    recipe = load_recipe(DenoiserRecipe, args.recipe, args.set)
    device = pick_device(args.device)
    matched = match_recipe(real, recipe.synthesis, args.weights, args.draws, args.keep, args.seed, device)
    low, middle, high = np.percentile(matched.ratios, [5, 50, 95])
    return matched.crops, [
        f"Synthetic noise: {args.recipe} {' '.join(args.set)}, on the clean pictures of the real set. Of {args.draws} "
        f"cameras drawn for each picture those {args.keep} were kept whose noise is nearest to the real one in mean "
        f"square. The nearest one's deviation is {middle:.2f} times that of the real noise (5 % and 95 % of the "
        f"pictures: {low:.2f} and {high:.2f})."
    ]


def main() -> int:
    args = parse_args()
    real = read_crops(args.real, args.space, args.size, args.crops, args.every)
    log.info("%d pictures of %s", len(real.names), args.real)
    synthetic, notes = synthetic_set(args, real)
    log.info("%d squares of synthetic noise", len(synthetic))
    result = audit(real, synthetic, args.resamples, args.seed)
    print("\n".join([*notes, *lines_of(result), "", *DEFINITIONS]))
    if args.json is not None:
        write_bytes(args.json, json.dumps(values_of(result), indent=1).encode())
    if args.report is not None:
        command = shlex.join(["python", "benchmarks/noise_audit.py", *sys.argv[1:]])
        write_bytes(args.report, draw_page(result, command, notes).encode())
        print(f"written: {args.report}")
    return 0


if __name__ == "__main__":
    run_script(main, after_stop=BEGINS_AGAIN)
