"""Denoise the DND benchmark into a submission.

    python test_dnd.py --data DND --space raw --output results/dnd_raw
    python test_dnd.py --validate results/dnd_raw/bundle

DND has no public ground truth: its server scores the submission, OUTPUT/bundle. The same command
resumes a stopped run. `--validate` checks a submission, also one that was made elsewhere.
"""

import argparse
from pathlib import Path

import cycleisp.utils.processes.early_stop  # noqa: F401  # first, so that Ctrl-C during the others shows no traceback
from cycleisp.dataloaders.dnd.scenes import DND, ORIENTATIONS, Extent
from cycleisp.utils.cli import run_script
from cycleisp.utils.precisions import PRECISIONS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="folder with info.mat and images_raw or images_srgb")
    add("--space", choices=("raw", "srgb"), help="which of the two benchmarks to denoise")
    add(
        "--orientation",
        choices=ORIENTATIONS,
        default="corrected",
        help="orientation of the Bayer patterns: corrected, or released, as the released scripts read them "
        "(default: corrected; see docs/reference/dnd_orientation.md)",
    )
    add("--weights", help="denoiser to use, by shipped name or path (default: compact_raw or compact_srgb)")
    add("--output", type=Path, metavar="DIR", help="folder for the results")
    add("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="device to compute on (default: auto)")
    add("--precision", choices=PRECISIONS, default="float32", help="precision of the network (default: float32)")
    add("--batch-size", type=int, default=4, metavar="N", help="denoise N crops at once (default: 4)")
    add("--previews", action="store_true", help="also write pictures of noisy and denoised crops")
    add("--report", type=Path, metavar="FILE", help="page of HTML to write at the end: pictures, noise, time")
    add("--validate", type=Path, metavar="DIR", help="check the submission in this folder and do nothing else")
    args = parser.parse_args()
    if not args.validate and not (args.data and args.space and args.output):
        parser.error("--data, --space and --output are needed, or --validate")
    if args.batch_size < 1:
        parser.error(f"--batch-size {args.batch_size}: expected at least 1")
    return args


def main(extent: Extent = DND) -> int:
    args = parse_args()
    from cycleisp.tasks.benchmarks import Evaluation, check_dnd, run_dnd  # here, since --help needs no PyTorch

    if args.validate:
        outcome = check_dnd(args.validate, args.space, extent)
    else:
        evaluation = Evaluation(
            *(args.data, args.space, args.output, args.weights),
            *(args.device, args.precision, args.batch_size, args.report),
        )
        outcome = run_dnd(evaluation, args.orientation, args.previews, extent)
    print(outcome.text)
    return 0 if outcome.valid else 1


if __name__ == "__main__":
    run_script(main)
