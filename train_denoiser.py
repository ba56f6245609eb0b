"""Train a denoiser on synthetic pairs.

    python train_denoiser.py --space srgb --config configs/compact/denoiser_srgb.yaml --photos PHOTOS --run-dir runs/s
    python train_denoiser.py --space raw --config configs/compact/denoiser_raw.yaml --pairs PAIRS --run-dir runs/r

With --photos pairs are made as they are needed, another noise level for every patch; with --pairs they come from a
folder that generate_data.py has filled. The same line again resumes the run.
"""

import argparse
import json
from pathlib import Path

from cycleisp.dataloaders.training.denoising_data import open_denoising_data
from cycleisp.networks.acceleration import record_trunks, to_device
from cycleisp.networks.growth import go_on_from
from cycleisp.networks.objectives import DenoiserObjective
from cycleisp.networks.pretrained import build
from cycleisp.networks.synthesis.training_pairs import open_training_pairs
from cycleisp.utils.cli import parse_training, run_script, training_parser
from cycleisp.utils.config import DenoiserRecipe, dump_recipe, load_recipe
from cycleisp.utils.training.trainer import Trainer, start


def parse_args() -> argparse.Namespace:
    parser = training_parser(__doc__)
    parser.add_argument("--space", choices=("raw", "srgb"), required=True)
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--photos", nargs="+", default=[], metavar="PATH", help="clean photos, or folders of them")
    data.add_argument("--pairs", type=Path, metavar="DIR", help="a folder that generate_data.py has filled")
    parser.add_argument("--weights", default="compact_isp", help="CycleISP that makes the pairs (default compact_isp)")
    parser.add_argument(
        "--noise", nargs="+", help="dnd, sidd, or awgn for Gaussian noise on sRGB, in place of the recipe's"
    )
    parser.add_argument(
        "--start", metavar="WEIGHTS", help="a denoiser to go on from, of the same sizes or fewer groups"
    )
    parser.add_argument(
        "--validation", nargs="+", type=Path, default=[], metavar="DIR", help="folders of sRGB pairs, noisy/ and clean/"
    )
    return parse_training(parser)


def main() -> int:
    args = parse_args()
    noise = [f"synthesis.noise={json.dumps(args.noise)}"] if args.noise else []
    recipe = load_recipe(DenoiserRecipe, args.config, [*args.set, *noise])
    if args.dry_run:
        print(dump_recipe(recipe), end="")
        return 0
    fabric = start(recipe, args.device)
    training, validation = open_denoising_data(recipe, args.space, args.photos, args.pairs, args.validation)
    kind, sizes = {"raw": "RawDenoiser", "srgb": "SrgbDenoiser"}[args.space], recipe.network.model_dump()
    network = build(kind, sizes, recipe.train.save_memory)
    if args.start:
        go_on_from(network, args.start)
    make_batch = None  # stored pairs are used as they are
    if args.pairs is None:
        make_batch = open_training_pairs(
            recipe.synthesis, args.space, args.weights, fabric.device, recipe.train.precision
        )
    trainer = Trainer(
        fabric=fabric,
        network=to_device(network, fabric.device, recipe.train.compiled),
        objective=DenoiserObjective(recipe.loss.relative),
        recipe=recipe,
        metadata={"network": kind, "sizes": sizes},
        run_dir=args.run_dir,
        stop_after=args.stop_after,
        record=record_trunks if recipe.train.compiled else None,
        make_batch=make_batch,
    )
    trainer.fit(training, validation)
    return 0


if __name__ == "__main__":
    run_script(main)
