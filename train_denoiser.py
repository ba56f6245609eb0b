"""Train a denoiser on synthetic pairs.

    python train_denoiser.py --space srgb --config configs/compact/denoiser_srgb.yaml \\
        --photos PHOTOS --run-dir runs/srgb
    python train_denoiser.py --space raw --config configs/compact/denoiser_raw.yaml \\
        --pairs PAIRS --run-dir runs/raw

--photos makes pairs during training, with another noise level for every patch. --pairs reads them
from folders: those that generate_data.py has filled, pictures noisy/NAME beside clean/NAME, or
SIDD's sRGB sets; or from shards, by their folder or a URL such as s3://BUCKET/SHARDS. A share of
the photos is held out for validation.

The same command resumes a run that was stopped. The exit status is 0 when the recipe is finished,
and 3 when the run was stopped early and saved (--stop-after, Ctrl-C, SIGTERM).
"""

import argparse
import json
from pathlib import Path

import cycleisp.utils.processes.early_stop  # noqa: F401  # first, so that Ctrl-C during the others shows no traceback
from cycleisp.utils.cli import gigabytes, parse_training, run_script, training_parser, training_status
from cycleisp.utils.config import DenoiserRecipe, dump_recipe, load_recipe


def parse_args() -> argparse.Namespace:
    parser = training_parser(__doc__)
    add = parser.add_argument
    add("--space", choices=("raw", "srgb"), required=True, help="images to denoise: packed RAW or sRGB photos")
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--photos", nargs="+", default=[], metavar="PATH", help="clean photos, or folders of them")
    folders = "folders of pairs: of generate_data.py, or noisy/ and clean/, or SIDD's sRGB sets; or folders of shards, "
    folders += "lists of them, and URLs of either"
    data.add_argument("--pairs", nargs="+", default=[], metavar="DIR", help=folders)
    shares = "how often each folder of --pairs is drawn, as 0.7 0.3 (default: every pair equally often)"
    add("--shares", nargs="+", type=float, metavar="SHARE", help=shares)
    add("--weights", default="compact_isp", help="CycleISP that makes the pairs of photos (default: compact_isp)")
    noise = "dnd, sidd, noise files of cameras, or awgn for Gaussian noise on sRGB (default: as the recipe says)"
    add("--noise", nargs="+", help=noise)
    add("--start", metavar="WEIGHTS", help="denoiser to start from, of the recipe's sizes or of fewer blocks")
    folders = (
        "folders of sRGB pairs, noisy/ and clean/, to validate on (default: hold out a share of the training data)"
    )
    add("--validation", nargs="+", type=Path, default=[], metavar="DIR", help=folders)
    cache = "folder of this machine that keeps parts of remote shards (default: cycleisp/shards in the user's cache)"
    add("--cache", type=Path, metavar="DIR", help=cache)
    size = "how large that folder may become, in GB; 0 keeps nothing (default: 20)"
    add("--cache-size", type=gigabytes, default=20 * 10**9, metavar="GB", help=size)
    return parse_training(parser)


def main() -> int:
    args = parse_args()
    noise = [f"synthesis.noise={json.dumps(args.noise)}"] if args.noise else []
    shares = [f"data.pair_shares={json.dumps(args.shares)}"] if args.shares else []
    recipe = load_recipe(DenoiserRecipe, args.config, [*args.set, *noise, *shares])
    if args.dry_run:
        print(dump_recipe(recipe), end="")
        return 0
    from cycleisp.dataloaders.pairs.shards.local_copies import LocalCopies, default_folder
    from cycleisp.tasks.training import train_denoiser  # here, since --help needs no networks

    finished = train_denoiser(
        recipe,
        args.run_dir,
        args.space,
        photos=args.photos,
        pairs=args.pairs,
        weights=args.weights,
        start=args.start,
        validation=args.validation,
        copies=LocalCopies(args.cache or default_folder(), args.cache_size),
        device=args.device,
        stop_after=args.stop_after,
    )
    return training_status(finished)


if __name__ == "__main__":
    run_script(main)
