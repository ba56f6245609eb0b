"""Denoise the DND benchmark into a submission.

    python test_dnd.py --data DND --space raw --output results/dnd_raw
    python test_dnd.py --validate results/dnd_raw/bundle

DND has no public ground truth: the submission, OUTPUT/bundle, is scored by the server. The same line again goes on with
a stopped run. `--validate` checks a submission, also one that was made elsewhere.
"""

import argparse
from pathlib import Path

from cycleisp.dataloaders.dnd.images import ORIENTATIONS, DndImages
from cycleisp.dataloaders.dnd.results import DndResults
from cycleisp.dataloaders.dnd.submission import DND, HOME_PAGE, Extent, file_name, listed, validate_submission
from cycleisp.networks.acceleration import to_device
from cycleisp.networks.inference.batched import BatchDenoiser
from cycleisp.networks.pretrained import SHIPPED_DENOISERS, load_denoiser
from cycleisp.utils.cli import run_script
from cycleisp.utils.devices import PRECISIONS, inference_precision, pick_device
from cycleisp.utils.images import Space


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR", help="with info.mat and images_raw or images_srgb")
    parser.add_argument("--space", choices=("raw", "srgb"), help="which of the two benchmarks")
    parser.add_argument(
        "--orientation",
        choices=ORIENTATIONS,
        default="corrected",
        help="of the Bayer pattern: corrected, or read as the released scripts do (docs/dnd_orientation.md)",
    )
    parser.add_argument(
        "--weights", help="a denoiser of that space, by name or path; default: compact_raw, compact_srgb"
    )
    parser.add_argument("--output", type=Path, metavar="DIR")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="float32", help="default: float32, as scores are told"
    )
    parser.add_argument("--batch-size", type=int, default=4, help="crops at once (default 4)")
    parser.add_argument("--previews", action="store_true", help="also picture noisy and denoised crops")
    parser.add_argument("--validate", type=Path, metavar="DIR", help="only check the submission in this folder")
    args = parser.parse_args()
    if not args.validate and not (args.data and args.space and args.output):
        parser.error("--data, --space and --output are needed, or --validate")
    if args.batch_size < 1:
        parser.error(f"--batch-size {args.batch_size}: expected at least 1")
    return args


def report(folder: Path, space: Space | None, extent: Extent) -> int:
    """Check a submission and say what is wrong with it, or what to do with it; gives back the exit status."""
    problems = validate_submission(folder, space, extent)
    for problem in problems:
        print(f"problem {problem}")
    if problems:
        print(f"{folder}: not a valid submission, {len(problems)} problems")
        return 1
    print(f"{folder}: a valid submission; upload {listed(extent.numbers, file_name)} at {HOME_PAGE}")
    return 0


def main(extent: Extent = DND) -> int:
    args = parse_args()
    if args.validate:
        return report(args.validate, args.space, extent)
    images = DndImages(args.data, args.space, args.orientation, extent)  # first: missing data are what most lack
    raw = args.space == "raw"
    network, sha256 = load_denoiser(args.weights or SHIPPED_DENOISERS[raw], args.space)
    device = pick_device(args.device)
    precision = inference_precision(args.precision, device)
    denoise = BatchDenoiser(to_device(network, device), precision)
    orientation = args.orientation if raw else None  # sRGB has no Bayer pattern
    settings = {"benchmark": "DND", "space": args.space, "orientation": orientation, "weights": sha256}
    if precision != "float32":  # which folders of earlier versions do not name
        settings["precision"] = precision
    results = DndResults(args.output, images, denoise, settings, args.batch_size, args.previews)
    summary = results.run()
    print(f"{summary.made} images denoised, {summary.kept} kept from before; {args.output}")
    return report(results.bundle, args.space, extent)


if __name__ == "__main__":
    run_script(main)
