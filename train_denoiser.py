"""Train a denoiser on synthetic pairs.

    python train_denoiser.py --space srgb --config configs/compact/denoiser_srgb.yaml \\
        --photos PHOTOS --run-dir runs/srgb
    python train_denoiser.py --space raw --config configs/compact/denoiser_raw.yaml \\
        --pairs PAIRS --run-dir runs/raw

--photos makes pairs during training, with another noise level for every patch. --pairs reads them
from a folder that generate_data.py has filled. The same command resumes a run that was stopped.
"""

import argparse
import json
from pathlib import Path

from cycleisp.utils.cli import parse_training, run_script, training_parser
from cycleisp.utils.config import DenoiserRecipe, dump_recipe, load_recipe


def parse_args() -> argparse.Namespace:
    parser = training_parser(__doc__)
    add = parser.add_argument
    add("--space", choices=("raw", "srgb"), required=True, help="images to denoise: packed RAW or sRGB photos")
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--photos", nargs="+", default=[], metavar="PATH", help="clean photos, or folders of them")
    data.add_argument("--pairs", type=Path, metavar="DIR", help="folder of pairs, filled by generate_data.py")
    add("--weights", default="compact_isp", help="CycleISP that makes the pairs of photos (default: compact_isp)")
    add("--noise", nargs="+", help="dnd, sidd, or awgn for Gaussian noise on sRGB (default: as the recipe says)")
    add("--start", metavar="WEIGHTS", help="denoiser to start from, of the recipe's sizes or with fewer groups")
    folders = "folders of sRGB pairs, noisy/ and clean/, to validate on (default: validate on synthetic pairs)"
    add("--validation", nargs="+", type=Path, default=[], metavar="DIR", help=folders)
    return parse_training(parser)


def main() -> int:
    from cycleisp.tasks.training import train_denoiser  # here, since --help needs no networks

    args = parse_args()
    noise = [f"synthesis.noise={json.dumps(args.noise)}"] if args.noise else []
    recipe = load_recipe(DenoiserRecipe, args.config, [*args.set, *noise])
    if args.dry_run:
        print(dump_recipe(recipe), end="")
        return 0
    train_denoiser(
        recipe,
        args.run_dir,
        args.space,
        photos=args.photos,
        pairs=args.pairs,
        weights=args.weights,
        start=args.start,
        validation=args.validation,
        device=args.device,
        stop_after=args.stop_after,
    )
    return 0


if __name__ == "__main__":
    run_script(main)
