"""Score a denoiser on SIDD's validation blocks, or make a submission of its benchmark blocks.

    python test_sidd.py --data SIDD --space srgb --split validation --output results/sidd
    python test_sidd.py --data SIDD --space srgb --split benchmark --output results/sidd_b
    python test_sidd.py --validate results/sidd_b/SubmitSrgb.csv

The same command resumes a stopped run. docs/guides/evaluate.md lists the files to get and the
scores to expect.
"""

import argparse
from pathlib import Path

import cycleisp.utils.processes.early_stop  # noqa: F401  # first, so that Ctrl-C during the others shows no traceback
from cycleisp.utils.cli import run_script
from cycleisp.utils.precisions import PRECISIONS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="folder with SIDD's .mat files")
    add("--space", choices=("raw", "srgb"), default="srgb", help="which blocks to denoise (default: srgb)")
    add(
        "--split", choices=("validation", "benchmark"), default="validation", help="set of blocks (default: validation)"
    )
    add("--weights", help="denoiser to use, by shipped name or path (default: compact_srgb or compact_raw)")
    add("--output", type=Path, metavar="DIR", help="folder for the results")
    add("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="device to compute on (default: auto)")
    add("--precision", choices=PRECISIONS, default="float32", help="precision of the network (default: float32)")
    add("--batch-size", type=int, default=4, metavar="N", help="denoise N blocks at once (default: 4)")
    add("--scenes", type=Path, metavar="FILE", help="text file with the 40 scene names of the benchmark blocks")
    add("--save-images", action="store_true", help="also write a PNG of every block")
    add("--report", type=Path, metavar="FILE", help="page of HTML to write at the end: pictures, noise, time")
    add("--validate", type=Path, metavar="FILE", help="check a submission file and do nothing else")
    args = parser.parse_args()
    if args.validate is None and (args.data is None or args.output is None):
        parser.error("--data and --output are needed, or --validate")
    if args.batch_size < 1:
        parser.error(f"--batch-size {args.batch_size}: expected at least 1")
    if args.validate is None and (args.space, args.split, args.scenes) == ("raw", "benchmark", None):
        parser.error("RAW benchmark blocks need --scenes: whose camera and noise level each row of blocks has")
    return args


def main() -> int:
    args = parse_args()
    from cycleisp.tasks.benchmarks import Evaluation, check_sidd, run_sidd  # here, since --help needs no PyTorch

    if args.validate is not None:
        outcome = check_sidd(args.validate)
    else:
        evaluation = Evaluation(
            *(args.data, args.space, args.output, args.weights),
            *(args.device, args.precision, args.batch_size, args.report),
        )
        outcome = run_sidd(evaluation, args.split, args.scenes, args.save_images)
    print(outcome.text)
    return 0 if outcome.valid else 1


if __name__ == "__main__":
    run_script(main)
