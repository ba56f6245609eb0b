"""Train RAW2RGB and its colour branch, or with --stage joint both directions together.

    python train_raw2rgb.py --config configs/compact/raw2rgb.yaml --raw RAWS --photos PHOTOS --run-dir runs/raw2rgb
    python train_raw2rgb.py --stage joint --config configs/compact/joint.yaml --raw RAWS --photos PHOTOS \\
        --rgb2raw runs/rgb2raw/weights.safetensors --raw2rgb runs/raw2rgb/weights.safetensors --run-dir runs/joint

The same line again resumes the run.
"""

from dataloaders.isp_patches import open_isp_data
from networks.objectives import JointObjective, Raw2RgbObjective
from networks.pretrained import build
from utils.checkpoint import load_weights
from utils.cli import add_isp_data, parse_training, run_script, training_parser
from utils.config import IspRecipe, dump_recipe, load_recipe
from utils.trainer import Trainer, start


def main() -> int:
    parser = training_parser(__doc__)
    add_isp_data(parser)
    parser.add_argument("--stage", choices=("raw2rgb", "joint"), default="raw2rgb")
    parser.add_argument("--isp", metavar="WEIGHTS", help="joint stage: weights of an earlier joint stage to start from")
    parser.add_argument("--rgb2raw", metavar="WEIGHTS", help="joint stage: trained RGB2RAW to start from")
    parser.add_argument("--raw2rgb", metavar="WEIGHTS", help="joint stage: likewise RAW2RGB and colour branch")
    args = parse_training(parser)
    recipe = load_recipe(IspRecipe, args.config, args.set)
    if args.dry_run:
        print(dump_recipe(recipe), end="")
        return 0
    fabric = start(recipe, args.device)
    length = recipe.train.steps * recipe.train.batch_size
    training, validation = open_isp_data(recipe.data, recipe.seed, length, args.raw, args.photos, args.prepared)
    if args.stage == "joint":
        kind, branches = "CycleISP", {"rgb2raw", "raw2rgb", "color_correction"}
        objective = JointObjective(recipe.loss.log_epsilon, recipe.loss.beta, recipe.loss.true_raw_share)
    else:
        kind, branches = "GuidedRaw2Rgb", {"raw2rgb", "color_correction"}
        objective = Raw2RgbObjective()
    sizes = recipe.network.model_dump(include=branches)
    network = build(kind, sizes, recipe.train.save_memory)
    if args.stage == "joint" and args.isp:
        load_weights(network, args.isp)
    if args.stage == "joint" and args.rgb2raw:
        load_weights(network.get_submodule("rgb2raw"), args.rgb2raw)
    if args.stage == "joint" and args.raw2rgb:
        load_weights(network.get_submodule("guided_raw2rgb"), args.raw2rgb)
    trainer = Trainer(
        fabric=fabric,
        network=network,
        objective=objective,
        recipe=recipe,
        metadata={"network": kind, "sizes": sizes},
        run_dir=args.run_dir,
        stop_after=args.stop_after,
    )
    trainer.fit(training, validation)
    return 0


if __name__ == "__main__":
    run_script(main)
