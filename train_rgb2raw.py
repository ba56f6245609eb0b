"""Train RGB2RAW, the branch that turns photos into sensor RAW.

    python train_rgb2raw.py --config configs/compact/rgb2raw.yaml --raw RAWS --photos PHOTOS \\
        --run-dir runs/rgb2raw

The same command resumes a run that was stopped. The exit status is 0 when the recipe is finished,
and 3 when the run was stopped early and saved (--stop-after, Ctrl-C, SIGTERM).
"""

import cycleisp.utils.processes.early_stop  # noqa: F401  # first, so that Ctrl-C during the others shows no traceback
from cycleisp.utils.cli import (
    add_isp_data,
    isp_overrides,
    parse_training,
    run_script,
    training_parser,
    training_status,
)
from cycleisp.utils.config import IspRecipe, dump_recipe, load_recipe


def main() -> int:
    parser = training_parser(__doc__)
    add_isp_data(parser)
    args = parse_training(parser)
    recipe = load_recipe(IspRecipe, args.config, isp_overrides(args))
    if args.dry_run:
        print(dump_recipe(recipe), end="")
        return 0
    from cycleisp.tasks.training import train_rgb2raw  # here, since --help needs no networks

    finished = train_rgb2raw(
        recipe,
        args.run_dir,
        raw=args.raw,
        photos=args.photos,
        prepared=args.prepared,
        device=args.device,
        stop_after=args.stop_after,
    )
    return training_status(finished)


if __name__ == "__main__":
    run_script(main)
