"""Train RGB2RAW, the branch that turns photos into sensor RAW.

    python train_rgb2raw.py --config configs/compact/rgb2raw.yaml --raw RAWS --photos PHOTOS --run-dir runs/rgb2raw

The same line again resumes the run.
"""

from cycleisp.dataloaders.training.isp_patches import open_isp_data
from cycleisp.networks.acceleration import record_trunks, to_device
from cycleisp.networks.objectives import Rgb2RawObjective
from cycleisp.networks.pretrained import build
from cycleisp.utils.cli import add_isp_data, parse_training, run_script, training_parser
from cycleisp.utils.config import IspRecipe, dump_recipe, load_recipe
from cycleisp.utils.training.trainer import Trainer, start


def main() -> int:
    parser = training_parser(__doc__)
    add_isp_data(parser)
    args = parse_training(parser)
    recipe = load_recipe(IspRecipe, args.config, args.set)
    if args.dry_run:
        print(dump_recipe(recipe), end="")
        return 0
    fabric = start(recipe, args.device)
    training, validation = open_isp_data(recipe, args.raw, args.photos, args.prepared)
    sizes = recipe.network.model_dump(include={"rgb2raw"})
    network = build("Rgb2Raw", sizes, recipe.train.save_memory)
    trainer = Trainer(
        fabric=fabric,
        network=to_device(network, fabric.device, recipe.train.compiled),
        objective=Rgb2RawObjective(recipe.loss.log_epsilon),
        recipe=recipe,
        metadata={"network": "Rgb2Raw", "sizes": sizes},
        run_dir=args.run_dir,
        stop_after=args.stop_after,
        record=record_trunks if recipe.train.compiled else None,
    )
    trainer.fit(training, validation)
    return 0


if __name__ == "__main__":
    run_script(main)
