"""Train RAW2RGB and its colour branch, or the whole CycleISP.

    python train_raw2rgb.py --config configs/compact/raw2rgb.yaml --raw RAWS --photos PHOTOS \\
        --run-dir runs/raw2rgb
    python train_raw2rgb.py --stage joint --config configs/compact/joint.yaml --raw RAWS \\
        --photos PHOTOS --rgb2raw runs/rgb2raw/weights.safetensors \\
        --raw2rgb runs/raw2rgb/weights.safetensors --run-dir runs/joint
    python train_raw2rgb.py --stage matching --config configs/compact/color_matching.yaml \\
        --raw RAWS --photos PHOTOS --isp compact_isp --run-dir runs/color_matching
    python train_raw2rgb.py --stage joint --config configs/own_camera.yaml --raw RAWS_AND_JPEGS \\
        --render camera --prepared prepared_camera --isp compact_isp --run-dir runs/own_camera

The same command resumes a run that was stopped. The exit status is 0 when the recipe is finished,
and 3 when the run was stopped early and saved (--stop-after, Ctrl-C, SIGTERM).
"""

import argparse

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


def parse_args() -> argparse.Namespace:
    parser = training_parser(__doc__)
    add_isp_data(parser)
    add = parser.add_argument
    stage = "what to train: raw2rgb (RAW2RGB and its colour branch; the default), joint (the whole CycleISP), "
    stage += "or matching (the whole CycleISP, to give a photo the colours of another view)"
    add("--stage", choices=("raw2rgb", "joint", "matching"), default="raw2rgb", help=stage)
    add("--isp", metavar="WEIGHTS", help="joint, matching: CycleISP to start from, by shipped name or path")
    add("--rgb2raw", metavar="WEIGHTS", help="joint, matching: RGB2RAW to start from")
    add("--raw2rgb", metavar="WEIGHTS", help="joint, matching: RAW2RGB with its colour branch to start from")
    return parse_training(parser)


def main() -> int:
    args = parse_args()
    recipe = load_recipe(IspRecipe, args.config, isp_overrides(args))
    if args.dry_run:
        print(dump_recipe(recipe), end="")
        return 0
    from cycleisp.tasks.training import train_raw2rgb  # here, since --help needs no networks

    finished = train_raw2rgb(
        recipe,
        args.run_dir,
        stage=args.stage,
        raw=args.raw,
        photos=args.photos,
        prepared=args.prepared,
        isp=args.isp,
        rgb2raw=args.rgb2raw,
        raw2rgb=args.raw2rgb,
        device=args.device,
        stop_after=args.stop_after,
    )
    return training_status(finished)


if __name__ == "__main__":
    run_script(main)
