"""Train RAW2RGB and its colour branch; --stage joint: both directions; --stage matching: the colours of another view.

    python train_raw2rgb.py --config configs/compact/raw2rgb.yaml --raw RAWS --photos PHOTOS --run-dir runs/raw2rgb
    python train_raw2rgb.py --stage joint --config configs/compact/joint.yaml --raw RAWS --photos PHOTOS \\
        --rgb2raw runs/rgb2raw/weights.safetensors --raw2rgb runs/raw2rgb/weights.safetensors --run-dir runs/joint
    python train_raw2rgb.py --stage matching --config configs/compact/color_matching.yaml --raw RAWS --photos PHOTOS \\
        --isp compact_isp --run-dir runs/color_matching

The same line again resumes the run.
"""

from torch import nn

from cycleisp.dataloaders.training.isp_patches import open_isp_data
from cycleisp.dataloaders.training.view_patches import open_view_data
from cycleisp.networks.acceleration import record_trunks, to_device
from cycleisp.networks.objectives import ColorMatchingObjective, JointObjective, Raw2RgbObjective
from cycleisp.networks.pretrained import build, find_weights
from cycleisp.utils.cli import add_isp_data, parse_training, run_script, training_parser
from cycleisp.utils.config import IspLoss, IspRecipe, dump_recipe, load_recipe
from cycleisp.utils.errors import UserError
from cycleisp.utils.training.trainer import Objective, Trainer, start
from cycleisp.utils.weights.files import load_weights

NETWORKS = {"raw2rgb": "GuidedRaw2Rgb", "joint": "CycleISP", "matching": "CycleISP"}
PARTS = {"isp": "", "rgb2raw": "rgb2raw", "raw2rgb": "guided_raw2rgb"}  # of CycleISP, by the option that names weights


def objective_of(stage: str, loss: IspLoss) -> Objective:
    if stage == "joint":
        return JointObjective(loss.log_epsilon, loss.beta, loss.true_raw_share)
    if stage == "matching":
        return ColorMatchingObjective(loss.log_epsilon, loss.beta)
    return Raw2RgbObjective()


def build_network(stage: str, recipe: IspRecipe, starts: dict[str, str | None]) -> tuple[nn.Module, dict[str, object]]:
    """The network of a stage, from the weights it starts with, and what its weight files say of it."""
    kind = NETWORKS[stage]
    sizes = recipe.network.model_dump(exclude={"rgb2raw"} if kind == "GuidedRaw2Rgb" else None)
    network = build(kind, sizes, recipe.train.save_memory)
    if kind == "CycleISP":
        for option, weights in starts.items():
            if weights is not None:
                load_weights(network.get_submodule(PARTS[option]), find_weights(weights))
    return network, {"network": kind, "sizes": sizes}


def main() -> int:
    parser = training_parser(__doc__)
    add_isp_data(parser)
    parser.add_argument("--stage", choices=tuple(NETWORKS), default="raw2rgb")
    parser.add_argument("--isp", metavar="WEIGHTS", help="joint, matching: weights of such a stage to start from")
    parser.add_argument("--rgb2raw", metavar="WEIGHTS", help="joint, matching: trained RGB2RAW to start from")
    parser.add_argument("--raw2rgb", metavar="WEIGHTS", help="joint, matching: likewise RAW2RGB and colour branch")
    args = parse_training(parser)
    recipe = load_recipe(IspRecipe, args.config, args.set)
    if args.dry_run:
        print(dump_recipe(recipe), end="")
        return 0
    if args.stage == "raw2rgb" and any(getattr(args, option) for option in PARTS):
        raise UserError("--isp, --rgb2raw and --raw2rgb start the stages joint and matching; give --stage")
    fabric = start(recipe, args.device)
    open_data = open_view_data if args.stage == "matching" else open_isp_data
    training, validation = open_data(recipe, args.raw, args.photos, args.prepared)
    network, metadata = build_network(args.stage, recipe, {option: getattr(args, option) for option in PARTS})
    trainer = Trainer(
        fabric=fabric,
        network=to_device(network, fabric.device, recipe.train.compiled),
        objective=objective_of(args.stage, recipe.loss),
        recipe=recipe,
        metadata=metadata,
        run_dir=args.run_dir,
        stop_after=args.stop_after,
        record=record_trunks if recipe.train.compiled else None,
    )
    trainer.fit(training, validation)
    return 0


if __name__ == "__main__":
    run_script(main)
