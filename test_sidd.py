"""Score a denoiser on SIDD's validation blocks, or make a submission of its benchmark blocks.

    python test_sidd.py --data SIDD --space srgb --split validation --weights compact_srgb --output results/sidd
    python test_sidd.py --data SIDD --space srgb --split benchmark --weights compact_srgb --output results/sidd_b
    python test_sidd.py --validate results/sidd_b/SubmitSrgb.csv

The same line again goes on where a run was stopped. docs/benchmarks.md has the files and what to expect.
"""

import argparse
from pathlib import Path

from cycleisp.dataloaders.protocols import SIDD_GRID
from cycleisp.dataloaders.sidd.blocks import (
    SiddBlocks,
    check_files,
    file_hashes,
    file_names,
    pattern_of,
    read_noise_levels,
    read_patterns,
    read_scenes,
)
from cycleisp.dataloaders.sidd.results import PhotoBlocks, RawBlocks, SiddResults
from cycleisp.dataloaders.sidd.submission import validate_submission
from cycleisp.networks.acceleration import to_device
from cycleisp.networks.inference.batched import BatchDenoiser
from cycleisp.networks.pretrained import SHIPPED_DENOISERS, load_denoiser
from cycleisp.utils.cli import run_script
from cycleisp.utils.devices import PRECISIONS, inference_precision, pick_device
from cycleisp.utils.output.settings import check_folder, claim_folder
from cycleisp.utils.version import code_version


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR", help="the folder with SIDD's .mat files")
    parser.add_argument("--space", choices=("raw", "srgb"), default="srgb")
    parser.add_argument("--split", choices=("validation", "benchmark"), default="validation")
    parser.add_argument("--weights", help="a denoiser, by name or path; default: the shipped one of the space")
    parser.add_argument("--output", type=Path, metavar="DIR")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="float32", help="default: float32, as scores are told"
    )
    parser.add_argument("--batch-size", type=int, default=4, metavar="N")
    parser.add_argument("--scenes", type=Path, metavar="FILE", help="text with the 40 scene names of other blocks")
    parser.add_argument("--save-images", action="store_true", help="also a PNG of every block")
    parser.add_argument("--validate", type=Path, metavar="FILE", help="check a submission file and do nothing else")
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
    if args.validate is not None:
        print(validate_submission(args.validate))
        return 0
    check_files(args.data, args.split, args.space)
    network, sha256 = load_denoiser(args.weights or SHIPPED_DENOISERS[args.space == "raw"], args.space)
    device = pick_device(args.device)
    precision = inference_precision(args.precision, device)
    denoiser = BatchDenoiser(to_device(network, device), precision)
    scenes, patterns = read_scenes(args.scenes), None
    denoise: PhotoBlocks | RawBlocks = PhotoBlocks(denoiser)
    if args.space == "raw":
        known = read_patterns(args.data / "bayer_patterns.csv")
        patterns = [pattern_of(scene, known) for scene in scenes]
        denoise = RawBlocks(denoiser, patterns, read_noise_levels(args.data / "noise_level_functions.csv", scenes))
    hashes = file_hashes(args.data, args.split, args.space, args.scenes)
    settings = {"benchmark": "SIDD", "space": args.space, "split": args.split, "weights": sha256, **hashes}
    if precision != "float32":  # which folders of earlier versions do not name
        settings["precision"] = precision
    check_folder(args.output, settings, "blocks")
    files = {
        kind: SiddBlocks(args.data / name, args.space, args.output / "unpacked")
        for kind, name in file_names(args.split, args.space).items()
    }
    claim_folder(args.output, settings, "blocks")  # once the files are known to be whole
    results = SiddResults(args.output, args.space)
    results.denoise(files["noisy"], denoise, args.batch_size)
    if args.split == "benchmark":
        print("\n".join(results.submit()))
    else:
        scores = results.score(files["clean"])
        print(scores.report(scenes, f"SIDD validation, {args.space}, {SIDD_GRID[0]} x {SIDD_GRID[1]} blocks"))
        scores.save(args.output / "metrics.json", scenes, {**settings, "version": code_version()})
        results.save_worst(scores, scenes, files["noisy"], files["clean"], patterns)
    if args.save_images:
        results.save_images(files["noisy"], files.get("clean"), patterns)
    return 0


if __name__ == "__main__":
    run_script(main)
